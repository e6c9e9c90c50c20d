"""Lambda's operations, without invocations."""

import base64
import binascii
import hashlib
import io
import urllib.parse
import zipfile
from typing import Any

from moto.backends import get_backend
from moto.core.exceptions import ServiceException

from ..errors import AwsError
from ..ids import ACCOUNT
from ..wire import Call, Response, success
from ..world import Region, World
from . import hyperplane
from .checks import ZIP_LIMIT, check_config, check_dead_letters, check_name, checked_vpc, invalid, usable_role
from .model import Function

PAGE = 50

# The caller's configuration, and Lambda's defaults.
_SETTINGS = (
    "Role", "Handler", "Runtime", "Description", "Timeout", "MemorySize", "Environment", "KMSKeyArn", "TracingConfig",
    "DeadLetterConfig", "Layers", "EphemeralStorage", "LoggingConfig", "FileSystemConfigs", "ImageConfig", "SnapStart",
)  # fmt: skip
# Properties that a function keeps from its creation on.
_FIXED = ("DurableConfig", "TenancyConfig", "CapacityProviderConfig")
_DEFAULTS: dict[str, Any] = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "TracingConfig": {"Mode": "PassThrough"},
    "EphemeralStorage": {"Size": 512},
    "SnapStart": {"ApplyOn": "None"},
}


def find(region: Region, name_or_arn: str) -> Function:
    name = name_or_arn.split(":function:")[-1].split(":")[0]
    if name not in region.functions:
        raise AwsError(
            "ResourceNotFoundException",
            f"Function not found: arn:aws:lambda:{region.name}:{ACCOUNT}:function:{name}",
            404,
        )
    return region.functions[name]


def list_functions(world: World, call: Call) -> dict[str, Any]:
    names = sorted(world.region(call.region).functions)
    marker = call.params.get("Marker")
    if marker:
        names = [name for name in names if name > base64.b64decode(marker).decode()]
    size = min(int(call.params.get("MaxItems", PAGE)), PAGE)  # a larger page may be requested; at most 50 are sent
    page = names[:size]
    functions = world.region(call.region).functions
    result: dict[str, Any] = {"Functions": [functions[name].configuration(with_state=False) for name in page]}
    if len(names) > size:
        result["NextMarker"] = base64.b64encode(page[-1].encode()).decode()
    return result


def get_function(world: World, call: Call) -> dict[str, Any]:
    function = find(world.region(call.region), call.params["FunctionName"])
    code = {"RepositoryType": "S3", "Location": f"https://awslambda.local/{urllib.parse.quote(function.code_sha256)}"}
    if function.image_uri:
        code = {"RepositoryType": "ECR", "ImageUri": function.image_uri, "ResolvedImageUri": function.image_uri}
    shown: dict[str, Any] = {"Configuration": function.configuration(), "Code": code}
    if function.tags:
        shown["Tags"] = function.tags
    if function.concurrency is not None:
        shown["Concurrency"] = {"ReservedConcurrentExecutions": function.concurrency}
    return shown


def get_function_configuration(world: World, call: Call) -> dict[str, Any]:
    return find(world.region(call.region), call.params["FunctionName"]).configuration()


def create_function(world: World, call: Call) -> Response:
    region, params = world.region(call.region), call.params
    name = params.get("FunctionName", "").split(":function:")[-1]
    check_name(name)
    if name in region.functions:
        raise AwsError("ResourceConflictException", f"Function already exist: {name}", 409)
    package = params.get("PackageType", "Zip")
    config = {**_DEFAULTS, **{setting: params[setting] for setting in (*_SETTINGS, *_FIXED) if setting in params}}
    config["PackageType"] = package
    config["Architectures"] = params.get("Architectures", ["x86_64"])
    check_config(config, package)
    check_dead_letters(config)
    _check_tags(params.get("Tags", {}))
    code = _code(params.get("Code", {}), package)
    role = usable_role(world, params.get("Role", ""))
    vpc = checked_vpc(world, region, role, params.get("VpcConfig"))
    function = Function(name, call.region, _shown_layers(config), *code, tags=dict(params.get("Tags", {})), vpc=vpc)
    region.functions[name] = function
    hyperplane.attach(region, name, role, vpc)
    created = function.configuration()
    if params.get("Publish"):
        created["Version"] = _publish(region, function, role)["Version"]
    world.clock.after("functionActive", function.become_active)
    return success(call, created, 201)


