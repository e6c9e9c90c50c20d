"""Lambda's network interfaces. One per (subnet, set of groups), shared by every function that has the pair; it stays
for a while after the last of them left, and Lambda removes it in the name of the role that it was made for."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from .. import policies
from ..ec2 import interfaces
from ..world import Region, World
from .checks import role_allows

Pair = tuple[str, frozenset[str]]


@dataclass
class SharedInterface:
    interface_id: str
    role_arn: str  # of the function that it was made for
    users: set[str] = field(default_factory=set)  # function names and published versions' ARNs
    departures: int = 0  # the departures of a last user: each starts the delay anew


def _pairs(vpc: dict[str, Any] | None) -> list[Pair]:
    if not vpc:
        return []
    return [(subnet_id, frozenset(vpc["SecurityGroupIds"])) for subnet_id in vpc["SubnetIds"]]


def attach(region: Region, user: str, role: Any, vpc: dict[str, Any] | None) -> None:
    for subnet_id, groups in _pairs(vpc):
        shared = region.hyperplane.get((subnet_id, groups))
        if shared is None or region.ec2.enis[shared.interface_id].status != "in-use":
            interface = interfaces.create_managed(
                region,
                region.subnet(subnet_id),
                vpc["SecurityGroupIds"],
                kind="lambda",
                description=f"AWS Lambda VPC ENI-{user}-{uuid.uuid4()}",
                requester=f"{role.id}:{user}",
            )
            shared = region.hyperplane[(subnet_id, groups)] = SharedInterface(interface.id, role.arn)
        shared.users.add(user)


def detach(world: World, region: Region, user: str, vpc: dict[str, Any] | None) -> None:
    for pair in _pairs(vpc):
        shared = region.hyperplane.get(pair)
        if shared is None:
            continue
        shared.users.discard(user)
        if not shared.users:
            shared.departures += 1
            world.clock.after(
                "interfaceReleased",
                lambda pair=pair, shared=shared, n=shared.departures: _release(world, region, pair, shared, n),
            )


def _release(world: World, region: Region, pair: Pair, shared: SharedInterface, departure: int) -> None:
    if shared.users or shared.departures != departure or region.hyperplane.get(pair) is not shared:
        return  # in use again, detached again later, or deleted already
    role = next((role for role in world.iam.roles.values() if role.arn == shared.role_arn), None)
    if role is not None and role_allows(world, role, "ec2:DeleteNetworkInterface"):
        interfaces.remove(region, shared.interface_id)
        del region.hyperplane[pair]
    else:
        # Without the role, Lambda cannot delete the interface, which is left behind for somebody else to delete.
        region.ec2.enis[shared.interface_id].status = "available"
