#!/usr/bin/env python3
"""What the chart and the examples promise, on the real API server. Needs `make build` first.

The operator is run with the permissions of the rendered ServiceAccount and no others, so that a missing one fails here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
LOCAL = Path(os.environ.get("PGAI_LOCAL_DIR") or REPOSITORY / ".local").resolve()
OPERATOR = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve() / "debug/private-genai-operator"
CHART = REPOSITORY / "charts/private-genai-operator"
EXAMPLES = REPOSITORY / "examples"
SECONDS = 60

MINIMAL = {"installationId": "prod", "region": "us-east-1", "image": {"repository": "registry.example/operator"}}
FULL = {
    **MINIMAL,
    "image": {"repository": "registry.example/operator", "tag": "main", "pullPolicy": "Always"},
    "implicitNetworks": {"vpcIds": ["vpc-0abc*", "vpc-0def5678"]},
    "replicas": 3,
    "resyncSeconds": 60,
    "concurrency": 8,
    "log": {"format": "text", "filter": "private_genai_operator=debug,info"},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/operator"}},
    "resources": {"limits": {"memory": "1Gi"}},
}


class ChartTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.process = cls.enterClassContext(subprocess.Popen(
            [sys.executable, REPOSITORY / "tests/local/stack.py", "run"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        cls.addClassCleanup(cls.process.terminate)
        cls.stack = json.loads(cls.process.stdout.readline())
        cls.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
        for namespace in ("operator", "team-a", "team-b"):
            cls.kubectl("create", "namespace", namespace)
        # The schemas of new kinds are published a little later.
        eventually(lambda: "privategenai" in cls.kubectl("get", "--raw", "/openapi/v2").stdout)
        write_schemas(json.loads(cls.kubectl("get", "--raw", "/openapi/v2").stdout), cls.folder)

    @classmethod
    def kubectl(cls, *arguments: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ, "KUBECONFIG": cls.stack["kubeconfig"], "KUBECACHEDIR": f"{cls.stack['dir']}/kubectl-cache",
        }
        answer = subprocess.run([cls.stack["kubectl"], *arguments], input=text, capture_output=True, text=True,
            env=environment, timeout=SECONDS, check=False)
        if check and answer.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {answer.stderr}")
        return answer

    def helm(self, *arguments: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **{f"HELM_{kind}_HOME": str(self.folder / "helm") for kind in ("CACHE", "CONFIG", "DATA")}}
        return subprocess.run([LOCAL / "bin/helm", *arguments, CHART, "--values", "-"], input=json.dumps(values),
            capture_output=True, text=True, env=environment, timeout=SECONDS, check=False)

    def rendered(self, values: dict[str, Any]) -> str:
        answer = self.helm("template", "pgai", "--namespace", "operator", values=values)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        return answer.stdout

    def assert_valid(self, manifests: str) -> None:
        """By kubeconform, which finds unknown fields without a server, and by the server itself."""
        location = str(self.folder / "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json")
        answer = subprocess.run([LOCAL / "bin/kubeconform", "-strict", "-summary", "-schema-location", location],
            input=manifests, capture_output=True, text=True, timeout=SECONDS, check=False)
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        self.assertIn("Skipped: 0", answer.stdout)
        self.kubectl("apply", "--dry-run=server", "-f", "-", text=manifests)

    def test_the_chart_is_valid_with_few_values_and_with_all(self) -> None:
        for values in (MINIMAL, FULL):
            lint = self.helm("lint", "--strict", values=values)
            self.assertEqual(lint.returncode, 0, lint.stdout + lint.stderr)
            self.assert_valid(self.rendered(values))

    def test_the_chart_says_what_is_missing_or_wrong(self) -> None:
        for values, expected in (
            ({}, "missing properties 'installationId', 'region'"),
            ({**MINIMAL, "installationId": "Not this"}, "at '/installationId'"),
            ({**MINIMAL, "leaderElection": True}, "'leaderElection' not allowed"),
            ({**MINIMAL, "replicas": -1}, "at '/replicas'"),
            ({**MINIMAL, "implicitNetworks": {"vpcIds": "vpc-1"}}, "at '/implicitNetworks/vpcIds'"),
        ):
            answer = self.helm("template", "pgai", values=values)
            self.assertNotEqual(answer.returncode, 0)
            self.assertIn(expected, answer.stderr)

    def test_the_operator_takes_the_arguments_that_the_chart_writes(self) -> None:
        manifests = self.rendered(FULL)
        arguments = [line.strip()[2:].strip('"') for line in manifests.splitlines() if re.match(r' +- "?--[a-z]', line)]
        self.assertEqual(len(arguments), 10)
        # Parsed, and then stopped by the missing cluster.
        arguments = [argument for argument in arguments if not argument.startswith("--listen")]
        answer = subprocess.run([OPERATOR, "run", *arguments, "--listen=127.0.0.1:0"], capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], "KUBECONFIG": "/nowhere"}, timeout=SECONDS, check=False)
        self.assertIn("no Kubernetes API", answer.stderr)

    def test_the_examples_work_with_the_permissions_of_the_chart_and_no_others(self) -> None:
        self.kubectl("apply", "-f", "-", text=self.rendered(MINIMAL))
        token = self.kubectl("-n", "operator", "create", "token", "pgai-private-genai-operator").stdout.strip()
        kubeconfig = self.folder / "kubeconfig.yaml"
        admin = Path(self.stack["kubeconfig"]).read_text()
        kubeconfig.write_text(re.sub(r'token: "[^"]*"', f'token: "{token}"', admin))
        self.assertNotIn(token, admin)

        small, tuned = self.example("app.yaml"), self.example("tuned.yaml")

        # The Lease that the chart names, which is the only one that its permissions are about.
        lease = re.findall(r"--lease-[a-z]+=\S+", self.rendered(MINIMAL))
        self.assertEqual(len(lease), 2)
        log_file = self.folder / "operator.log"
        command = [OPERATOR, "run", "--installation-id=prod", "--region=us-east-1", "--implicit-network-vpc-ids=vpc-*",
            "--listen=127.0.0.1:0", "--log=info,kube_runtime=debug", *lease]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "AWS_ENDPOINT_URL": self.stack["awsEndpointUrl"],
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        with open(log_file, "wb") as log, subprocess.Popen(command, env=environment, stderr=log) as operator:
            try:
                self.kubectl("apply", "-f", "-", text=f"{small}\n---\n{tuned}")
                for namespace, name in (("team-a", "support-bot"), ("team-b", "contract-reader")):
                    self.kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pgai/{name}", "--timeout=40s")
                self.assertEqual(len(self.kubectl("get", "pgain", "-o", "name").stdout.split()), 2)
                self.assertIn("Ready", self.kubectl("get", "events", "-A").stdout)
                self.kubectl("delete", "pgai", "--all", "-A")
                eventually(lambda: not self.kubectl("get", "pgain", "-o", "name").stdout)
                self.assertFalse(any(self.aws("GET", "inventory").values()))
            finally:
                operator.terminate()
        said = log_file.read_text()
        self.assertEqual(operator.returncode, 0, said)
        holder = self.kubectl("-n", "operator", "get", "lease", "pgai-private-genai-operator",
            "-o", "jsonpath={.spec.holderIdentity}/{.spec.leaseTransitions}").stdout
        self.assertEqual(holder, "/0", "held once, and released")
        self.assertNotRegex(said.lower(), "forbidden|cannot (get|list|watch|create|patch|delete)")

    def example(self, name: str) -> str:
        """An example for a VPC of its own, with the ids of that VPC."""
        vpc = self.aws("POST", "vpc", {"route": "isolated"})
        manifest = (EXAMPLES / name).read_text().replace("vpc-0abc1234", vpc["vpcId"])
        for placeholder, subnet in zip(("subnet-0abc1234", "subnet-0def5678"), vpc["subnetIds"], strict=True):
            manifest = manifest.replace(placeholder, subnet)
        self.assert_valid(manifest)
        return manifest

    def aws(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.stack['adminUrl']}/{path}", method=method, data=data)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=SECONDS) as answer:
            return json.load(answer)


def write_schemas(openapi: dict[str, Any], folder: Path) -> None:
    """One file a kind for kubeconform, from what the API server says itself. Unknown fields are errors."""
    definitions = openapi["definitions"]
    for schema in list(definitions.values()):
        forbid_unknown(schema)
    for name, schema in definitions.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            file = folder / f"{kind['group'] or kind['version']}_{kind['version']}_{kind['kind'].lower()}.json"
            file.write_text(json.dumps({"$ref": f"#/definitions/{name}", "definitions": definitions}))


def forbid_unknown(schema: Any) -> None:
    if isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        for each in list(schema.values()):
            forbid_unknown(each)


def eventually(look: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {SECONDS} s")
        time.sleep(0.1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
