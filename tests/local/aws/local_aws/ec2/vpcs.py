"""VPCs, subnets, route tables: moto's state, AWS's filters and pages."""

from typing import Any

from ..errors import AwsError, invalid_value, not_found
from ..ids import ACCOUNT
from ..wire import Call
from ..world import Region, World
from .describe import describe, each, field
from .tags import tag_list


def vpc_of(region: Region, vpc_id: str | None) -> Any:
    if vpc_id not in region.ec2.vpcs:
        raise not_found(vpc_id or "vpc-")
    return region.ec2.vpcs[vpc_id]


def owner(region: Region, vpc_id: str) -> str:
    """The account that owns a VPC with its subnets and route tables."""
    return region.vpc_owners.get(vpc_id, ACCOUNT)


def describe_vpcs(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    page, token = describe(
        call.params,
        [_vpc(region, vpc) for vpc in region.ec2.vpcs.values()],
        id_field="VpcId",
        ids_param="VpcIds",
        filters={
            "vpc-id": field("VpcId"),
            "cidr": field("CidrBlock"),
            "state": field("State"),
            "is-default": field("IsDefault"),
            "isDefault": field("IsDefault"),
        },
    )
    return {"Vpcs": page, "NextToken": token}


def _vpc(region: Region, vpc: Any) -> dict[str, Any]:
    return {
        "VpcId": vpc.id,
        "OwnerId": owner(region, vpc.id),
        "State": vpc.state,
        "CidrBlock": vpc.cidr_block,
        "DhcpOptionsId": vpc.dhcp_options_id,
        "InstanceTenancy": vpc.instance_tenancy,
        "IsDefault": vpc.is_default,
        "CidrBlockAssociationSet": [
            {
                "AssociationId": block["association_id"],
                "CidrBlock": block["cidr_block"],
                "CidrBlockState": {"State": "associated"},
            }
            for block in vpc.get_cidr_block_association_set(ipv6=False)
        ],
        "Ipv6CidrBlockAssociationSet": [
            {
                "AssociationId": block["association_id"],
                "Ipv6CidrBlock": block["cidr_block"],
                "Ipv6CidrBlockState": {"State": "associated"},
            }
            for block in vpc.get_cidr_block_association_set(ipv6=True)
        ],
        "Tags": tag_list(region.tags(vpc.id)),
    }


# AWS's names of the attributes, and moto's.
_ATTRIBUTES = {
    "enableDnsSupport": ("EnableDnsSupport", "enable_dns_support"),
    "enableDnsHostnames": ("EnableDnsHostnames", "enable_dns_hostnames"),
    "enableNetworkAddressUsageMetrics": (
        "EnableNetworkAddressUsageMetrics",
        "enable_network_address_usage_metrics",
    ),
}


def describe_vpc_attribute(world: World, call: Call) -> dict[str, Any]:
    vpc = vpc_of(world.region(call.region), call.params.get("VpcId"))
    attribute = call.params.get("Attribute", "")
    if attribute not in _ATTRIBUTES:
        raise invalid_value(f"Value ({attribute}) for parameter attribute is invalid. Unknown attribute.")
    name, moto_name = _ATTRIBUTES[attribute]
    return {"VpcId": vpc.id, name: {"Value": bool(getattr(vpc, moto_name))}}


def modify_vpc_attribute(world: World, call: Call) -> dict[str, Any]:
    vpc = vpc_of(world.region(call.region), call.params.get("VpcId"))
    changes = [
        (moto_name, call.params[name]["Value"]) for name, moto_name in _ATTRIBUTES.values() if name in call.params
    ]
    if len(changes) != 1:
        # AWS: "You can't modify both attributes in the same request."
        raise AwsError("InvalidParameterCombination", "Exactly one attribute may be modified per request")
    moto_name, value = changes[0]
    if moto_name == "enable_dns_hostnames" and value and not vpc.enable_dns_support:
        raise invalid_value("enableDnsHostnames can only be enabled when enableDnsSupport is enabled")
    setattr(vpc, moto_name, value)
    return {}


def delete_vpc(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    vpc, ec2 = vpc_of(region, call.params.get("VpcId")), region.ec2
    in_vpc = [
        *(subnet for zone in ec2.subnets.values() for subnet in zone.values() if subnet.vpc_id == vpc.id),
        *(group for group in ec2.groups[vpc.id].values() if group.name != "default"),
        *(table for table in ec2.route_tables.values() if table.vpc_id == vpc.id and not table.main_association_id),
        *(gateway for gateway in ec2.internet_gateways.values() if gateway.vpc is vpc),
        *(
            endpoint
            for endpoint in region.endpoints.values()
            if endpoint.vpc_id == vpc.id and endpoint.state != "deleted"
        ),
    ]
    if in_vpc:
        raise AwsError("DependencyViolation", f"The vpc '{vpc.id}' has dependencies and cannot be deleted.")
    ec2.delete_vpc(vpc.id)
    ec2.tags.pop(vpc.id, None)
    return {}


def delete_subnet(world: World, call: Call) -> dict[str, Any]:
    region, subnet_id = world.region(call.region), call.params.get("SubnetId", "")
    if region.subnet(subnet_id) is None:
        raise not_found(subnet_id or "subnet-")
    if any(interface.subnet.id == subnet_id for interface in region.ec2.enis.values()):
        raise AwsError("DependencyViolation", f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
    region.ec2.delete_subnet(subnet_id)
    for table in region.ec2.route_tables.values():  # an association ends with its subnet
        for association_id in [a for a, target in table._associations.items() if target == subnet_id]:
            del table._associations[association_id]
    region.ec2.tags.pop(subnet_id, None)
    return {}


def describe_subnets(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    in_use: dict[str, int] = {}
    for interface in region.ec2.enis.values():
        in_use[interface.subnet.id] = in_use.get(interface.subnet.id, 0) + len(interface.private_ip_addresses)
    page, token = describe(
        call.params,
        [_subnet(region, s, in_use.get(s.id, 0)) for zone in region.ec2.subnets.values() for s in zone.values()],
        id_field="SubnetId",
        ids_param="SubnetIds",
        filters={
            "subnet-id": field("SubnetId"),
            "vpc-id": field("VpcId"),
            "availability-zone": field("AvailabilityZone"),
            "availabilityZone": field("AvailabilityZone"),
            "availability-zone-id": field("AvailabilityZoneId"),
            "cidr-block": field("CidrBlock"),
            "default-for-az": field("DefaultForAz"),
            "map-public-ip-on-launch": field("MapPublicIpOnLaunch"),
            "state": field("State"),
        },
    )
    return {"Subnets": page, "NextToken": token}


def _subnet(region: Region, subnet: Any, in_use: int) -> dict[str, Any]:
    return {
        "SubnetId": subnet.id,
        "SubnetArn": f"arn:aws:ec2:{region.name}:{ACCOUNT}:subnet/{subnet.id}",
        "VpcId": subnet.vpc_id,
        "OwnerId": owner(region, subnet.vpc_id),
        "State": subnet.state,
        "CidrBlock": subnet.cidr_block,
        "AvailabilityZone": subnet.availability_zone,
        "AvailabilityZoneId": subnet.availability_zone_id,
        # AWS keeps the first four addresses and the last.
        "AvailableIpAddressCount": subnet.cidr.num_addresses - 5 - in_use,
        "DefaultForAz": bool(subnet.default_for_az),
        "MapPublicIpOnLaunch": str(subnet.map_public_ip_on_launch).lower() == "true",
        "AssignIpv6AddressOnCreation": bool(subnet.assign_ipv6_address_on_creation),
        "Ipv6Native": bool(subnet.ipv6_native),
        "Tags": tag_list(region.tags(subnet.id)),
    }


def describe_route_tables(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    page, token = describe(
        call.params,
        [_route_table(region, table) for table in region.ec2.route_tables.values()],
        id_field="RouteTableId",
        ids_param="RouteTableIds",
        filters={
            "route-table-id": field("RouteTableId"),
            "vpc-id": field("VpcId"),
            "association.main": each("Associations", "Main"),
            "association.subnet-id": each("Associations", "SubnetId"),
            "association.route-table-association-id": each("Associations", "RouteTableAssociationId"),
            "route.gateway-id": each("Routes", "GatewayId"),
            "route.nat-gateway-id": each("Routes", "NatGatewayId"),
            "route.destination-cidr-block": each("Routes", "DestinationCidrBlock"),
        },
        page=100,  # "The default value is 100", and the largest
    )
    return {"RouteTables": page, "NextToken": token}


def _route_table(region: Region, table: Any) -> dict[str, Any]:
    associations = [{"Main": False, **association} for association in table.associations]
    return {
        "RouteTableId": table.id,
        "VpcId": table.vpc_id,
        "OwnerId": owner(region, table.vpc_id),
        "Associations": associations,
        "PropagatingVgws": [],
        "Routes": [_route(route) for route in table.routes] + _gateway_endpoint_routes(region, table.id),
        "Tags": tag_list(region.tags(table.id)),
    }


def _gateway_endpoint_routes(region: Region, table_id: str) -> list[dict[str, Any]]:
    """A gateway endpoint adds a route to its service's prefix list to each of its route tables."""
    return [
        {
            "DestinationPrefixListId": f"pl-{endpoint.id[5:13]}",
            "GatewayId": endpoint.id,
            "Origin": "CreateRoute",
            "State": "active",
        }
        for endpoint in region.endpoints.values()
        if table_id in endpoint.route_table_ids and endpoint.state == "available"
    ]


def _route(route: Any) -> dict[str, Any]:
    prefix_list = route.destination_prefix_list
    return {
        "DestinationCidrBlock": route.destination_cidr_block or None,
        "DestinationIpv6CidrBlock": route.destination_ipv6_cidr_block or None,
        "DestinationPrefixListId": prefix_list.id if prefix_list else None,
        "GatewayId": route.gateway_id,
        "NatGatewayId": route.nat_gateway_id,
        "EgressOnlyInternetGatewayId": route.egress_only_internet_gateway_id,
        "TransitGatewayId": route.transit_gateway.id if route.transit_gateway else None,
        "VpcPeeringConnectionId": route.vpc_pcx.id if route.vpc_pcx else None,
        "NetworkInterfaceId": route.interface.id if route.interface else None,
        "InstanceId": route.instance_id,
        "CarrierGatewayId": route.carrier_gateway.id if route.carrier_gateway else None,
        "Origin": "CreateRouteTable" if route.local else "CreateRoute",
        "State": "active",
    }
