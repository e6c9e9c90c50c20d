"""Rules of security groups: canonical, no duplicates, all or nothing, at most 60."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

from moto.ec2.models.security_groups import SecurityGroupRule

from ..errors import AwsError, invalid_value, not_found
from ..ids import ACCOUNT
from ..wire import Call
from ..world import Region, World
from .describe import describe, field
from .tags import tag_list, tags_at_creation

RULES_PER_GROUP = 60
_PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "all": "-1"}
_WITH_PORTS = ("tcp", "udp")


def all_groups(region: Region) -> Iterator[Any]:
    for in_vpc in region.ec2.groups.values():
        yield from in_vpc.values()


def authorize_ingress(world: World, call: Call) -> dict[str, Any]:
    return _authorize(world, call, egress=False)


def authorize_egress(world: World, call: Call) -> dict[str, Any]:
    return _authorize(world, call, egress=True)


def revoke_ingress(world: World, call: Call) -> dict[str, Any]:
    return _revoke(world, call, egress=False)


def revoke_egress(world: World, call: Call) -> dict[str, Any]:
    return _revoke(world, call, egress=True)


def _authorize(world: World, call: Call, egress: bool) -> dict[str, Any]:
    region, group = _region_and_group(world, call)
    tags = tags_at_creation(call.params, "security-group-rule")
    new = _asked_rules(region, group, call.params, egress)
    rules = group.egress_rules if egress else group.ingress_rules
    known = {_key(rule) for rule in rules}
    if len({_key(rule) for rule in new}) < len(new):
        raise invalid_value("The same permission must not appear multiple times")
    for rule in new:
        if _key(rule) in known:
            raise AwsError("InvalidPermission.Duplicate", f'the specified rule "{_words(rule)}" already exists')
        known.add(_key(rule))
    # The quota counts IPv4 and IPv6 rules separately; a reference to a group counts for both.
    for version in ("cidr_ipv4", "cidr_ipv6"):
        other = "cidr_ipv6" if version == "cidr_ipv4" else "cidr_ipv4"
        if sum(getattr(rule, other) is None for rule in [*rules, *new]) > RULES_PER_GROUP:
            raise AwsError(
                "RulesPerSecurityGroupLimitExceeded",
                "The maximum number of rules per security group has been reached.",
            )
    rules.extend(new)
    for rule in new:
        rule.add_tags(tags)
    return {"Return": True, "SecurityGroupRules": [_rule(region, rule) for rule in new]}


def _revoke(world: World, call: Call, egress: bool) -> dict[str, Any]:
    region, group = _region_and_group(world, call)
    rules = group.egress_rules if egress else group.ingress_rules
    rule_ids = call.params.get("SecurityGroupRuleIds")
    if rule_ids:
        by_id = {rule.id: rule for rule in rules}
        for rule_id in rule_ids:
            if rule_id not in by_id:
                raise not_found(rule_id)
        gone = [by_id[rule_id] for rule_id in rule_ids]
    else:
        by_key = {_key(rule): rule for rule in rules}
        gone = []
        for rule in _asked_rules(region, group, call.params, egress):
            if _key(rule) not in by_key:
                raise AwsError(
                    "InvalidPermission.NotFound", "The specified rule does not exist in this security group."
                )
            gone.append(by_key[_key(rule)])
    for rule in gone:
        rules.remove(rule)
        region.ec2.tags.pop(rule.id, None)
    revoked = [{k: v for k, v in _rule(region, rule).items() if k in _REVOKED_MEMBERS} for rule in gone]
    for item in revoked:
        if "ReferencedGroupInfo" in item:
            item["ReferencedGroupId"] = item.pop("ReferencedGroupInfo")["GroupId"]
    return {"Return": True, "RevokedSecurityGroupRules": revoked}


_REVOKED_MEMBERS = {
    "SecurityGroupRuleId", "GroupId", "IsEgress", "IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6",
    "PrefixListId", "ReferencedGroupInfo", "Description",
}  # fmt: skip


def _region_and_group(world: World, call: Call) -> tuple[Region, Any]:
    region = world.region(call.region)
    group_id = call.params.get("GroupId", "")
    group = region.group(group_id)
    if group is None:
        raise not_found(group_id or "sg-")
    return region, group


def _asked_rules(region: Region, group: Any, params: dict[str, Any], egress: bool) -> list[SecurityGroupRule]:
    asked = params.get("IpPermissions") or [_single(params)]
    rules = []
    for permission in asked:
        protocol, ports = _protocol_and_ports(permission)
        for target in _targets(region, group, permission):
            rules.append(SecurityGroupRule(region.ec2, protocol, group.id, *ports, is_egress=egress, **target))
    if not rules:
        raise AwsError("MissingParameter", "The request must contain a source or destination")
    return rules


def _single(params: dict[str, Any]) -> dict[str, Any]:
    """The older form of the request: one rule in flat parameters."""
    if "IpProtocol" not in params:
        raise AwsError("MissingParameter", "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.")
    single = {name: params[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in params}
    if "CidrIp" in params:
        single["IpRanges"] = [{"CidrIp": params["CidrIp"]}]
    return single


def _protocol_and_ports(permission: dict[str, Any]) -> tuple[str, tuple[Any, Any]]:
    asked = permission.get("IpProtocol", "").lower()
    protocol = _PROTOCOLS.get(asked, asked)
    if protocol == "-1":
        return protocol, (None, None)  # AWS ignores ports then
    from_port, to_port = permission.get("FromPort"), permission.get("ToPort")
    if protocol in _WITH_PORTS:
        if from_port is None or to_port is None:
            raise invalid_value("Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.")
        if not 0 <= from_port <= to_port <= 65535:
            raise invalid_value(f"Invalid TCP/UDP port range ({from_port}:{to_port})")
    elif not protocol.startswith("icmp") and not protocol.isdigit():
        raise invalid_value(f"Invalid value '{asked}' for IP protocol. Unknown protocol.")
    return protocol, (-1 if from_port is None else from_port, -1 if to_port is None else to_port)


def _targets(region: Region, group: Any, permission: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for ip_range in permission.get("IpRanges", []):
        yield {"ip_range": {**ip_range, "CidrIp": _canonical(ip_range["CidrIp"], 4)}}
    for ip_range in permission.get("Ipv6Ranges", []):
        yield {"ip_range": {**ip_range, "CidrIpv6": _canonical(ip_range["CidrIpv6"], 6)}}
    for pair in permission.get("UserIdGroupPairs", []):
        other = region.group(pair.get("GroupId", ""))
        if other is None:
            raise not_found(pair.get("GroupId", "sg-"))
        if other.vpc_id != group.vpc_id:
            raise AwsError(
                "InvalidGroup.NotFound", "You have specified two resources that belong to different networks."
            )
        kept = {"GroupId": other.id, "UserId": ACCOUNT}
        # moto reads a rule's description from its ip_range, whatever the rule's target.
        description = {"Description": pair["Description"]} if "Description" in pair else {}
        yield {"ip_range": description, "source_group": kept}
    for prefix_list in permission.get("PrefixListIds", []):
        description = {k: v for k, v in prefix_list.items() if k == "Description"}
        yield {"ip_range": description, "prefix_list_id": prefix_list}


def _canonical(cidr: str, version: int) -> str:
    """AWS: "100.68.0.18/18" is kept as "100.68.0.0/18"."""
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError as error:
        raise invalid_value(f"CIDR block {cidr} is malformed") from error
    if network.version != version or "/" not in cidr:
        raise invalid_value(f"CIDR block {cidr} is malformed")
    return str(network)


def _key(rule: SecurityGroupRule) -> tuple[Any, ...]:
    """The identity of a rule, without its description."""
    target = (rule.cidr_ipv4, rule.cidr_ipv6, rule.source_group.get("GroupId"), rule.prefix_list_id)
    return (rule.ip_protocol, rule.from_port, rule.to_port, *target)


def _words(rule: SecurityGroupRule) -> str:
    peer = rule.cidr_ipv4 or rule.cidr_ipv6 or rule.source_group.get("GroupId") or rule.prefix_list_id
    ports = "" if rule.from_port is None else f", from port: {rule.from_port}, to port: {rule.to_port}"
    return f"peer: {peer}, {rule.ip_protocol}{ports}, ALLOW"


def permissions(rules: Iterable[SecurityGroupRule]) -> list[dict[str, Any]]:
    """Rules in the form of DescribeSecurityGroups: one permission for each protocol and ports."""
    grouped: dict[tuple[Any, ...], dict[str, Any]] = {}
    for rule in rules:
        shown = grouped.setdefault(
            (rule.ip_protocol, rule.from_port, rule.to_port),
            {
                "IpProtocol": rule.ip_protocol,
                "FromPort": rule.from_port,
                "ToPort": rule.to_port,
                "IpRanges": [],
                "Ipv6Ranges": [],
                "UserIdGroupPairs": [],
                "PrefixListIds": [],
            },
        )
        described = {"Description": rule.description} if rule.description else {}
        if rule.cidr_ipv4:
            shown["IpRanges"].append({"CidrIp": rule.cidr_ipv4, **described})
        elif rule.cidr_ipv6:
            shown["Ipv6Ranges"].append({"CidrIpv6": rule.cidr_ipv6, **described})
        elif rule.source_group:
            pair = {"GroupId": rule.source_group["GroupId"], "UserId": ACCOUNT}
            shown["UserIdGroupPairs"].append({**pair, **described})
        else:
            shown["PrefixListIds"].append({"PrefixListId": rule.prefix_list_id, **described})
    return list(grouped.values())


def describe_security_group_rules(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    page, token = describe(
        call.params,
        [_rule(region, rule) for group in all_groups(region) for rule in group.ingress_rules + group.egress_rules],
        id_field="SecurityGroupRuleId",
        ids_param="SecurityGroupRuleIds",
        filters={"group-id": field("GroupId"), "security-group-rule-id": field("SecurityGroupRuleId")},
    )
    return {"SecurityGroupRules": page, "NextToken": token}


def _rule(region: Region, rule: SecurityGroupRule) -> dict[str, Any]:
    shown = {
        "SecurityGroupRuleId": rule.id,
        "GroupId": rule.group_id,
        "GroupOwnerId": ACCOUNT,
        "IsEgress": rule.is_egress,
        "IpProtocol": rule.ip_protocol,
        # The list of rules has -1, and DescribeSecurityGroups no ports.
        "FromPort": -1 if rule.from_port is None else rule.from_port,
        "ToPort": -1 if rule.to_port is None else rule.to_port,
        "CidrIpv4": rule.cidr_ipv4,
        "CidrIpv6": rule.cidr_ipv6,
        "PrefixListId": rule.prefix_list_id,
        "Description": rule.description,
        "SecurityGroupRuleArn": f"arn:aws:ec2:{region.name}:{ACCOUNT}:security-group-rule/{rule.id}",
        "Tags": tag_list(region.tags(rule.id)),
    }
    if rule.source_group:
        shown["ReferencedGroupInfo"] = {"GroupId": rule.source_group["GroupId"], "UserId": ACCOUNT}
    return shown