def _shown_layers(config: dict[str, Any]) -> dict[str, Any]:
    if "Layers" in config:
        config["Layers"] = [{"Arn": arn, "CodeSize": 1024} if isinstance(arn, str) else arn for arn in config["Layers"]]
    return config


# The values for none in an update.
_NONE: dict[str, Any] = {
    "KMSKeyArn": "",
    "DeadLetterConfig": {"TargetArn": ""},
    "Layers": [],
    "FileSystemConfigs": [],
}


def _without_none(config: dict[str, Any]) -> dict[str, Any]:
    """Empty settings are not shown."""
    return {name: value for name, value in config.items() if name not in _NONE or value != _NONE[name]}


def _code(code: dict[str, Any], package: str) -> tuple[str, int, bytes | None, str | None]:
    """(CodeSha256, size, zip, image). The hash is over the uploaded bytes, like Lambda's."""
    if package == "Image":
        uri = code.get("ImageUri")
        if not uri:
            raise invalid("The ImageUri is mandatory for functions whose PackageType is Image.")
        return hashlib.sha256(uri.encode()).hexdigest(), 0, None, uri
    if "S3Bucket" in code:
        data = _from_s3(code)
    else:
        try:
            data = base64.b64decode(code.get("ZipFile", ""), validate=True)
        except binascii.Error as error:
            raise invalid(f"ZipFile is not base64: {error}") from error
    if not data:
        raise invalid("Uploaded file must be a non-empty zip")
    if len(data) > ZIP_LIMIT:
        raise AwsError("RequestEntityTooLargeException", "Request must be smaller than 69905067 bytes", 413)
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
    return base64.b64encode(hashlib.sha256(data).digest()).decode(), len(data), data, None


def _from_s3(code: dict[str, Any]) -> bytes:
    try:
        s3 = get_backend("s3")[ACCOUNT]["aws"]
        found = s3.get_object(code["S3Bucket"], code.get("S3Key", ""), version_id=code.get("S3ObjectVersion"))
    except ServiceException as error:
        raise _s3_error("NoSuchBucket", str(error)) from error
    if found is None:
        raise _s3_error("NoSuchKey", "The specified key does not exist.")
    return found.value


def _s3_error(code: str, message: str) -> AwsError:
    return invalid(f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}")


def _begin_update(world: World, call: Call) -> Function:
    """The function, if an update is allowed now: updates go one at a time."""
    function = find(world.region(call.region), call.params["FunctionName"])
    revision = call.params.get("RevisionId")
    if revision and revision != function.revision:
        raise AwsError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction API to retrieve the "
            "latest Revision Id for your resource.",
            412,
        )
    if function.state == "Pending":
        raise AwsError(
            "ResourceConflictException",
            "The operation cannot be performed at this time. The function is currently in the following state: Pending",
            409,
        )
    if function.last_update == "InProgress":
        raise AwsError(
            "ResourceConflictException",
            f"The operation cannot be performed at this time. An update is in progress for resource: {function.arn}",
            409,
        )
    return function


def _updating(world: World, function: Function) -> None:
    function.touch()
    function.last_update = "InProgress"
    function.last_update_reason = ("Creating", "The function is being created.")
    world.clock.after("functionUpdated", function.finish_update)


def update_function_code(world: World, call: Call) -> dict[str, Any]:
    function = _begin_update(world, call)
    code = _code(call.params, function.config["PackageType"])
    if call.params.get("DryRun"):
        return function.configuration()
    function.code_sha256, function.code_size, function.zip_bytes, function.image_uri = code
    if call.params.get("Architectures"):
        check_config({**function.config, "Architectures": call.params["Architectures"]}, function.config["PackageType"])
        function.config["Architectures"] = call.params["Architectures"]
    _updating(world, function)
    updated = function.configuration()
    if call.params.get("Publish"):
        region = world.region(call.region)
        updated["Version"] = _publish(region, function, usable_role(world, function.config["Role"]))["Version"]
    return updated


