"""VPC endpoints: the record, its names and interfaces, DescribeVpcEndpoints."""

import json
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime
from typing import Any

from ..ids import ACCOUNT
from ..wire import Call
from ..world import Region, World
from . import endpoint_services, interfaces
from .describe import describe, each, field
from .tags import tag_list

# AWS's default policy.
FULL_ACCESS = json.dumps(
    {"Statement": [{"Action": "*", "Effect": "Allow", "Principal": "*", "Resource": "*"}]}, separators=(",", ":")
)
_REGIONAL_ZONE, _PRIVATE_ZONE = "Z7HUB22UULQXV", "Z0PRIVATEDNS0000"


@dataclass
class Endpoint:
    id: str
    vpc_id: str
    service_name: str
    short_service: str
    kind: str  # Interface | Gateway
    label: str  # the random part of its DNS names
    created: datetime
    policy: str
    private_dns: bool
    group_ids: list[str]
    route_table_ids: list[str]
    ip_address_type: str = "ipv4"
    state: str = "pending"  # pending, available, deleting, deleted
    last_error: str | None = None
    interface_of: dict[str, str] = dataclass_field(default_factory=dict)  # subnet id -> interface id

    @property
    def alive(self) -> bool:
        return self.state in ("pending", "available")

    def dns_names(self, region: Region) -> list[str]:
        """The regional name, one per zone, and the public one where private DNS is on; as AWS orders them."""
        if self.kind != "Interface":
            return []
        base = f"{self.short_service}.{region.name}.vpce.amazonaws.com"
        zones = (region.subnet(subnet_id).availability_zone for subnet_id in self.interface_of)
        names = [f"{self.id}-{self.label}.{base}", *(f"{self.id}-{self.label}-{zone}.{base}" for zone in zones)]
        if self.private_dns:
            names.append(endpoint_services.public_name(region.name, self.short_service))
        return names

    def addresses(self, region: Region) -> list[str]:
        return [region.ec2.enis[interface_id].private_ip_address for interface_id in self.interface_of.values()]

    def add_subnet(self, region: Region, subnet_id: str) -> None:
        interface = interfaces.create_managed(
            region,
            region.subnet(subnet_id),
            self.group_ids,
            kind="vpc_endpoint",
            description=f"VPC Endpoint Interface {self.id}",
            requester="727180483921",
        )
        self.interface_of[subnet_id] = interface.id

    def remove_subnet(self, region: Region, subnet_id: str) -> None:
        interfaces.remove(region, self.interface_of.pop(subnet_id))

    def set_groups(self, region: Region, group_ids: list[str]) -> None:
        self.group_ids = group_ids
        for interface_id in self.interface_of.values():
            interfaces.set_groups(region, interface_id, group_ids)


def render(world: World, region: Region, endpoint: Endpoint) -> dict[str, Any]:
    public = endpoint_services.public_name(region.name, endpoint.short_service)
    state = endpoint.state[:1].upper() + endpoint.state[1:] if world.pascal_case_states else endpoint.state
    return {
        "VpcEndpointId": endpoint.id,
        "VpcEndpointType": endpoint.kind,
        "VpcId": endpoint.vpc_id,
        "ServiceName": endpoint.service_name,
        "State": state,
        "PolicyDocument": endpoint.policy,
        "RouteTableIds": endpoint.route_table_ids,
        "SubnetIds": list(endpoint.interface_of),
        # A group may be deleted while a deleted endpoint is still listed.
        "Groups": [
            {"GroupId": group.id, "GroupName": group.name}
            for group in map(region.group, endpoint.group_ids)
            if group is not None
        ],
        "IpAddressType": endpoint.ip_address_type if endpoint.kind == "Interface" else None,
        "DnsOptions": {"DnsRecordIpType": endpoint.ip_address_type} if endpoint.kind == "Interface" else None,
        "PrivateDnsEnabled": endpoint.private_dns,
        "RequesterManaged": False,
        "NetworkInterfaceIds": list(endpoint.interface_of.values()),
        "DnsEntries": [
            {"DnsName": name, "HostedZoneId": _PRIVATE_ZONE if name == public else _REGIONAL_ZONE}
            for name in endpoint.dns_names(region)
        ],
        "CreationTimestamp": endpoint.created,
        "LastError": {"Code": endpoint.state, "Message": endpoint.last_error} if endpoint.last_error else None,
        "OwnerId": ACCOUNT,
        "Tags": tag_list(region.tags(endpoint.id)),
    }


def describe_vpc_endpoints(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    page, token = describe(
        call.params,
        [render(world, region, endpoint) for endpoint in region.endpoints.values()],
        id_field="VpcEndpointId",
        ids_param="VpcEndpointIds",
        filters={
            "vpc-id": field("VpcId"),
            "vpc-endpoint-id": field("VpcEndpointId"),
            "service-name": field("ServiceName"),
            "vpc-endpoint-type": field("VpcEndpointType"),
            # The filter takes camelCase in either spelling of the state.
            "vpc-endpoint-state": lambda item: [item["State"], item["State"][:1].lower() + item["State"][1:]],
            "ip-address-type": field("IpAddressType"),
            "group-id": each("Groups", "GroupId"),
        },
        smallest_page=1,
    )
    return {"VpcEndpoints": page, "NextToken": token}
