"""What an IAM policy lets the caller do: each call of an access key that was given one is compared with it, with what AWS asks for
besides the call itself. Other access keys may do everything.

A policy sees only the condition keys that AWS's Service Authorization Reference lists for the action and the type of resource
(`reference.py`). What the code below knows of a resource beyond that is left out, as AWS leaves it out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.iam.models import Role

from .errors import AwsError
from .ids import ACCOUNT
from .policies import glob, listed, matches
from .reference import REFERENCE
from .wire import Call
from .world import Region, World

_ACCESS_KEY = re.compile(r"Credential=([^/]+)/")
_REFUSAL = {"ec2": "UnauthorizedOperation", "iam": "AccessDenied", "sts": "AccessDenied"}
# The actions that Lambda checks for whoever attaches a function to a VPC, besides ec2:GetSecurityGroupsForVpc.
_ATTACHING = ("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs")

_ABOUT_TAGS_OF_LOGS = ("ListTagsForResource", "TagResource", "UntagResource")

# The actions on an existing role that have iam:PermissionsBoundary.
_UNDER_THE_BOUNDARY = (
    "AttachRolePolicy",
    "DeleteRolePermissionsBoundary",
    "DeleteRolePolicy",
    "DetachRolePolicy",
    "PutRolePolicy",
)


@dataclass
class Ask:
    """One question to the policy."""

    action: str
    resource: str = "*"
    context: dict[str, str] = field(default_factory=dict)


class Authorization:
    def __init__(self) -> None:
        self._policies: dict[str, list[dict[str, Any]]] = {}
        self._used: dict[str, set[tuple[str, str]]] = {}
        self._refused: dict[str, list[str]] = {}

    def set(self, access_key: str, document: dict[str, Any]) -> None:
        self._policies[access_key] = listed(document["Statement"])
        self._used[access_key], self._refused[access_key] = set(), []

    def usage(self, access_key: str) -> dict[str, Any]:
        """The actions that needed each statement, and the refusals."""
        used = sorted(self._used[access_key])
        return {"used": [{"action": action, "sid": sid} for action, sid in used], "refused": self._refused[access_key]}

    def check(self, world: World, call: Call) -> None:
        """Raises AWS's refusal if the policy of the caller does not allow the call."""
        key = _ACCESS_KEY.search(call.request.headers.get("authorization", ""))
        if key is None or key[1] not in self._policies:
            return
        statements = self._policies[key[1]]
        for ask in asks(world, call):
            ask.context = REFERENCE.known(ask.action, ask.resource, ask.context)
            matching = [statement for statement in statements if _applies(statement, ask)]
            allows = [statement for statement in matching if statement["Effect"] == "Allow"]
            if len(allows) < len(matching) or not allows:
                self._refused[key[1]].append(f"{ask.action} on {ask.resource} for {call.operation}")
                raise AwsError(
                    _REFUSAL.get(call.service, "AccessDeniedException"),
                    f"User: arn:aws:sts::{ACCOUNT}:assumed-role/operator/local is not authorized to perform: {ask.action}"
                    f" on resource: {ask.resource} because no identity-based policy allows the {ask.action} action",
                    403,
                )
            self._used[key[1]].update((ask.action, statement.get("Sid", "")) for statement in allows)


