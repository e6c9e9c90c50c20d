"""Has parliament, a linter for IAM policies with AWS's own data, judge policies: a JSON list of them in, a JSON list of findings
out. It needs no network."""

import json
import sys
import warnings
from functools import cache

# It asks for its data by an interface of setuptools that is on its way out.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

from parliament import analyze_policy_string  # noqa: E402


def listed(value):
    return value if isinstance(value, list) else [value]


def abouts(detail):
    """One finding may be about several actions."""
    for item in listed(detail) or [""]:
        yield f"{item['action']} on {item['required_format']}" if isinstance(item, dict) else str(item or "")


def lint(document):
    """Findings as (statement, issue, about)."""
    statements = listed(document["Statement"])
    # What concerns the document as a whole, such as a Sid that is there twice. It takes its time about actions, so without them.
    kept = ("Sid", "Effect", "Principal")
    anything = [
        {"Action": "*", "Resource": "*", **{name: it for name, it in statement.items() if name in kept}} for statement in statements
    ]
    found = {("", finding.issue, about) for finding, about in analyzed({**document, "Statement": anything})}
    for statement in statements:
        found |= of_statement(json.dumps({**document, "Statement": [statement]}))
    return sorted(found)


@cache
def of_statement(policy):
    """It leaves a statement at the first action that its data do not have, so each action is judged by itself."""
    document = json.loads(policy)
    (statement,) = document["Statement"]
    actions = listed(statement["Action"])
    return {
        (statement.get("Sid", ""), finding.issue, about)
        for action in actions
        for finding, about in analyzed({**document, "Statement": [{**statement, "Action": action}]})
    }


def analyzed(document):
    for finding in analyze_policy_string(json.dumps(document)).findings:
        for about in abouts(finding.detail):
            yield finding, about


def readable(kind, document):
    """A trust policy has no Resource: the role is meant. The linter knows none but policies with one."""
    if kind != "trust":
        return document
    return {**document, "Statement": [{**statement, "Resource": "*"} for statement in listed(document["Statement"])]}


def main():
    policies = json.load(sys.stdin)
    keys = ("policy", "statement", "issue", "about")
    findings = [
        dict(zip(keys, (at, *finding), strict=True))
        for at, policy in enumerate(policies)
        for finding in lint(readable(policy["kind"], policy["document"]))
    ]
    json.dump(findings, sys.stdout)


if __name__ == "__main__":
    main()
