"""AWS's Service Authorization Reference: the condition keys of an action on a resource."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).resolve().parents[3] / "reference" / "authorization.json"
# A variable such as ${Account}, after re.escape.
_VARIABLE = re.compile(r"\\\$\\\{[^}]*\\\}")


class NotInReferenceError(Exception):
    """The local AWS checks a policy for something that AWS never checks: a mistake of the local AWS."""


class Reference:
    def __init__(self, services: dict[str, Any]) -> None:
        self._services = services

    def known(self, action: str, resource: str, context: dict[str, str]) -> dict[str, str]:
        """The part of a context that the action has on a resource of that type."""
        patterns = [_pattern(key) for key in self._keys(action, resource)]
        return {key: value for key, value in context.items() if any(pattern.fullmatch(key) for pattern in patterns)}

    def _keys(self, action: str, resource: str) -> set[str]:
        prefix, _, name = action.partition(":")
        service = self._services[prefix]
        if name not in service["actions"]:
            raise NotInReferenceError(f"{action} is no action")
        row = service["actions"][name]
        if resource == "*":
            return set(row["keys"])
        kinds = [kind for kind in row["resources"] if _pattern(service["resources"][kind]["arn"]).fullmatch(resource)]
        if not kinds:
            raise NotInReferenceError(f"{action} knows no resource such as {resource}")
        # The keys of the pair, or else those of the type (aws:ResourceTag of lambda, logs and iam).
        return {
            *row["keys"],
            *(key for kind in kinds for key in row["resources"][kind] or service["resources"][kind]["keys"]),
        }


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(_VARIABLE.sub(".+", re.escape(template)))


REFERENCE = Reference(json.loads(_FILE.read_text())["services"])
