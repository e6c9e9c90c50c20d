"""The admin API, /_local/…: the settings and state for tests. Its calls are not in the journal, and no fault hits them."""

import ipaddress
import json
import urllib.parse
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from .authorization import Authorization
from .ec2.endpoint_services import SERVICES
from .faults import Fault, Faults
from .functions.datapath import reachable
from .journal import Journal
from .wire import Request, Response
from .world import Region, World

ROUTES = ("isolated", "nat", "public")
ENDPOINT_STATES = (
    "pendingAcceptance", "pending", "available", "deleting", "deleted", "rejected", "failed", "expired", "partial",
)  # fmt: skip


class Admin:
    def __init__(self, world: World, journal: Journal, faults: Faults, authorization: Authorization):
        self._world, self._journal, self._faults, self._authorization = world, journal, faults, authorization
        self._routes: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("POST", "vpc"): self._make_vpc,
            ("GET", "journal"): lambda asked: journal.since(int(asked.get("since", 0))),
            ("GET", "delays"): lambda _: world.clock.delays,
            ("PUT", "delays"): self._set_delays,
            ("GET", "faults"): lambda _: {"faults": faults.left()},
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "policy"): lambda asked: authorization.usage(asked["accessKeyId"]),
            ("PUT", "policy"): self._set_policy,
            ("GET", "settings"): lambda _: self._settings(),
            ("PUT", "settings"): self._set_settings,
            ("PUT", "vpc"): self._set_vpc,
            ("PUT", "endpoint"): self._set_endpoint,
            ("PUT", "function"): self._set_function,
            ("PUT", "logGroup"): self._set_log_group,
            ("GET", "inventory"): lambda asked: self._inventory(self._region(asked)),
            ("GET", "reachable"): self._reachable,
        }

    def handle(self, request: Request) -> Response:
        name = request.path.removeprefix("/_local/").strip("/")
        route = self._routes.get((request.method, name))
        if route is None:
            known = [f"{method} /_local/{path}" for method, path in self._routes]
            return _json(404, {"error": f"no {request.method} {request.path}; there are {known}"})
        try:
            asked = dict(urllib.parse.parse_qsl(request.query))
            if request.body:
                asked |= json.loads(request.body)
            with self._world.lock:
                self._world.clock.run_due()
                return _json(200, route(asked))
        except (ValueError, KeyError, TypeError) as error:
            return _json(400, {"error": f"{type(error).__name__}: {error}"})

    def _region(self, asked: dict[str, Any]) -> Region:
        return self._world.region(asked.get("region", "us-east-1"))

    def _make_vpc(self, asked: dict[str, Any]) -> dict[str, Any]:
        return make_vpc(self._region(asked), asked)

    def _set_delays(self, asked: dict[str, Any]) -> dict[str, float]:
        self._world.clock.set_delays(asked)
        return self._world.clock.delays

    def _add_fault(self, asked: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(asked) - {field.name for field in fields(Fault)})
        if unknown:
            raise ValueError(f"unknown: {unknown}")
        self._faults.add(Fault(**asked))
        return {"faults": self._faults.left()}

    def _clear_faults(self, _: dict[str, Any]) -> dict[str, Any]:
        self._faults.clear()
        return {"faults": []}

    def _set_policy(self, asked: dict[str, Any]) -> dict[str, Any]:
        """{"accessKeyId", "document"}: limits the calls with this key by an IAM policy"""
        self._authorization.set(asked["accessKeyId"], asked["document"])
        return self._authorization.usage(asked["accessKeyId"])

    def _settings(self) -> dict[str, Any]:
        world = self._world
        return {
            "pascalCaseStates": world.pascal_case_states,
            "serviceZones": world.service_zones,
            "servicesWithoutPolicy": sorted(world.services_without_policy),
        }

    def _set_settings(self, asked: dict[str, Any]) -> dict[str, Any]:
        """E.g. {"pascalCaseStates": true, "serviceZones": {"bedrock-runtime": ["a", "b"]}}"""
        unknown = sorted(set(asked) - set(self._settings()))
        services = [*asked.get("serviceZones", {}), *asked.get("servicesWithoutPolicy", [])]
        unknown += [service for service in services if service not in SERVICES]
        if unknown:
            raise ValueError(f"unknown: {unknown}")
        world = self._world
        world.pascal_case_states = asked.get("pascalCaseStates", world.pascal_case_states)
        world.service_zones = asked.get("serviceZones", world.service_zones)
        world.services_without_policy = set(asked.get("servicesWithoutPolicy", world.services_without_policy))
        return self._settings()

    def _set_vpc(self, asked: dict[str, Any]) -> dict[str, Any]:
        """{"id", "closed"}: whether the network ACLs of a VPC drop everything"""
        region = self._region(asked)
        (region.closed_vpcs.add if asked["closed"] else region.closed_vpcs.discard)(asked["id"])
        return {"closed": sorted(region.closed_vpcs)}

    def _set_endpoint(self, asked: dict[str, Any]) -> dict[str, Any]:
        """{"id", "state"}: states that PrivateLink enters by itself: failed, rejected, partial, …"""
        endpoint = self._region(asked).endpoints[asked["id"]]
        if asked["state"] not in ENDPOINT_STATES:
            raise ValueError(f"state: one of {ENDPOINT_STATES}")
        endpoint.state = asked["state"]
        endpoint.last_error = asked.get("lastError")
        return {"id": endpoint.id, "state": endpoint.state}

    def _set_function(self, asked: dict[str, Any]) -> dict[str, Any]:
        """{"name", "state"?, "reasonCode"?, "reason"?, "lastUpdateStatus"?}: Inactive, Failed, … without waiting"""
        function = self._region(asked).functions[asked["name"]]
        reason = (asked.get("reasonCode", "InternalError"), asked.get("reason", "set by the test"))
        if "state" in asked:
            function.state = asked["state"]
            function.state_reason = None if function.state == "Active" else reason
        if "lastUpdateStatus" in asked:
            function.last_update, function.last_update_reason = asked["lastUpdateStatus"], reason
        return function.configuration()

    def _set_log_group(self, asked: dict[str, Any]) -> dict[str, Any]:
        """{"name", "storedBytes"}: the stored bytes of a group in DescribeLogGroups"""
        region = self._region(asked)
        region.stored_bytes[region.logs.groups[asked["name"]].name] = int(asked["storedBytes"])
        return {"storedBytes": region.stored_bytes}

    def _reachable(self, asked: dict[str, Any]) -> dict[str, Any]:
        region = self._region(asked)
        return reachable(region, region.functions[asked["function"]])

    def _inventory(self, region: Region) -> dict[str, Any]:
        """All resources that were made and not removed. They must be gone in the end."""
        groups = [group for in_vpc in region.ec2.groups.values() for group in in_vpc.values()]
        tagger = region.logs.tagger

        def ec2(ids: Any) -> list[dict[str, Any]]:
            return [{"id": each, "tags": dict(region.tags(each))} for each in ids]

        return {
            "endpoints": ec2(e.id for e in region.endpoints.values() if e.state not in ("deleting", "deleted")),
            "securityGroups": ec2(group.id for group in groups if group.name != "default"),
            "interfaces": ec2(eni.id for eni in region.ec2.enis.values() if eni.requester_managed),
            "functions": [{"id": name, "tags": f.tags} for name, f in region.functions.items()],
            "roles": [
                {"id": role.name, "tags": {tag["Key"]: tag["Value"] for tag in role.tags}}
                for role in self._world.iam.roles.values()
            ],
            "logGroups": [
                {"id": name, "tags": tagger.get_tag_dict_for_resource(group.arn)}
                for name, group in region.logs.groups.items()
            ],
        }


