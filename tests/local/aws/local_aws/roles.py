"""IAM roles: moto's state, AWS's limits, conflicts and encodings."""

import re
import urllib.parse
from datetime import UTC, datetime
from typing import Any

from moto.iam.exceptions import NotFoundException
from moto.iam.models import ManagedPolicy, Role
from moto.iam.utils import random_role_id

from .errors import AwsError
from .ids import ACCOUNT
from .policies import check_role_policy, check_trust_policy, size_without_whitespace
from .wire import Call
from .world import World

INLINE_POLICIES_LIMIT = 10_240  # all inline policies of a role together, without white space
TRUST_POLICY_LIMIT = 2_048
_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_POLICY_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_PATH = re.compile(r"/|/[\x21-\x7e]{1,510}/")


def _role(world: World, call: Call) -> Role:
    name = call.params.get("RoleName", "")
    for role in world.iam.roles.values():
        if role.name.lower() == name.lower():  # names are unique, in any case of letters
            return role
    raise AwsError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)


def _validate(ok: object, what: str, value: str, rule: str) -> None:
    if not ok:
        raise AwsError(
            "ValidationError",
            f"1 validation error detected: Value '{value}' at '{what}' failed to satisfy constraint: {rule}",
        )


def _shown(role: Role, tags: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": role.create_date,
        "AssumeRolePolicyDocument": urllib.parse.quote(role.assume_role_policy_document, safe=""),
        "Description": role.description or None,
        "MaxSessionDuration": role.max_session_duration or 3600,
    }
    # ListRoles leaves these out.
    return {**shown, "PermissionsBoundary": role.permissions_boundary, "Tags": role.tags, "RoleLastUsed": {}} if tags else shown


def create_role(world: World, call: Call) -> dict[str, Any]:
    params = call.params
    name, path, trust = params.get("RoleName", ""), params.get("Path", "/"), params.get("AssumeRolePolicyDocument", "")
    _validate(_NAME.fullmatch(name), "roleName", name, "Member must match [\\w+=,.@-]+ and have 1 to 64 characters")
    _validate(_PATH.fullmatch(path), "path", path, "Member must be / or start and end with / (up to 512 characters)")
    _validate(len(params.get("Description", "")) <= 1000, "description", "", "Member must have length up to 1000")
    check_trust_policy(trust)
    if size_without_whitespace(trust) > TRUST_POLICY_LIMIT:
        raise AwsError("LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_LIMIT}", 409)
    if any(role.name.lower() == name.lower() for role in world.iam.roles.values()):
        raise AwsError("EntityAlreadyExists", f"Role with name {name} already exists.", 409)
    boundary = params.get("PermissionsBoundary")
    if boundary is not None:
        _managed_policy(world, boundary)
    role = Role(
        account_id=ACCOUNT,
        partition="aws",
        role_id=random_role_id(ACCOUNT),
        name=name,
        assume_role_policy_document=trust,
        path=path,
        permissions_boundary=boundary,
        description=params.get("Description", ""),
        tags=_checked_tags(params.get("Tags", []), []),
        max_session_duration=params.get("MaxSessionDuration", 3600),
    )
    role.create_date = datetime.now(UTC)
    world.iam.roles[role.id] = role
    world.unusable_roles.add(role.id)
    world.clock.after("roleUsable", lambda: world.unusable_roles.discard(role.id))
    more = {"PermissionsBoundary": role.permissions_boundary, "Tags": role.tags or None}
    return {"Role": {**_shown(role, tags=False), **more}}


