"""All state. moto keeps VPCs, subnets, routes, groups, interfaces, roles, logs; the rest is kept here, per region.

One lock guards everything: handlers are short, and Python would not run two of them at once anyway. Only the run of
a function's code is outside of it.
"""

import os
import threading
from dataclasses import dataclass, field
from typing import Any

from moto.backends import get_backend

from .clock import Clock
from .ids import ACCOUNT

# AWS's own managed policies (AWSLambdaVPCAccessExecutionRole, …); moto leaves them out by default.
os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")


@dataclass
class Region:
    name: str
    ec2: Any  # moto's EC2Backend
    logs: Any  # moto's LogsBackend
    endpoints: dict[str, Any] = field(default_factory=dict)  # id -> ec2.endpoints.Endpoint
    endpoint_tokens: dict[str, tuple[str, Any]] = field(default_factory=dict)  # token -> (parameters, Endpoint)
    functions: dict[str, Any] = field(default_factory=dict)  # name -> functions.model.Function
    closed_vpcs: set[str] = field(default_factory=set)  # their network ACLs drop everything
    vpc_owners: dict[str, str] = field(default_factory=dict)  # VPCs of other accounts, shared with this one
    stored_bytes: dict[str, int] = field(default_factory=dict)  # of log groups; AWS counts late, and this never
    hyperplane: dict[tuple[str, frozenset[str]], Any] = field(default_factory=dict)  # -> functions.hyperplane

    def group(self, group_id: str) -> Any | None:
        for groups in self.ec2.groups.values():
            if group_id in groups:
                return groups[group_id]
        return None

    def subnet(self, subnet_id: str) -> Any | None:
        for zone in self.ec2.subnets.values():
            if subnet_id in zone:
                return zone[subnet_id]
        return None

    def tags(self, resource_id: str) -> dict[str, str]:
        return self.ec2.tags.get(resource_id, {})


class World:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clock = Clock()
        self.regions: dict[str, Region] = {}
        self.unusable_roles: set[str] = set()  # ids of roles that Lambda cannot assume yet
        # DescribeVpcEndpointServices: letters of the zones per short service name; all others have DEFAULT_ZONES.
        self.service_zones: dict[str, list[str]] = {}
        self.services_without_policy: set[str] = set()
        # The EC2 documents have camelCase, PrivateLink often sends PascalCase: a client must accept both.
        self.pascal_case_states = False

    def region(self, name: str) -> Region:
        if name not in self.regions:
            self.regions[name] = Region(name, get_backend("ec2")[ACCOUNT][name], get_backend("logs")[ACCOUNT][name])
        return self.regions[name]

    @property
    def iam(self) -> Any:
        return get_backend("iam")[ACCOUNT]["aws"]
