"""The common parts of EC2's Describe calls: ids, filters with several values and wildcards, pages."""

import base64
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from ..errors import AwsError, invalid_value, not_found

Rendered = dict[str, Any]
# The values of one filter for one rendered item. One match is enough.
FilterValues = Callable[[Rendered], Iterable[Any]]


def field(name: str) -> FilterValues:
    return lambda item: [item.get(name)]


def each(list_name: str, name: str) -> FilterValues:
    return lambda item: [entry.get(name) for entry in item.get(list_name, [])]


def describe(
    params: dict[str, Any],
    items: list[Rendered],
    *,
    id_field: str,
    ids_param: str,
    filters: dict[str, FilterValues],
    page: int = 1000,
    smallest_page: int = 5,
) -> tuple[list[Rendered], str | None]:
    """The requested page of `items`, and the token of the next page."""
    ids = params.get(ids_param)
    if ids and params.get("MaxResults"):
        raise AwsError(
            "InvalidParameterCombination",
            f"The parameter {ids_param} cannot be used with the parameter maxResults",
        )
    if ids:
        by_id = {item[id_field]: item for item in items}
        for wanted in ids:
            if wanted not in by_id:
                raise not_found(wanted)
        items = [by_id[wanted] for wanted in dict.fromkeys(ids)]
    for wanted_filter in params.get("Filters", []):
        items = _matching(items, wanted_filter, filters)
    return paged(params, items, page, smallest_page)


def paged(
    params: dict[str, Any], items: list[Rendered], page: int = 1000, smallest_page: int = 5
) -> tuple[list[Rendered], str | None]:
    size = params.get("MaxResults")
    if size is not None and not smallest_page <= size <= 1000:
        raise invalid_value(f"Value ( {size} ) for parameter maxResults is invalid. Expecting {smallest_page} to 1000.")
    start = _offset(params["NextToken"]) if params.get("NextToken") else 0
    end = start + min(size or page, page)
    token = base64.urlsafe_b64encode(f"offset:{end}".encode()).decode() if end < len(items) else None
    return items[start:end], token


def _offset(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("offset:"))
    except ValueError as error:
        raise AwsError("InvalidNextToken", f"The token '{token}' is invalid") from error


def _matching(items: list[Rendered], wanted: dict[str, Any], filters: dict[str, FilterValues]) -> list[Rendered]:
    name, patterns = wanted["Name"], [_pattern(str(value)) for value in wanted.get("Values", [])]
    values_of = filters.get(name) or _tag_filter(name)
    if values_of is None:
        raise invalid_value(f"The filter '{name}' is invalid")
    return [
        item
        for item in items
        if any(p.fullmatch(_as_text(v)) for v in values_of(item) if v is not None for p in patterns)
    ]


def _tag_filter(name: str) -> FilterValues | None:
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda item: [tag["Value"] for tag in _tags(item) if tag["Key"] == key]
    if name == "tag-key":
        return lambda item: [tag["Key"] for tag in _tags(item)]
    return None


def _tags(item: Rendered) -> list[dict[str, str]]:
    return item.get("Tags") or item.get("TagSet") or []  # interfaces alone say TagSet


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@lru_cache(maxsize=4096)
def _pattern(value: str) -> re.Pattern[str]:
    """EC2's wildcards: * and ?, the rest literally; the case matters."""
    return re.compile(re.escape(value).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
