"""The reach of a function: DNS of the VPC's interface endpoints, and the security groups on both ends."""

import ipaddress
from typing import Any

from ..ec2.endpoints import Endpoint
from ..world import Region
from .model import Function

HTTPS = 443


def reachable(region: Region, function: Function) -> dict[str, Any]:
    """`hosts`: every name that the VPC's resolver answers for endpoints; `open`: addresses where 443 gets through."""
    hosts: dict[str, list[str]] = {}
    open_addresses: list[str] = []
    if function.vpc:
        for endpoint in region.endpoints.values():
            if (
                endpoint.vpc_id != function.vpc["VpcId"]
                or endpoint.kind != "Interface"
                or endpoint.state != "available"
            ):
                continue
            for name in endpoint.dns_names(region):
                hosts[name] = _addresses_of_name(region, endpoint, name)
            open_addresses += [a for a in endpoint.addresses(region) if _passes(region, function, endpoint, a)]
    return {"hosts": hosts, "open": open_addresses}


def _addresses_of_name(region: Region, endpoint: Endpoint, name: str) -> list[str]:
    """A zonal name has the address of its zone's interface; the others have all."""
    for subnet_id, interface_id in endpoint.interface_of.items():
        if name.startswith(f"{endpoint.id}-{endpoint.label}-{region.subnet(subnet_id).availability_zone}."):
            return [region.ec2.enis[interface_id].private_ip_address]
    return endpoint.addresses(region)


def _passes(region: Region, function: Function, endpoint: Endpoint, address: str) -> bool:
    """One of the function's groups allows the way out, and one of the endpoint's the way in. Groups are stateful."""
    if endpoint.vpc_id in region.closed_vpcs:
        return False
    function_groups = set(function.vpc["SecurityGroupIds"])
    out = any(
        _allows(rule, set(endpoint.group_ids), [address])
        for group_id in function_groups
        for rule in region.group(group_id).egress_rules
    )
    sources = _function_addresses(region, function)
    return out and any(
        _allows(rule, function_groups, sources)
        for group_id in endpoint.group_ids
        for rule in region.group(group_id).ingress_rules
    )


def _function_addresses(region: Region, function: Function) -> list[str]:
    groups = frozenset(function.vpc["SecurityGroupIds"])
    shared = [region.hyperplane.get((subnet_id, groups)) for subnet_id in function.vpc["SubnetIds"]]
    return [region.ec2.enis[s.interface_id].private_ip_address for s in shared if s is not None]


def _allows(rule: Any, peer_groups: set[str], peer_addresses: list[str]) -> bool:
    if rule.ip_protocol not in ("tcp", "-1"):
        return False
    if rule.ip_protocol == "tcp" and not rule.from_port <= HTTPS <= rule.to_port:
        return False
    if rule.source_group:
        return rule.source_group["GroupId"] in peer_groups
    if rule.cidr_ipv4:
        network = ipaddress.ip_network(rule.cidr_ipv4)
        return bool(peer_addresses) and all(ipaddress.ip_address(address) in network for address in peer_addresses)
    return False