def update_function_configuration(world: World, call: Call) -> dict[str, Any]:
    region, function, params = world.region(call.region), _begin_update(world, call), call.params
    changed = {setting: params[setting] for setting in _SETTINGS if setting in params}
    fixed = [name for name in _FIXED if name in params and params[name] != function.config.get(name)]
    if fixed:
        raise invalid(f"{fixed[0]} cannot be changed after the function was created.")
    config = _without_none({**function.config, **changed})
    check_config(config, config["PackageType"])
    check_dead_letters(config)
    role = usable_role(world, config["Role"])
    vpc = function.vpc
    if "VpcConfig" in params:
        asked = {**(function.vpc or {}), **params["VpcConfig"]}  # a missing member stays
        vpc = checked_vpc(world, region, role, asked)
    function.config = _shown_layers(config)
    if vpc != function.vpc:
        before, function.vpc = function.vpc, vpc
        hyperplane.attach(region, function.name, role, vpc)
        _leave(world, region, function.name, before, vpc)
    _updating(world, function)
    return function.configuration()


def _leave(
    world: World, region: Region, user: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    """Detaches from the pairs of `before` that `after` does not have."""
    if before and after and set(before["SecurityGroupIds"]) == set(after["SecurityGroupIds"]):
        left = [subnet_id for subnet_id in before["SubnetIds"] if subnet_id not in after["SubnetIds"]]
        before = {**before, "SubnetIds": left}
    hyperplane.detach(world, region, user, before)


def delete_function(world: World, call: Call) -> Response:
    region = world.region(call.region)
    function = find(region, call.params["FunctionName"])
    del region.functions[function.name]
    hyperplane.detach(world, region, function.name, function.vpc)
    for version in function.published:
        hyperplane.detach(world, region, version["FunctionArn"], version.get("VpcConfig"))
    return success(call, {}, 204)


def _publish(region: Region, function: Function, role: Any) -> dict[str, Any]:
    number = str(len(function.published) + 1)
    version = {**function.configuration(), "Version": number, "FunctionArn": f"{function.arn}:{number}"}
    function.published.append(version)
    hyperplane.attach(region, version["FunctionArn"], role, function.vpc)  # versions keep interfaces too
    return version


def publish_version(world: World, call: Call) -> Response:
    region, function = world.region(call.region), _begin_update(world, call)
    return success(call, _publish(region, function, usable_role(world, function.config["Role"])), 201)


def list_versions(world: World, call: Call) -> dict[str, Any]:
    function = find(world.region(call.region), call.params["FunctionName"])
    return {"Versions": [function.configuration(with_state=False), *function.published]}


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > 50 or any(not 1 <= len(k) <= 128 or len(v) > 256 or k.startswith("aws:") for k, v in tags.items()):
        raise invalid("Up to 50 tags; keys up to 128, values up to 256 characters, without the prefix aws:")


def list_tags(world: World, call: Call) -> dict[str, Any]:
    return {"Tags": find(world.region(call.region), call.params["Resource"]).tags}


def tag_resource(world: World, call: Call) -> Response:
    function = find(world.region(call.region), call.params["Resource"])
    tags = {**function.tags, **call.params.get("Tags", {})}
    _check_tags(tags)
    function.tags = tags
    return success(call, {}, 204)


def untag_resource(world: World, call: Call) -> Response:
    function = find(world.region(call.region), call.params["Resource"])
    function.tags = {k: v for k, v in function.tags.items() if k not in call.params.get("TagKeys", [])}
    return success(call, {}, 204)


def put_concurrency(world: World, call: Call) -> dict[str, Any]:
    function = find(world.region(call.region), call.params["FunctionName"])
    function.concurrency = call.params["ReservedConcurrentExecutions"]
    return {"ReservedConcurrentExecutions": function.concurrency}


def delete_concurrency(world: World, call: Call) -> Response:
    find(world.region(call.region), call.params["FunctionName"]).concurrency = None
    return success(call, {}, 204)


def get_concurrency(world: World, call: Call) -> dict[str, Any]:
    function = find(world.region(call.region), call.params["FunctionName"])
    return {} if function.concurrency is None else {"ReservedConcurrentExecutions": function.concurrency}


HANDLERS = {
    "ListFunctions": list_functions,
    "GetFunction": get_function,
    "GetFunctionConfiguration": get_function_configuration,
    "CreateFunction": create_function,
    "UpdateFunctionCode": update_function_code,
    "UpdateFunctionConfiguration": update_function_configuration,
    "DeleteFunction": delete_function,
    "PublishVersion": publish_version,
    "ListVersionsByFunction": list_versions,
    "ListTags": list_tags,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "PutFunctionConcurrency": put_concurrency,
    "DeleteFunctionConcurrency": delete_concurrency,
    "GetFunctionConcurrency": get_concurrency,
}