def _json(status: int, value: Any) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(value).encode())


def make_vpc(region: Region, asked: dict[str, Any]) -> dict[str, Any]:
    """A typical VPC: private subnets with or without a way out, or public subnets."""
    route = asked.get("route", "isolated")
    if route not in ROUTES:
        raise ValueError(f"route: one of {ROUTES}, not {route!r}")
    ec2, zones = region.ec2, asked.get("azs", ["a", "b"])
    cidr = asked.get("cidr", "10.0.0.0/16")
    blocks = ipaddress.ip_network(cidr).subnets(new_prefix=asked.get("subnetPrefix", 20))
    vpc = ec2.create_vpc(cidr, instance_tenancy=asked.get("tenancy", "default"))
    if "owner" in asked:
        region.vpc_owners[vpc.id] = asked["owner"]
    vpc.enable_dns_support = asked.get("dnsSupport", True)
    vpc.enable_dns_hostnames = asked.get("dnsHostnames", True)
    ec2.create_tags([vpc.id], asked.get("tags", {}))

    def subnet(zone: str, table: Any) -> str:
        made = ec2.create_subnet(vpc.id, str(next(blocks)), availability_zone=f"{region.name}{zone}")
        ec2.associate_route_table(table.id, subnet_id=made.id)
        return made.id

    table = ec2.create_route_table(vpc.id)
    tables, public = [table.id], []
    if route == "isolated":
        return _made(vpc, [subnet(zone, table) for zone in zones], public, tables)
    gateway = ec2.create_internet_gateway()
    ec2.attach_internet_gateway(gateway.id, vpc.id)
    if route == "public":
        ec2.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)
        subnets = [subnet(zone, table) for zone in zones]
        return _made(vpc, subnets, subnets, tables)
    public_table = ec2.create_route_table(vpc.id)
    ec2.create_route(public_table.id, "0.0.0.0/0", gateway_id=gateway.id)
    public.append(subnet(zones[0], public_table))
    nat = ec2.create_nat_gateway(public[0], ec2.allocate_address("vpc").allocation_id)
    ec2.create_route(table.id, "0.0.0.0/0", nat_gateway_id=nat.id)
    return _made(vpc, [subnet(zone, table) for zone in zones], public, [*tables, public_table.id])


def _made(vpc: Any, subnets: list[str], public: list[str], tables: list[str]) -> dict[str, Any]:
    return {"vpcId": vpc.id, "subnetIds": subnets, "publicSubnetIds": public, "routeTableIds": tables}
