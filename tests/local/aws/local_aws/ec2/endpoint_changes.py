"""CreateVpcEndpoint, ModifyVpcEndpoint, DeleteVpcEndpoints: the checks of PrivateLink, and the order of changes."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ..errors import AwsError, invalid_parameter, not_found
from ..ids import ACCOUNT, hex_id, short_label
from ..policies import check_endpoint_policy
from ..wire import Call
from ..world import Region, World
from . import endpoint_services
from .endpoints import FULL_ACCESS, Endpoint, render
from .tags import tags_at_creation
from .vpcs import owner, vpc_of

POLICY_LIMIT = 20_480
ENDPOINTS_PER_VPC = 50
GROUPS_PER_INTERFACE = 5


def create_vpc_endpoint(world: World, call: Call) -> dict[str, Any]:
    region, params = world.region(call.region), call.params
    token = params.get("ClientToken")
    parameters = _canonical_parameters(params)
    if token and token in region.endpoint_tokens:
        known_parameters, endpoint = region.endpoint_tokens[token]
        if known_parameters != parameters:
            raise AwsError(
                "IdempotentParameterMismatch",
                f"The client token {token} was already used with different parameters",
            )
        return _created(world, region, endpoint, token)  # the same endpoint, even if it was deleted since
    endpoint = _checked_new_endpoint(world, region, params)
    tags = tags_at_creation(params, "vpc-endpoint")
    for subnet_id in params.get("SubnetIds", []):
        endpoint.add_subnet(region, subnet_id)
    region.endpoints[endpoint.id] = endpoint
    region.ec2.tags[endpoint.id].update(tags)
    if token:
        region.endpoint_tokens[token] = (parameters, endpoint)
    world.clock.after("endpointAvailable", lambda: _become_available(endpoint))
    return _created(world, region, endpoint, token)


def _created(world: World, region: Region, endpoint: Endpoint, token: str | None) -> dict[str, Any]:
    return {"VpcEndpoint": render(world, region, endpoint), "ClientToken": token}


def _canonical_parameters(params: dict[str, Any]) -> str:
    relevant = {name: value for name, value in params.items() if name not in ("ClientToken", "DryRun")}
    return json.dumps(relevant, sort_keys=True)


def _become_available(endpoint: Endpoint) -> None:
    if endpoint.state == "pending":
        endpoint.state = "available"


def _checked_new_endpoint(world: World, region: Region, params: dict[str, Any]) -> Endpoint:
    vpc = _vpc(region, params.get("VpcId"))
    if owner(region, vpc.id) != ACCOUNT:
        # AWS PrivateLink guide, "Shared subnets": only their owner creates endpoints in them.
        raise AwsError("OperationNotPermitted", f"The vpc '{vpc.id}' belongs to another account")
    service_name = params.get("ServiceName", "")
    short = endpoint_services.short_name(region.name, service_name)
    if short is None:
        raise endpoint_services.unknown_service(service_name)
    kind = params.get("VpcEndpointType", "Gateway")
    offered = endpoint_services.kind(short)
    if kind != offered and not (kind == "Interface" and short in endpoint_services.GATEWAY_SERVICES):
        raise invalid_parameter(f"Vpc Endpoint Type ({kind}) does not match available service types ([{offered}]).")
    if sum(e.vpc_id == vpc.id and e.alive for e in region.endpoints.values()) >= ENDPOINTS_PER_VPC:
        raise AwsError(
            "VpcEndpointLimitExceeded", f"The maximum number of VPC endpoints for {vpc.id} has been reached."
        )
    endpoint = Endpoint(
        id=hex_id("vpce"),
        vpc_id=vpc.id,
        service_name=service_name,
        short_service=short,
        kind=kind,
        label=short_label(),
        created=datetime.now(UTC),
        policy=_checked_policy(params.get("PolicyDocument")) or FULL_ACCESS,
        # "Default: true" for interface endpoints.
        private_dns=kind == "Interface" and params.get("PrivateDnsEnabled", True),
        group_ids=[],
        route_table_ids=params.get("RouteTableIds", []),
        ip_address_type=_checked_families(params.get("IpAddressType", "ipv4"), vpc),
    )
    if kind == "Gateway":
        _check_gateway(region, vpc, params)
        return endpoint
    if params.get("RouteTableIds"):
        raise invalid_parameter("Route tables are not supported for Interface endpoints.")
    endpoint.group_ids = _checked_groups(region, vpc, params.get("SecurityGroupIds", []))
    _check_subnets(world, region, endpoint, params.get("SubnetIds", []))
    if endpoint.private_dns:
        _check_private_dns(region, endpoint)
    return endpoint


def _vpc(region: Region, vpc_id: str | None) -> Any:
    """PrivateLink spells InvalidVpcId, the rest of EC2 InvalidVpcID (ec2-controller#66)."""
    try:
        return vpc_of(region, vpc_id)
    except AwsError as error:
        raise AwsError("InvalidVpcId.NotFound", f"The Vpc Id '{vpc_id}' does not exist") from error


def _checked_families(families: str, vpc: Any) -> str:
    # AWS PrivateLink guide, "Access an AWS service": each subnet of an endpoint has addresses of its families.
    if families not in ("ipv4", "dualstack", "ipv6"):
        raise invalid_parameter(f"Invalid IpAddressType: {families}")
    if families != "ipv4" and not vpc.get_cidr_block_association_set(ipv6=True):
        raise invalid_parameter(f"The subnets of {vpc.id} have no IPv6 addresses")
    return families


def _check_gateway(region: Region, vpc: Any, params: dict[str, Any]) -> None:
    for name in ("SubnetIds", "SecurityGroupIds"):
        if params.get(name):
            raise invalid_parameter(f"{name} are only supported for Interface type VPC Endpoints.")
    if params.get("PrivateDnsEnabled"):
        raise invalid_parameter("Private DNS can only be enabled for Interface type VPC Endpoints.")
    for table_id in params.get("RouteTableIds", []):
        _check_route_table(region, vpc.id, table_id)


def _check_route_table(region: Region, vpc_id: str, table_id: str) -> None:
    table = region.ec2.route_tables.get(table_id)
    if table is None:
        raise not_found(table_id)
    if table.vpc_id != vpc_id:
        raise invalid_parameter(f"Route table {table_id} belongs to {table.vpc_id}, not to {vpc_id}")


def _checked_groups(region: Region, vpc: Any, group_ids: list[str]) -> list[str]:
    if not group_ids:  # AWS takes the VPC's default group then
        return [group.id for group in region.ec2.groups[vpc.id].values() if group.name == "default"]
    if len(set(group_ids)) > GROUPS_PER_INTERFACE:
        raise AwsError(
            "SecurityGroupsPerInterfaceLimitExceeded",
            "The maximum number of security groups per interface has been reached.",
        )
    for group_id in group_ids:
        group = region.group(group_id)
        if group is None:
            raise not_found(group_id)
        if group.vpc_id != vpc.id:
            raise invalid_parameter(f"Security group {group_id} and VPC {vpc.id} belong to different networks.")
    return list(dict.fromkeys(group_ids))


def _check_subnets(world: World, region: Region, endpoint: Endpoint, new_subnet_ids: Iterable[str]) -> None:
    taken = {region.subnet(subnet_id).availability_zone for subnet_id in endpoint.interface_of}
    offered = endpoint_services.zones(world, region.name, endpoint.short_service)
    for subnet_id in new_subnet_ids:
        subnet = region.subnet(subnet_id)
        if subnet is None:
            raise AwsError("InvalidSubnetId.NotFound", f"The subnet ID '{subnet_id}' does not exist")
        if subnet.vpc_id != endpoint.vpc_id:
            raise invalid_parameter(f"The subnet {subnet_id} does not belong to the VPC {endpoint.vpc_id}")
        zone = subnet.availability_zone
        if zone not in offered:
            raise invalid_parameter(
                f"The VPC endpoint service {endpoint.service_name} does not support the availability zone of the "
                f"subnet: {subnet_id}."
            )
        if zone in taken:
            raise AwsError(
                "DuplicateSubnetsInSameZone",
                f"Found another VPC endpoint subnet in the availability zone of {subnet_id}. VPC endpoint subnets "
                "should be in different availability zones supported by the VPC endpoint service.",
            )
        taken.add(zone)


def _check_private_dns(region: Region, endpoint: Endpoint) -> None:
    vpc = region.ec2.vpcs[endpoint.vpc_id]
    if not (vpc.enable_dns_support and vpc.enable_dns_hostnames):
        raise invalid_parameter(
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true "
            f"for {vpc.id}"
        )
    domain = endpoint_services.public_name(region.name, endpoint.short_service)
    for other in region.endpoints.values():
        # An endpoint holds its domain until the end of its deletion.
        if (
            other is not endpoint
            and other.private_dns
            and other.state != "deleted"
            and (other.vpc_id, other.short_service) == (endpoint.vpc_id, endpoint.short_service)
        ):
            raise invalid_parameter(
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for "
                f"{domain} in the VPC {vpc.id}"
            )


def _checked_policy(document: str | None) -> str | None:
    if not document:
        return None
    if len(document) > POLICY_LIMIT:
        raise AwsError("InvalidPolicyDocument", f"The policy document is longer than {POLICY_LIMIT} characters.")
    check_endpoint_policy(document)
    return document


def modify_vpc_endpoint(world: World, call: Call) -> dict[str, Any]:
    region, params = world.region(call.region), call.params
    endpoint = region.endpoints.get(params.get("VpcEndpointId", ""))
    if endpoint is None or endpoint.state == "deleted":
        raise not_found(params.get("VpcEndpointId", "vpce-"))
    if endpoint.state != "available":
        raise AwsError("IncorrectState", f"{endpoint.id} is in state {endpoint.state}; it must be available.")
    policy = FULL_ACCESS if params.get("ResetPolicy") else _checked_policy(params.get("PolicyDocument"))
    # All checks come before the first change.
    groups = _changed(
        endpoint.group_ids, params, "AddSecurityGroupIds", "RemoveSecurityGroupIds", unknown="InvalidGroup.NotFound"
    )
    if endpoint.kind == "Interface":
        if not groups:
            raise invalid_parameter("An interface endpoint needs at least one security group.")
        groups = _checked_groups(region, region.ec2.vpcs[endpoint.vpc_id], groups)
    subnets = _changed(
        list(endpoint.interface_of), params, "AddSubnetIds", "RemoveSubnetIds", unknown="InvalidSubnetId.NotFound"
    )
    removed = [subnet_id for subnet_id in endpoint.interface_of if subnet_id not in subnets]
    added = [subnet_id for subnet_id in subnets if subnet_id not in endpoint.interface_of]
    _check_subnets_after(world, region, endpoint, removed, added)
    tables = _changed(
        endpoint.route_table_ids,
        params,
        "AddRouteTableIds",
        "RemoveRouteTableIds",
        unknown="InvalidRouteTableId.NotFound",
    )
    for table_id in tables:
        _check_route_table(region, endpoint.vpc_id, table_id)
    vpc = region.ec2.vpcs[endpoint.vpc_id]
    families = _checked_families(params.get("IpAddressType", endpoint.ip_address_type), vpc)
    private_dns = params.get("PrivateDnsEnabled", endpoint.private_dns)
    if private_dns and not endpoint.private_dns:
        if endpoint.kind != "Interface":
            raise invalid_parameter("Private DNS can only be enabled for Interface type VPC Endpoints.")
        _check_private_dns(region, endpoint)

    endpoint.policy = policy or endpoint.policy
    endpoint.private_dns = private_dns
    endpoint.ip_address_type = families
    endpoint.route_table_ids = tables
    for subnet_id in removed:
        endpoint.remove_subnet(region, subnet_id)
    endpoint.set_groups(region, groups)
    for subnet_id in added:
        endpoint.add_subnet(region, subnet_id)
    return {"Return": True}


def _changed(now: list[str], params: dict[str, Any], add: str, remove: str, unknown: str) -> list[str]:
    removed = params.get(remove, [])
    for item in removed:
        if item not in now:
            raise AwsError(unknown, f"{item} is not associated with this endpoint")
    return list(dict.fromkeys([*(item for item in now if item not in removed), *params.get(add, [])]))


def _check_subnets_after(
    world: World, region: Region, endpoint: Endpoint, removed: list[str], added: list[str]
) -> None:
    kept = {k: v for k, v in endpoint.interface_of.items() if k not in removed}
    before, endpoint.interface_of = endpoint.interface_of, kept
    try:
        _check_subnets(world, region, endpoint, added)
    finally:
        endpoint.interface_of = before


def delete_vpc_endpoints(world: World, call: Call) -> dict[str, Any]:
    """Always answers 200; the body has the failures."""
    region, unsuccessful = world.region(call.region), []
    for endpoint_id in call.params.get("VpcEndpointIds", []):
        endpoint = region.endpoints.get(endpoint_id)
        if endpoint is None or endpoint.state == "deleted":
            # The EC2 reference of error codes has another code for bulk requests.
            error = {"Code": "InvalidVpcEndpoint.NotFound", "Message": f"The Vpc Endpoint Id '{endpoint_id}' does not exist"}
            unsuccessful.append({"ResourceId": endpoint_id, "Error": error})
        elif endpoint.alive:
            endpoint.state = "deleting"
            world.clock.after("endpointDeleted", lambda endpoint=endpoint: _delete(world, region, endpoint))
    return {"Unsuccessful": unsuccessful}


def _delete(world: World, region: Region, endpoint: Endpoint) -> None:
    for subnet_id in list(endpoint.interface_of):
        endpoint.remove_subnet(region, subnet_id)
    endpoint.state = "deleted"
    world.clock.after("endpointForgotten", lambda: _forget(region, endpoint))


def _forget(region: Region, endpoint: Endpoint) -> None:
    region.endpoints.pop(endpoint.id, None)
    region.ec2.tags.pop(endpoint.id, None)