def _checked_tags(new: list[dict[str, str]], now: list[dict[str, str]]) -> list[dict[str, str]]:
    merged = {tag["Key"].lower(): tag for tag in now}  # IAM compares tag keys in any case of letters
    merged.update({tag["Key"].lower(): {"Key": tag["Key"], "Value": tag.get("Value", "")} for tag in new})
    for tag in new:
        _validate(1 <= len(tag["Key"]) <= 128, "tags.member.key", tag["Key"], "Member must have 1 to 128 characters")
        _validate(len(tag.get("Value", "")) <= 256, "tags.member.value", "", "Member must have up to 256 characters")
        # IAM User Guide, "Rules for tagging in IAM and AWS STS": neither key nor value may have that prefix.
        if any(tag.get(part, "").lower().startswith("aws:") for part in ("Key", "Value")):
            raise AwsError("InvalidInput", "Tag keys and values that begin with aws: are reserved for AWS.")
    if len({tag["Key"].lower() for tag in new}) != len(new):
        raise AwsError("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if len(merged) > 50:
        raise AwsError("LimitExceeded", "The number of tags has reached the maximum limit.", 409)
    return list(merged.values())


def get_role(world: World, call: Call) -> dict[str, Any]:
    return {"Role": _shown(_role(world, call), tags=True)}


def list_roles(world: World, call: Call) -> dict[str, Any]:
    prefix = call.params.get("PathPrefix", "/")
    roles = sorted((r for r in world.iam.roles.values() if r.path.startswith(prefix)), key=lambda role: role.name)
    page, more = _page(call, roles)
    return {"Roles": [_shown(role, tags=False) for role in page], **more}


def _page(call: Call, items: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    size, start = call.params.get("MaxItems", 100), int(call.params.get("Marker", 0))
    _validate(1 <= size <= 1000, "maxItems", str(size), "Member must be between 1 and 1000")
    end = start + size
    more = {"IsTruncated": True, "Marker": str(end)} if end < len(items) else {"IsTruncated": False}
    return items[start:end], more


def _managed_policy(world: World, arn: str) -> ManagedPolicy:
    policy = next((each for each in world.iam.managed_policies.values() if each.arn == arn), None)
    if policy is None:
        raise AwsError("NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.", 404)
    return policy


def document_of(policy: ManagedPolicy) -> str:
    return next(version.document for version in policy.versions if version.is_default_version)


def boundary_document(world: World, role: Role) -> str | None:
    """The actions that a role's permissions boundary allows: none if the policy was deleted."""
    arn = role.permissions_boundary_arn
    if arn is None:
        return None
    policies = (each for each in world.iam.managed_policies.values() if each.arn == arn)
    return next(map(document_of, policies), '{"Statement": []}')


def put_role_permissions_boundary(world: World, call: Call) -> dict[str, Any]:
    role = _role(world, call)
    role.permissions_boundary_arn = _managed_policy(world, call.params.get("PermissionsBoundary", "")).arn
    return {}


def delete_role_permissions_boundary(world: World, call: Call) -> dict[str, Any]:
    role = _role(world, call)
    if role.permissions_boundary_arn is None:
        raise AwsError("NoSuchEntity", f"Role {role.name} does not have permission boundary.", 404)
    role.permissions_boundary_arn = None
    return {}


def delete_role(world: World, call: Call) -> dict[str, Any]:
    role = _role(world, call)
    if any(role in profile.roles for profile in world.iam.instance_profiles.values()):
        raise AwsError("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.", 409)
    if role.managed_policies:
        raise AwsError("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409)
    if role.policies:
        raise AwsError("DeleteConflict", "Cannot delete entity, must delete policies first.", 409)
    del world.iam.roles[role.id]
    return {}


def update_assume_role_policy(world: World, call: Call) -> dict[str, Any]:
    role, document = _role(world, call), call.params.get("PolicyDocument", "")
    check_trust_policy(document)
    role.assume_role_policy_document = document
    return {}


def put_role_policy(world: World, call: Call) -> dict[str, Any]:
    role, name, document = _role(world, call), call.params.get("PolicyName", ""), call.params.get("PolicyDocument", "")
    _validate(_POLICY_NAME.fullmatch(name), "policyName", name, "Member must match [\\w+=,.@-]+, up to 128 characters")
    check_role_policy(document)
    after = {**role.policies, name: document}
    if sum(map(size_without_whitespace, after.values())) > INLINE_POLICIES_LIMIT:
        raise AwsError(
            "LimitExceeded", f"Maximum policy size of {INLINE_POLICIES_LIMIT} bytes exceeded for role {role.name}", 409
        )
    role.policies[name] = document
    return {}


def _no_policy(name: str) -> AwsError:
    return AwsError("NoSuchEntity", f"The role policy with name {name} cannot be found.", 404)


def get_role_policy(world: World, call: Call) -> dict[str, Any]:
    role, name = _role(world, call), call.params.get("PolicyName", "")
    if name not in role.policies:
        raise _no_policy(name)
    return {
        "RoleName": role.name,
        "PolicyName": name,
        "PolicyDocument": urllib.parse.quote(role.policies[name], safe=""),
    }


def delete_role_policy(world: World, call: Call) -> dict[str, Any]:
    role, name = _role(world, call), call.params.get("PolicyName", "")
    if name not in role.policies:
        raise _no_policy(name)
    del role.policies[name]
    return {}


def list_role_policies(world: World, call: Call) -> dict[str, Any]:
    page, more = _page(call, sorted(_role(world, call).policies))
    return {"PolicyNames": page, **more}


def list_attached_role_policies(world: World, call: Call) -> dict[str, Any]:
    page, more = _page(call, _role(world, call).attached_managed_policies)
    return {"AttachedPolicies": page, **more}


def attach_role_policy(world: World, call: Call) -> dict[str, Any]:
    role, arn = _role(world, call), call.params.get("PolicyArn", "")
    try:
        world.iam.attach_role_policy(arn, role.name)
    except NotFoundException as error:
        message = f"Policy {arn} does not exist or is not attachable."
        raise AwsError("NoSuchEntity", message, 404) from error
    return {}


def detach_role_policy(world: World, call: Call) -> dict[str, Any]:
    role, arn = _role(world, call), call.params.get("PolicyArn", "")
    if arn not in role.managed_policies:
        raise AwsError("NoSuchEntity", f"Policy {arn} was not found.", 404)
    world.iam.detach_role_policy(arn, role.name)
    return {}


def tag_role(world: World, call: Call) -> dict[str, Any]:
    role = _role(world, call)
    role.tags = _checked_tags(call.params.get("Tags", []), role.tags)
    return {}


def untag_role(world: World, call: Call) -> dict[str, Any]:
    role, gone = _role(world, call), {key.lower() for key in call.params.get("TagKeys", [])}
    role.tags = [tag for tag in role.tags if tag["Key"].lower() not in gone]
    return {}


def get_account_authorization_details(world: World, call: Call) -> dict[str, Any]:
    """Users, groups and managed policies are left out: no test reads them, and AWS has thousands of its own."""
    wanted = call.params.get("Filter", ["Role"])
    roles = sorted(world.iam.roles.values(), key=lambda role: role.name) if "Role" in wanted else []
    page, more = _page(call, roles)
    return {"RoleDetailList": [_details(role) for role in page], **more}


def _details(role: Role) -> dict[str, Any]:
    quoted = urllib.parse.quote
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": role.create_date,
        "AssumeRolePolicyDocument": quoted(role.assume_role_policy_document, safe=""),
        "InstanceProfileList": [],
        "RolePolicyList": [
            {"PolicyName": name, "PolicyDocument": quoted(document, safe="")}
            for name, document in role.policies.items()
        ],
        "AttachedManagedPolicies": role.attached_managed_policies,
        "PermissionsBoundary": role.permissions_boundary,
        "Tags": role.tags,
        "RoleLastUsed": {},
    }


HANDLERS = {
    "CreateRole": create_role,
    "GetRole": get_role,
    "ListRoles": list_roles,
    "DeleteRole": delete_role,
    "PutRolePermissionsBoundary": put_role_permissions_boundary,
    "DeleteRolePermissionsBoundary": delete_role_permissions_boundary,
    "UpdateAssumeRolePolicy": update_assume_role_policy,
    "PutRolePolicy": put_role_policy,
    "GetRolePolicy": get_role_policy,
    "DeleteRolePolicy": delete_role_policy,
    "ListRolePolicies": list_role_policies,
    "ListAttachedRolePolicies": list_attached_role_policies,
    "AttachRolePolicy": attach_role_policy,
    "DetachRolePolicy": detach_role_policy,
    "TagRole": tag_role,
    "UntagRole": untag_role,
    "GetAccountAuthorizationDetails": get_account_authorization_details,
}


def get_caller_identity(world: World, call: Call) -> dict[str, Any]:
    return {"UserId": "AIDALOCALAWS", "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/local"}