def _applies(statement: dict[str, Any], ask: Ask) -> bool:
    return (
        any(matches(pattern, ask.action) for pattern in listed(statement["Action"]))
        and any(glob(pattern, ask.resource) for pattern in listed(statement["Resource"]))
        and all(
            _holds(operator, listed(values), ask.context.get(key))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _holds(operator: str, values: list[str], found: str | None) -> bool:
    """A condition on a missing key is false, unless the operator ends in IfExists."""
    if found is None:
        return operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    if operator == "StringEquals":
        return found in values
    if operator in ("StringLike", "ArnLike"):
        return any(glob(value, found) for value in values)
    raise ValueError(f"the local AWS does not know the condition operator {operator}")


def asks(world: World, call: Call) -> Iterator[Ask]:
    """All checks of the caller's policies for one call."""
    region = world.region(call.region)
    if call.service == "ec2":
        yield from _Ec2(region, call).asks()
    elif call.service == "iam":
        yield from _iam(world, call)
    elif call.service == "lambda":
        yield from _lambda(region, call)
    elif call.service == "logs":
        yield from _logs(region, call)
    # sts:GetCallerIdentity needs no permission.


class _Ec2:
    def __init__(self, region: Region, call: Call):
        self._region, self._call, self._params = region, call, call.params
        self._action = f"ec2:{call.operation}"

    def _arn(self, kind: str, resource_id: str) -> str:
        return f"arn:aws:ec2:{self._region.name}:{ACCOUNT}:{kind}/{resource_id}"

    def _existing(self, kind: str, resource_id: str, vpc: str | None) -> Iterator[Ask]:
        context = _tagged("aws:ResourceTag", self._region.tags(resource_id))
        if vpc is not None:
            context["ec2:Vpc"] = self._arn("vpc", vpc)
        yield Ask(self._action, self._arn(kind, resource_id), context)

    def _group(self, group_id: str) -> Iterator[Ask]:
        group = self._region.group(group_id)
        if group is not None:  # a missing resource is not found, for any caller
            yield from self._existing("security-group", group_id, group.vpc_id)

    def _subnet(self, subnet_id: str) -> Iterator[Ask]:
        subnet = self._region.subnet(subnet_id)
        if subnet is not None:
            yield from self._existing("subnet", subnet_id, subnet.vpc_id)

    def _endpoint(self, endpoint_id: str) -> Iterator[Ask]:
        endpoint = self._region.endpoints.get(endpoint_id)
        if endpoint is not None:
            yield from self._existing("vpc-endpoint", endpoint_id, None)

    def _created(self, kind: str) -> Iterator[Ask]:
        specifications = listed(self._params.get("TagSpecifications"))
        tags = {tag["Key"]: tag["Value"] for each in specifications for tag in each.get("Tags", [])}
        context = _tagged("aws:RequestTag", tags)
        yield Ask(self._action, self._arn(kind, "*"), context)
        if tags:
            creating = {"ec2:CreateAction": self._call.operation}
            yield Ask("ec2:CreateTags", self._arn(kind, "*"), {**context, **creating})

    def asks(self) -> Iterator[Ask]:
        params, operation = self._params, self._call.operation
        if operation.startswith("Describe"):
            yield Ask(self._action)
        elif operation == "CreateSecurityGroup":
            yield Ask(self._action, self._arn("vpc", params["VpcId"]))
            yield from self._created("security-group")
        elif operation == "CreateVpcEndpoint":
            yield Ask(self._action, self._arn("vpc", params["VpcId"]))
            yield from self._created("vpc-endpoint")
            yield from self._parts("SubnetIds", "SecurityGroupIds")
            if params.get("PrivateDnsEnabled"):
                yield Ask("route53:AssociateVPCWithHostedZone", "arn:aws:route53:::hostedzone/Z0LOCAL")
        elif operation == "ModifyVpcEndpoint":
            yield from self._endpoint(params["VpcEndpointId"])
            yield from self._parts("AddSubnetIds", "AddSecurityGroupIds")
        elif operation == "DeleteVpcEndpoints":
            for endpoint_id in params["VpcEndpointIds"]:
                yield from self._endpoint(endpoint_id)
        elif operation == "DeleteNetworkInterface":
            interface = self._region.ec2.enis.get(params["NetworkInterfaceId"])
            if interface is not None:
                yield from self._existing("network-interface", interface.id, interface.subnet.vpc_id)
        elif operation == "CreateTags":
            for resource_id in params["Resources"]:
                yield from self._endpoint(resource_id) if resource_id.startswith("vpce-") else self._group(resource_id)
        elif "GroupId" in params:
            yield from self._group(params["GroupId"])
        else:  # no change passes by oversight
            yield Ask(self._action)

    def _parts(self, subnets: str, groups: str) -> Iterator[Ask]:
        for subnet_id in listed(self._params.get(subnets)):
            yield from self._subnet(subnet_id)
        for group_id in listed(self._params.get(groups)):
            yield from self._group(group_id)


def _iam(world: World, call: Call) -> Iterator[Ask]:
    action, params = f"iam:{call.operation}", call.params
    name = params.get("RoleName")
    if name is None:
        yield Ask(action)
        return
    existing = next((role for role in world.iam.roles.values() if role.name == name), None)
    if call.operation == "CreateRole":
        arn = f"arn:aws:iam::{ACCOUNT}:role{params.get('Path', '/')}{name}"
    else:
        # IAM knows no path of a missing role, so a policy about a path does not allow to read that role.
        arn = existing.arn if existing else f"arn:aws:iam::{ACCOUNT}:role/{name}"
    yield Ask(action, arn, _boundary(call, existing))
    if call.operation == "CreateRole" and params.get("Tags"):
        yield Ask("iam:TagRole", arn)


def _boundary(call: Call, existing: Role | None) -> dict[str, str]:
    """iam:PermissionsBoundary: the boundary in the call, or else that of the role. Other actions do not have the key."""
    if call.operation in ("CreateRole", "PutRolePermissionsBoundary"):
        boundary = call.params.get("PermissionsBoundary")
    elif call.operation in _UNDER_THE_BOUNDARY and existing is not None:
        boundary = existing.permissions_boundary_arn
    else:
        boundary = None
    return {"iam:PermissionsBoundary": boundary} if boundary else {}


def _lambda(region: Region, call: Call) -> Iterator[Ask]:
    params = call.params
    action = "lambda:InvokeFunction" if call.operation.startswith("Invoke") else f"lambda:{call.operation}"
    name = params.get("FunctionName") or params.get("Resource")
    if name is None:
        yield Ask(action)
        return
    name = name.rpartition(":")[2]
    arn = f"arn:aws:lambda:{region.name}:{ACCOUNT}:function:{name}"
    function = region.functions.get(name)
    has = _tagged("aws:ResourceTag", function.tags if function else {})
    given = _tagged("aws:RequestTag", params.get("Tags") or {})
    yield Ask(action, arn, {**has, **given})
    if call.operation == "CreateFunction" and given:
        yield Ask("lambda:TagResource", arn, {**has, **given})
    if call.operation == "GetFunction":
        yield Ask("lambda:ListTags", arn, has)
    if params.get("Role"):
        yield Ask("iam:PassRole", params["Role"], {"iam:PassedToService": "lambda.amazonaws.com"})
    subnets = (params.get("VpcConfig") or {}).get("SubnetIds") or []
    if subnets:
        yield from (Ask(attaching) for attaching in _ATTACHING)
    for vpc in {subnet.vpc_id for subnet in map(region.subnet, subnets) if subnet is not None}:
        yield Ask("ec2:GetSecurityGroupsForVpc", f"arn:aws:ec2:{region.name}:{ACCOUNT}:vpc/{vpc}")


def _logs(region: Region, call: Call) -> Iterator[Ask]:
    params, action = call.params, f"logs:{call.operation}"
    name = params.get("logGroupName") or params.get("resourceArn", "").partition(":log-group:")[2]
    if not name:
        yield Ask(action)
        return
    arn = f"arn:aws:logs:{region.name}:{ACCOUNT}:log-group:{name.removesuffix(':*')}"
    group = region.logs.groups.get(name.removesuffix(":*"))
    has = _tagged("aws:ResourceTag", region.logs.tagger.get_tag_dict_for_resource(group.arn) if group else {})
    given = _tagged("aws:RequestTag", params.get("tags") or {})
    # About tags, AWS asks for the ARN without ":*" (CloudWatch Logs API Reference, LogGroup). About the rest that page says with
    # ":*" and the Service Authorization Reference without, and AWS's refusals name both "NAME" and "NAME:log-stream:", which
    # is what ":*" matches: a policy must allow both.
    forms = [arn] if call.operation in _ABOUT_TAGS_OF_LOGS else [arn, f"{arn}:log-stream:"]
    yield from (Ask(action, form, {**has, **given}) for form in forms)
    if call.operation == "CreateLogGroup" and given:
        yield Ask("logs:TagResource", arn, {**has, **given})


def _tagged(key: str, tags: dict[str, str]) -> dict[str, str]:
    return {f"{key}/{name}": value for name, value in tags.items()}
