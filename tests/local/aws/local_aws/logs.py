"""CloudWatch Logs groups: moto's state, AWS's pages, names and retention values."""

import re
from typing import Any

from .errors import AwsError
from .wire import Call
from .world import Region, World

PAGE = 50
RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
_NAME = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")


def _invalid(what: str, value: object, rule: str) -> AwsError:
    return AwsError(
        "InvalidParameterException",
        f"1 validation error detected: Value '{value}' at '{what}' failed to satisfy constraint: {rule}",
    )


def _group(region: Region, name: str | None) -> Any:
    if name not in region.logs.groups:
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    return region.logs.groups[name]


def describe_log_groups(world: World, call: Call) -> dict[str, Any]:
    region, params = world.region(call.region), call.params
    prefix, pattern = params.get("logGroupNamePrefix"), params.get("logGroupNamePattern")
    if prefix and pattern:
        raise AwsError(
            "InvalidParameterException", "LogGroup name prefix and LogGroup name pattern are mutually exclusive"
        )
    limit = params.get("limit", PAGE)
    if not 1 <= limit <= PAGE:
        raise _invalid("limit", limit, "Member must be between 1 and 50")
    names = sorted(
        name for name in region.logs.groups if name.startswith(prefix or "") and (pattern or "").lower() in name.lower()
    )
    after = params.get("nextToken")
    if after:
        names = [name for name in names if name > after]
    result: dict[str, Any] = {"logGroups": [_shown(region, region.logs.groups[name]) for name in names[:limit]]}
    if len(names) > limit:
        result["nextToken"] = names[limit - 1]
    return result


def _shown(region: Region, group: Any) -> dict[str, Any]:
    shown = {
        "logGroupName": group.name,
        "arn": f"{group.arn}:*",
        "logGroupArn": group.arn,
        "creationTime": int(group.creation_time.timestamp() * 1000),
        "metricFilterCount": 0,
        "storedBytes": region.stored_bytes.get(group.name, 0),
        "logGroupClass": "STANDARD",
        "retentionInDays": group.retention_in_days,
        "kmsKeyId": group.kms_key_id,
    }
    return {name: value for name, value in shown.items() if value is not None}


def create_log_group(world: World, call: Call) -> dict[str, Any]:
    region, params = world.region(call.region), call.params
    name, tags = params.get("logGroupName", ""), params.get("tags", {})
    if not _NAME.fullmatch(name):
        raise _invalid("logGroupName", name, "Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+")
    _check_tags(tags)
    if name in region.logs.groups:
        raise AwsError("ResourceAlreadyExistsException", "The specified log group already exists")
    region.logs.create_log_group(name, tags, kmsKeyId=params.get("kmsKeyId"))
    return {}


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > 50 or any(not 1 <= len(k) <= 128 or len(v) > 256 or k.startswith("aws:") for k, v in tags.items()):
        raise AwsError("InvalidParameterException", "Up to 50 tags; keys up to 128, values up to 256 characters.")


def delete_log_group(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    group = _group(region, call.params.get("logGroupName"))
    region.logs.tagger.delete_all_tags_for_resource(group.arn)
    del region.logs.groups[group.name]
    region.stored_bytes.pop(group.name, None)
    return {}


def put_retention_policy(world: World, call: Call) -> dict[str, Any]:
    group = _group(world.region(call.region), call.params.get("logGroupName"))
    days = call.params.get("retentionInDays")
    if days not in RETENTION_DAYS:
        raise _invalid("retentionInDays", days, f"Member must satisfy enum value set: {list(RETENTION_DAYS)}")
    group.retention_in_days = days
    return {}


def delete_retention_policy(world: World, call: Call) -> dict[str, Any]:
    _group(world.region(call.region), call.params.get("logGroupName")).retention_in_days = None
    return {}


def _tagged(world: World, call: Call) -> tuple[Region, Any]:
    region, arn = world.region(call.region), call.params.get("resourceArn", "")
    for group in region.logs.groups.values():
        if arn == group.arn:
            return region, group
    # AWS refuses an ARN with ":*" at the end, such as `arn` in DescribeLogGroups.
    raise AwsError("ResourceNotFoundException", "The specified resource does not exist.")


def list_tags_for_resource(world: World, call: Call) -> dict[str, Any]:
    region, group = _tagged(world, call)
    return {"tags": region.logs.tagger.get_tag_dict_for_resource(group.arn)}


def tag_resource(world: World, call: Call) -> dict[str, Any]:
    region, group = _tagged(world, call)
    tags = call.params.get("tags", {})
    _check_tags({**region.logs.tagger.get_tag_dict_for_resource(group.arn), **tags})
    region.logs.tag_resource(group.arn, tags)
    return {}


def untag_resource(world: World, call: Call) -> dict[str, Any]:
    region, group = _tagged(world, call)
    region.logs.tagger.untag_resource_using_names(group.arn, call.params.get("tagKeys", []))
    return {}


HANDLERS = {
    "DescribeLogGroups": describe_log_groups,
    "CreateLogGroup": create_log_group,
    "DeleteLogGroup": delete_log_group,
    "PutRetentionPolicy": put_retention_policy,
    "DeleteRetentionPolicy": delete_retention_policy,
    "ListTagsForResource": list_tags_for_resource,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
