"""Network interfaces: moto's, with their manager and purpose as in AWS."""

from collections.abc import Iterable
from typing import Any

from moto.ec2.models.elastic_network_interfaces import NetworkInterface

from ..errors import AwsError, invalid_value, not_found
from ..ids import ACCOUNT, hex_id
from ..wire import Call
from ..world import Region, World
from .describe import describe, each, field
from .tags import tag_list


def create_managed(
    region: Region, subnet: Any, group_ids: Iterable[str], kind: str, description: str, requester: str
) -> NetworkInterface:
    """An interface that a service makes in the customer's subnet: an endpoint's, or Lambda's."""
    interface = NetworkInterface(
        region.ec2, subnet, _free_address(region, subnet), group_ids=list(group_ids), description=description
    )
    interface.id = hex_id("eni")
    interface.interface_type = kind
    interface.requester_managed = True
    interface.requester_id = requester
    interface.status = "in-use"
    region.ec2.enis[interface.id] = interface
    return interface


def _free_address(region: Region, subnet: Any) -> str:
    taken = {
        address["PrivateIpAddress"]
        for interface in region.ec2.enis.values()
        if interface.subnet.id == subnet.id
        for address in interface.private_ip_addresses
    }
    first = int(subnet.cidr.network_address)
    for number in range(first + 4, first + subnet.cidr.num_addresses - 1):  # AWS keeps the first four and the last
        address = str(type(subnet.cidr.network_address)(number))
        if address not in taken:
            return address
    raise AwsError("InsufficientFreeAddressesInSubnet", f"Insufficient free addresses in subnet '{subnet.id}'.")


def remove(region: Region, interface_id: str) -> None:
    region.ec2.enis.pop(interface_id, None)
    region.ec2.tags.pop(interface_id, None)


def set_groups(region: Region, interface_id: str, group_ids: Iterable[str]) -> None:
    region.ec2.enis[interface_id]._group_set = [region.group(group_id) for group_id in group_ids]


def describe_network_interfaces(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    page, token = describe(
        call.params,
        [_interface(region, interface) for interface in region.ec2.enis.values()],
        id_field="NetworkInterfaceId",
        ids_param="NetworkInterfaceIds",
        filters={
            "network-interface-id": field("NetworkInterfaceId"),
            "vpc-id": field("VpcId"),
            "subnet-id": field("SubnetId"),
            "availability-zone": field("AvailabilityZone"),
            "group-id": each("Groups", "GroupId"),
            "group-name": each("Groups", "GroupName"),
            "description": field("Description"),
            "interface-type": field("InterfaceType"),
            "status": field("Status"),
            "requester-id": field("RequesterId"),
            "requester-managed": field("RequesterManaged"),
            "private-ip-address": field("PrivateIpAddress"),
            "addresses.private-ip-address": each("PrivateIpAddresses", "PrivateIpAddress"),
            "owner-id": field("OwnerId"),
        },
    )
    return {"NetworkInterfaces": page, "NextToken": token}


def _interface(region: Region, interface: NetworkInterface) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "NetworkInterfaceId": interface.id,
        "InterfaceType": interface.interface_type,
        "Description": interface.description,
        "Status": interface.status,
        "OwnerId": ACCOUNT,
        "RequesterManaged": interface.requester_managed,
        "RequesterId": interface.requester_id if interface.requester_managed else None,
        "VpcId": interface.vpc_id,
        "SubnetId": interface.subnet.id,
        "AvailabilityZone": interface.subnet.availability_zone,
        "MacAddress": interface.mac_address,
        "PrivateIpAddress": interface.private_ip_address,
        "PrivateIpAddresses": [
            {"PrivateIpAddress": address["PrivateIpAddress"], "Primary": bool(address.get("Primary"))}
            for address in interface.private_ip_addresses
        ],
        "Groups": [{"GroupId": group.id, "GroupName": group.name} for group in interface.group_set],
        "SourceDestCheck": interface.requester_managed is False,
        "TagSet": tag_list(region.tags(interface.id)),
    }
    if interface.status == "in-use" and interface.requester_managed:
        shown["Attachment"] = {
            "AttachmentId": f"ela-attach-{interface.id[4:]}",
            "InstanceOwnerId": "amazon-aws",
            "DeviceIndex": 1,
            "Status": "attached",
            "DeleteOnTermination": False,
        }
    return shown


def delete_network_interface(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    interface_id = call.params.get("NetworkInterfaceId", "")
    interface = region.ec2.enis.get(interface_id)
    if interface is None:
        raise not_found(interface_id or "eni-")
    if interface.status == "in-use":
        raise invalid_value(f"Network interface '{interface_id}' is currently in use.")
    remove(region, interface_id)
    for key, hyperplane in list(region.hyperplane.items()):
        if hyperplane.interface_id == interface_id:
            del region.hyperplane[key]
    return {}
