"""DescribeVpcEndpointServices: the services of PrivateLink, with their zones and private names."""

import hashlib
from typing import Any

from moto.ec2.models.vpcs import AWS_ENDPOINT_SERVICES

from ..errors import AwsError
from ..wire import Call
from ..world import World
from .describe import describe, each, field

DEFAULT_ZONES = ["a", "b", "c"]
GATEWAY_SERVICES = ("s3", "dynamodb")
SERVICES = sorted({*AWS_ENDPOINT_SERVICES, "bedrock", "bedrock-runtime", "bedrock-agent", "bedrock-agent-runtime"})


def short_name(region: str, service_name: str) -> str | None:
    """`bedrock-runtime` of `com.amazonaws.us-east-1.bedrock-runtime`, if it is offered in this region."""
    prefix = f"com.amazonaws.{region}."
    short = service_name.removeprefix(prefix)
    return short if service_name.startswith(prefix) and short in SERVICES else None


def unknown_service(service_name: str) -> AwsError:
    return AwsError("InvalidServiceName", f"The Vpc Endpoint Service '{service_name}' does not exist")


def zones(world: World, region: str, short: str) -> list[str]:
    return [f"{region}{letter}" for letter in world.service_zones.get(short, DEFAULT_ZONES)]


def public_name(region: str, short: str) -> str:
    """The name that the SDKs call: `bedrock-runtime.us-east-1.amazonaws.com`; `ecr.api` is `api.ecr.…`."""
    return f"{'.'.join(reversed(short.split('.')))}.{region}.amazonaws.com"


def kind(short: str) -> str:
    return "Gateway" if short in GATEWAY_SERVICES else "Interface"


def describe_vpc_endpoint_services(world: World, call: Call) -> dict[str, Any]:
    region, names = call.region, call.params.get("ServiceNames", [])
    shorts = SERVICES
    if names:
        shorts = []
        for name in names:
            short = short_name(region, name)
            if short is None:
                raise unknown_service(name)
            shorts.append(short)
    page, token = describe(
        {k: v for k, v in call.params.items() if k != "ServiceNames"},
        [_service(world, region, short) for short in shorts],
        id_field="ServiceName",
        ids_param="ServiceNames",
        filters={
            "service-name": field("ServiceName"),
            "service-type": each("ServiceType", "ServiceType"),
            "owner": field("Owner"),
        },
        smallest_page=1,
    )
    return {"ServiceNames": [s["ServiceName"] for s in page], "ServiceDetails": page, "NextToken": token}


def _service(world: World, region: str, short: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "ServiceName": f"com.amazonaws.{region}.{short}",
        "ServiceId": f"vpce-svc-{_stable_number(region, short):017x}"[:26],
        "ServiceType": [{"ServiceType": kind(short)}],
        "ServiceRegion": region,
        "AvailabilityZones": zones(world, region, short),
        "Owner": "amazon",
        "BaseEndpointDnsNames": [f"{short}.{region}.vpce.amazonaws.com"],
        "VpcEndpointPolicySupported": short not in world.services_without_policy,
        "AcceptanceRequired": False,
        "ManagesVpcEndpoints": False,
        "SupportedIpAddressTypes": ["ipv4"],
        "Tags": [],
    }
    if kind(short) == "Interface":
        name = public_name(region, short)
        shown |= {
            "PrivateDnsName": name,
            "PrivateDnsNames": [{"PrivateDnsName": name}],
            "PrivateDnsNameVerificationState": "verified",
        }
    return shown


def _stable_number(*parts: str) -> int:
    """An id that is the same in every run."""
    return int.from_bytes(hashlib.sha256("/".join(parts).encode()).digest()[:8], "big")
