"""The refusals of CreateFunction and of updates, in Lambda's own words."""

import json
import re
from typing import Any

from .. import policies
from ..errors import AwsError
from ..roles import boundary_document, document_of
from ..world import Region, World

RUNTIMES = (
    "nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x", "python3.9", "python3.10", "python3.11", "python3.12",
    "python3.13", "python3.14", "java11", "java17", "java21", "java25", "dotnet8", "dotnet10", "ruby3.2", "ruby3.3",
    "ruby3.4", "provided.al2", "provided.al2023",
)  # fmt: skip
RESERVED_KEYS = {
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}  # fmt: skip
CANNOT_BE_ASSUMED = "The role defined for the function cannot be assumed by Lambda."
ENVIRONMENT_LIMIT = 4096
ZIP_LIMIT = 50 * 1024 * 1024
SUBNETS_LIMIT, GROUPS_LIMIT = 16, 5
# Lambda checks that the role allows the actions that Lambda makes with it.
INTERFACE_ACTIONS = ("CreateNetworkInterface", "DescribeNetworkInterfaces", "DeleteNetworkInterface")

_NAME = re.compile(r"[a-zA-Z0-9-_]{1,64}")
_ROLE_ARN = re.compile(r"arn:aws[a-zA-Z-]*:iam::(\d{12}):role(/[!-~]*/|/)([\w+=,.@-]+)")
_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", message)


def _validation(what: str, value: object, rule: str) -> AwsError:
    return AwsError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{what}' failed to satisfy constraint: {rule}",
    )


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise _validation("functionName", name, "Member must satisfy [a-zA-Z0-9-_]+ and have 1 to 64 characters")


def check_config(config: dict[str, Any], package: str) -> None:
    for name, lowest, highest in (("MemorySize", 128, 10_240), ("Timeout", 1, 900)):
        value = config.get(name)
        if value is not None and not lowest <= value <= highest:
            raise _validation(name[0].lower() + name[1:], value, f"Member must be between {lowest} and {highest}")
    storage = config.get("EphemeralStorage", {}).get("Size", 512)
    if not 512 <= storage <= 10_240:
        raise _validation("ephemeralStorage.size", storage, "Member must be between 512 and 10240")
    for architecture in config.get("Architectures", []):
        if architecture not in ("x86_64", "arm64"):
            raise _validation("architectures", architecture, "Member must satisfy enum value set: [x86_64, arm64]")
    if len(config.get("Description", "")) > 256:
        raise _validation("description", "", "Member must have length less than or equal to 256")
    if package == "Zip":
        if not config.get("Runtime") or not config.get("Handler"):
            raise invalid(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages."
            )
        if config["Runtime"] not in RUNTIMES:
            raise invalid(f"Value {config['Runtime']} at 'runtime' failed to satisfy constraint: Member must satisfy "
                          f"enum value set: {list(RUNTIMES)}")  # fmt: skip
    elif config.get("Runtime") or config.get("Handler"):
        raise invalid(
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
        )
    check_environment(config.get("Environment", {}).get("Variables", {}))
    check_logging(config.get("LoggingConfig", {}))
    runtime = config.get("Runtime") or ""
    if config.get("SnapStart", {}).get("ApplyOn", "None") != "None" and runtime.startswith(("nodejs", "ruby", "provided")):
        raise invalid(f"{runtime} is not supported for SnapStart enabled functions.")


def check_environment(variables: dict[str, str]) -> None:
    refused = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided"
    )
    reserved = sorted(RESERVED_KEYS & variables.keys())
    if reserved:
        raise invalid(
            f"{refused} contains reserved keys that are currently not supported for modification. Reserved keys used "
            f"in this request: {', '.join(reserved)}"
        )
    for key in variables:
        if not _VARIABLE.fullmatch(key):
            raise _validation("environment.variables", key, "Map keys must satisfy [a-zA-Z]([a-zA-Z0-9_])+")
    if len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode()) > ENVIRONMENT_LIMIT:
        raise invalid(f"{refused} exceeded the 4KB limit.")  # AWS adds the variables; a journal should not


