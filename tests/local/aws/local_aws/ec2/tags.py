"""Tags, with AWS's limits: 50 per resource, keys of 128 and values of 256 characters, no `aws:`."""

from typing import Any

from ..errors import AwsError, invalid_value, not_found
from ..wire import Call
from ..world import Region, World


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_at_creation(params: dict[str, Any], resource_type: str) -> dict[str, str]:
    """The tags of `TagSpecifications` for this type; checked before any resource is made."""
    tags: dict[str, str] = {}
    for specification in params.get("TagSpecifications", []):
        named = specification.get("ResourceType")
        if named != resource_type:
            raise invalid_value(f"'{named}' is not a valid taggable resource type for this operation.")
        for tag in specification.get("Tags", []):
            if tag["Key"] in tags:
                raise invalid_value(f"Duplicate tag key '{tag['Key']}' specified.")
            tags[tag["Key"]] = tag.get("Value", "")
    check(tags)
    return tags


def check(tags: dict[str, str], already: dict[str, str] | None = None) -> None:
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise invalid_value(f"Tag key or value too long: '{key}'. Keys: 1 to 128 characters; values: up to 256.")
        if key.lower().startswith("aws:"):
            raise invalid_value("Tag keys starting with 'aws:' are reserved for internal use")
    if len({**(already or {}), **tags}) > 50:
        raise AwsError("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")


def exists(region: Region, resource_id: str) -> bool:
    ec2 = region.ec2
    kind = resource_id.split("-")[0]
    match kind:
        case "vpc":
            return resource_id in ec2.vpcs
        case "subnet":
            return region.subnet(resource_id) is not None
        case "rtb":
            return resource_id in ec2.route_tables
        case "sg":
            return region.group(resource_id) is not None
        case "sgr":
            groups = (group for in_vpc in ec2.groups.values() for group in in_vpc.values())
            return any(rule.id == resource_id for group in groups for rule in group.ingress_rules + group.egress_rules)
        case "eni":
            return resource_id in ec2.enis
        case "vpce":
            return resource_id in region.endpoints
        case "igw":
            return resource_id in ec2.internet_gateways
        case "nat":
            return resource_id in ec2.nat_gateways
    return False


def create_tags(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    new = {tag["Key"]: tag.get("Value", "") for tag in call.params.get("Tags", [])}
    for resource_id in call.params.get("Resources", []):
        if not exists(region, resource_id):
            raise not_found(resource_id)
        check(new, region.tags(resource_id))
    for resource_id in call.params["Resources"]:
        region.ec2.tags[resource_id].update(new)
    return {}


def delete_tags(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    for resource_id in call.params.get("Resources", []):
        if not exists(region, resource_id):
            raise not_found(resource_id)
    for resource_id in call.params["Resources"]:
        tags = region.ec2.tags[resource_id]
        # A sent value must match; a key alone removes the tag; a request without tags removes all.
        for tag in call.params.get("Tags") or tag_list(dict(tags)):
            if "Value" not in tag or tags.get(tag["Key"]) == tag["Value"]:
                tags.pop(tag["Key"], None)
    return {}
