"""Security groups without their rules, which are in rules.py."""

import re
from typing import Any

from moto.ec2.models.security_groups import SecurityGroup

from ..errors import AwsError, invalid_value, not_found
from ..ids import ACCOUNT, hex_id
from ..wire import Call
from ..world import Region, World
from .describe import FilterValues, describe, field
from .rules import all_groups, permissions
from .tags import tag_list, tags_at_creation
from .vpcs import vpc_of

_TEXT = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}")


def describe_security_groups(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    page, token = describe(
        call.params,
        [_group(region, group) for group in all_groups(region)],
        id_field="GroupId",
        ids_param="GroupIds",
        filters={
            "group-id": field("GroupId"),
            "group-name": field("GroupName"),
            "vpc-id": field("VpcId"),
            "description": field("Description"),
            "owner-id": field("OwnerId"),
            "ip-permission.group-id": _referred("IpPermissions"),
            "egress.ip-permission.group-id": _referred("IpPermissionsEgress"),
        },
    )
    return {"SecurityGroups": page, "NextToken": token}


def _referred(direction: str) -> FilterValues:
    return lambda item: [
        pair["GroupId"] for permission in item[direction] for pair in permission.get("UserIdGroupPairs", [])
    ]


def _group(region: Region, group: Any) -> dict[str, Any]:
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "OwnerId": ACCOUNT,
        "VpcId": group.vpc_id,
        "SecurityGroupArn": _arn(region, group.id),
        "IpPermissions": permissions(group.ingress_rules),
        "IpPermissionsEgress": permissions(group.egress_rules),
        "Tags": tag_list(region.tags(group.id)),
    }


def _arn(region: Region, group_id: str) -> str:
    return f"arn:aws:ec2:{region.name}:{ACCOUNT}:security-group/{group_id}"


def create_security_group(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    name, description = call.params.get("GroupName", ""), call.params.get("Description", "")
    for what, value in (("groupName", name), ("groupDescription", description)):
        if not value:
            raise AwsError("MissingParameter", f"The request must contain the parameter {what}")
        if not _TEXT.fullmatch(value):
            raise invalid_value(
                f"Invalid {what}. Valid are up to 255 of a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{{}}!$*"
            )
    if name == "default":
        raise invalid_value("Cannot use reserved security group name: default")
    if name.startswith("sg-"):
        raise invalid_value("Invalid security group name: it may not start with sg-")
    vpc = vpc_of(region, call.params.get("VpcId"))
    tags = tags_at_creation(call.params, "security-group")
    in_vpc = region.ec2.groups[vpc.id]
    if any(group.name == name for group in in_vpc.values()):
        raise AwsError("InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc.id}'")
    # moto adds the default egress rules like AWS: IPv4, and IPv6 if the VPC has an IPv6 block.
    group = SecurityGroup(region.ec2, hex_id("sg"), name, description, vpc_id=vpc.id, tags=tags)
    in_vpc[group.id] = group
    return {"GroupId": group.id, "SecurityGroupArn": _arn(region, group.id), "Tags": tag_list(tags)}


def delete_security_group(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    group_id = call.params.get("GroupId", "")
    group = region.group(group_id)
    if group is None:
        raise not_found(group_id or "sg-")
    if group.is_default or group.name == "default":
        raise AwsError("CannotDelete", f'the specified group: "{group_id}" name: "default" cannot be deleted by a user')
    if _in_use(region, group_id):
        raise AwsError("DependencyViolation", f"resource {group_id} has a dependent object")
    del region.ec2.groups[group.vpc_id][group_id]
    region.ec2.tags.pop(group_id, None)
    for rule in group.ingress_rules + group.egress_rules:
        region.ec2.tags.pop(rule.id, None)
    return {"Return": True, "GroupId": group_id}


def _in_use(region: Region, group_id: str) -> bool:
    if any(group_id in (group.id for group in eni.group_set) for eni in region.ec2.enis.values()):
        return True
    return any(
        rule.source_group.get("GroupId") == group_id
        for group in all_groups(region)
        if group.id != group_id
        for rule in group.ingress_rules + group.egress_rules
    )