def check_logging(logging: dict[str, Any]) -> None:
    levels = [name for name in ("ApplicationLogLevel", "SystemLogLevel") if name in logging]
    if levels and logging.get("LogFormat") != "JSON":
        raise invalid(f"{levels[0]} can only be set when LogFormat is JSON.")


def check_dead_letters(config: dict[str, Any]) -> None:
    """An empty ARN means none in an update, and is invalid everywhere else (node-lambda#208)."""
    target = config.get("DeadLetterConfig", {}).get("TargetArn")
    if target is not None and not target.startswith("arn:"):
        raise invalid("Invalid dead letter ARN: ARNs must start with 'arn:'")


def usable_role(world: World, arn: str) -> Any:
    """The role, if Lambda can assume it: it exists, trusts Lambda, and has been there for long enough."""
    match = _ROLE_ARN.fullmatch(arn or "")
    if not match:
        raise _validation("role", arn, "Member must satisfy regular expression pattern: arn:…:iam::\\d{12}:role/…")
    role = assumable(world, arn)
    if role is None:
        raise invalid(CANNOT_BE_ASSUMED)
    return role


def assumable(world: World, arn: str) -> Any | None:
    role = next((role for role in world.iam.roles.values() if role.arn == arn), None)
    if role is None or role.id in world.unusable_roles or not policies.trusts_lambda(role.assume_role_policy_document):
        return None
    return role


def role_allows(world: World, role: Any, action: str) -> bool:
    """The actions that both the policies of the role and its permissions boundary allow."""
    documents = [*role.policies.values(), *map(document_of, role.managed_policies.values())]
    boundary = boundary_document(world, role)
    return policies.allowed(documents, action) and (boundary is None or policies.allowed([boundary], action))


def checked_vpc(world: World, region: Region, role: Any, asked: dict[str, Any] | None) -> dict[str, Any] | None:
    """VpcConfig with its VpcId, or none: empty lists detach a function from its VPC."""
    subnet_ids, group_ids = (asked or {}).get("SubnetIds") or [], (asked or {}).get("SecurityGroupIds") or []
    if not subnet_ids and not group_ids:
        return None
    if not subnet_ids or not group_ids:
        raise invalid("SubnetIds and SecurityIds must coexist or be both empty list.")
    if len(subnet_ids) > SUBNETS_LIMIT:
        raise _validation("vpcConfig.subnetIds", subnet_ids, f"Member must have length up to {SUBNETS_LIMIT}")
    if len(group_ids) > GROUPS_LIMIT:
        raise _validation("vpcConfig.securityGroupIds", group_ids, f"Member must have length up to {GROUPS_LIMIT}")
    for action in INTERFACE_ACTIONS:
        if not role_allows(world, role, f"ec2:{action}"):
            raise invalid(f"The provided execution role does not have permissions to call {action} on EC2")
    vpc_ids = set()
    for subnet_id in subnet_ids:
        subnet = region.subnet(subnet_id)
        if subnet is None:
            raise invalid(f"Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. EC2 Error "
                          f"Message: The subnet ID '{subnet_id}' does not exist")  # fmt: skip
        vpc_ids.add(subnet.vpc_id)
    if len(vpc_ids) > 1:
        raise invalid("Security Groups and subnets must be in the same VPC: the subnets are in several VPCs.")
    (vpc_id,) = vpc_ids
    for group_id in group_ids:
        group = region.group(group_id)
        if group is None:
            raise invalid(f"Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound. EC2 "
                          f"Error Message: The security group '{group_id}' does not exist")  # fmt: skip
        if group.vpc_id != vpc_id:
            raise invalid("Security Groups are required to be in the same VPC.")
    if region.ec2.vpcs[vpc_id].instance_tenancy != "default":
        raise invalid("Lambda functions cannot connect to a VPC with dedicated instance tenancy.")
    return {
        "SubnetIds": list(dict.fromkeys(subnet_ids)),
        "SecurityGroupIds": list(dict.fromkeys(group_ids)),
        "VpcId": vpc_id,
        "Ipv6AllowedForDualStack": bool((asked or {}).get("Ipv6AllowedForDualStack", False)),
    }
