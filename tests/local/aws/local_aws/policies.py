"""Policy documents: their grammar, and whether a role allows an action. moto's validator checks most of the grammar."""

import json
import re
from collections.abc import Iterable
from typing import Any

from moto.iam.exceptions import MalformedPolicyDocument
from moto.iam.policy_validation import BaseIAMPolicyValidator, IAMPolicyDocumentValidator

from .errors import AwsError

_PRINCIPALS = ("Principal", "NotPrincipal")


class _EndpointPolicy(BaseIAMPolicyValidator):
    """A resource policy: every statement has a principal; the older version, AWS's own default, is valid too."""

    def _validate_version(self) -> None:
        """Unlike in a role's policy, version 2008-10-17 or no version is valid."""

    def validate(self) -> None:
        super().validate()
        for statement in self._statements:
            if not any(name in statement for name in _PRINCIPALS):
                raise MalformedPolicyDocument("Missing required field Principal")
            if "Resource" not in statement and "NotResource" not in statement:
                raise MalformedPolicyDocument("Policy statement must contain resources.")


class _RolePolicy(IAMPolicyDocumentValidator):
    def validate(self) -> None:
        super().validate()
        if any(name in statement for statement in self._statements for name in _PRINCIPALS):
            raise MalformedPolicyDocument("Policy document should not specify a principal.")


class _TrustPolicy(BaseIAMPolicyValidator):
    def validate(self) -> None:
        super().validate()
        for statement in self._statements:
            if not any(name in statement for name in _PRINCIPALS):
                raise MalformedPolicyDocument("AssumeRole policy must specify a principal.")
            if "Resource" in statement or "NotResource" in statement:
                raise MalformedPolicyDocument("Has prohibited field Resource")
            for action in listed(statement.get("Action")):
                if not action.lower().startswith(("sts:", "*")):
                    raise MalformedPolicyDocument("AssumeRole policy may only specify STS AssumeRole actions.")


def check_endpoint_policy(document: str) -> None:
    try:
        _EndpointPolicy(document).validate()
    except MalformedPolicyDocument as error:
        raise AwsError("InvalidPolicyDocument", f"The policy document is invalid: {error.message}") from error


def check_role_policy(document: str) -> None:
    _check_for_iam(_RolePolicy, document)


def check_trust_policy(document: str) -> None:
    _check_for_iam(_TrustPolicy, document)


def _check_for_iam(grammar: type[BaseIAMPolicyValidator], document: str) -> None:
    try:
        grammar(document).validate()
    except MalformedPolicyDocument as error:
        raise AwsError("MalformedPolicyDocument", error.message) from error


def size_without_whitespace(document: str) -> int:
    """The length that IAM counts."""
    return len(re.sub(r"\s", "", document))


def allowed(documents: Iterable[str], action: str) -> bool:
    """Is there an allow, and no deny without a condition? Conditions and resources are not evaluated: what this is
    asked about (network interfaces, sts:AssumeRole) has no resource to speak of, and a deny under a condition, as on
    `lambda:SourceFunctionArn`, is meant for the function's own code, not for the Lambda service."""
    statements = [statement for document in documents for statement in listed(json.loads(document)["Statement"])]
    matching = [s for s in statements if _names(s, action)]
    denied = any(s["Effect"] == "Deny" and not s.get("Condition") for s in matching)
    return not denied and any(s["Effect"] == "Allow" for s in matching)


def trusts_lambda(trust_document: str) -> bool:
    for statement in listed(json.loads(trust_document)["Statement"]):
        principal = statement.get("Principal", {})
        services = ["*"] if principal == "*" else listed(principal.get("Service"))
        lambda_is_named = any(service in ("*", "lambda.amazonaws.com") for service in services)
        if statement["Effect"] == "Allow" and _names(statement, "sts:AssumeRole") and lambda_is_named:
            return True
    return False


def _names(statement: dict[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not any(matches(pattern, action) for pattern in listed(statement["NotAction"]))
    return any(matches(pattern, action) for pattern in listed(statement.get("Action")))


def matches(pattern: str, action: str) -> bool:
    return glob(pattern, action, re.IGNORECASE)


def glob(pattern: str, text: str, flags: int = 0) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, flags) is not None


def listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
