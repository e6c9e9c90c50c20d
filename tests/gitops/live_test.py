#!/usr/bin/env python3
"""What GitOps tools see of the operator's objects, on the real API server. Needs `make build` first.

With PGAI_RECORD=1 it writes what it sees into resource_customizations, as Argo CD's own test data.
"""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from typing import Any

import yaml

from client import LocalStack, eventually
from verdict import CUSTOMIZATIONS, KINDS, SAME, expected, judge, script

RECORDS = os.environ.get("PGAI_RECORD") == "1"
ARGO_CD = ("--server-side", "--field-manager=argocd-controller")
ABSENT_VPC = "vpc-0123456789abcdef0"


class GitOpsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.stack = self.enterContext(LocalStack())
        self.stack.install_crds()
        self.stack.kubectl("create", "namespace", "team-a")
        self.vpc = self.stack.aws("POST", "vpc", {"route": "isolated"})["vpcId"]
        self.seen: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}

    def test_everything_that_happens_to_an_object_has_the_health_that_people_expect(self) -> None:
        stack = self.stack
        self.apply(app("support-bot", self.vpc))
        self.sees("pgai/support-bot", "progressing_new", "Progressing", "Ready=Unknown/Pending")
        stack.aws("PUT", "delays", {"endpointAvailable": 8, "functionActive": 8})
        with stack.operator(self.folder / "operator.log"):
            eventually(lambda: stack.kubectl("get", "pgain", "-o", "name").stdout != "")
            network = stack.kubectl("get", "pgain", "-o", "name").stdout.strip()
            self.sees(network, "progressing_endpointPending", "Progressing", "Ready=False/EndpointPending")
            self.sees("pgai/support-bot", "progressing_endpointPending", "Progressing", "Ready=False/EndpointPending")
            self.sees("pgai/support-bot", "progressing_functionPending", "Progressing", "Ready=False/FunctionPending")
            self.sees("pgai/support-bot", "healthy", "Healthy", "Ready=True/Ready")
            self.sees(network, "healthy", "Healthy", "Ready=True/Ready")
            stack.aws("PUT", "delays", {"endpointAvailable": 0, "functionActive": 0})

            self.apply(app("lost", ABSENT_VPC))
            self.sees("pgai/lost", "degraded_vpcNotFound", "Degraded", "Ready=False/VpcNotFound")
            self.apply(explicit("first", self.vpc))
            self.sees("pgain/first", "healthy_explicit", "Healthy", "Ready=True/Ready")
            self.apply(explicit("second", self.vpc))
            self.sees("pgain/second", "degraded_vpcConflict", "Degraded", "Ready=False/VpcConflict")

            self.apply(app("asleep", self.vpc, suspend=True))
            self.sees("pgai/asleep", "suspended_toBeDone", "Suspended", "Ready=False/Suspended")
            self.apply(app("support-bot", self.vpc, suspend=True))
            self.sees("pgai/support-bot", "suspended_ready", "Suspended", "Ready=True/Ready")

            stack.aws("POST", "faults", {"service": "*", "operation": "*", "errorCode": "InternalError", "count": 100000})
            self.sees("pgain/first", "progressing_observationFailed", "Progressing", "Ready=Unknown/ObservationFailed")
            self.sees("pgai/asleep", "progressing_observationFailed", "Progressing", "Ready=Unknown/ObservationFailed")
            stack.aws("DELETE", "faults")
            self.sees("pgain/first", "healthy_explicit", "Healthy", "Ready=True/Ready")

            stack.aws("POST", "faults", {"service": "lambda", "operation": "DeleteFunction",
                "errorCode": "TooManyRequestsException", "status": 429, "count": 3})
            stack.aws("PUT", "delays", {"interfaceReleased": 15})
            stack.kubectl("delete", "pgai", "--all", "-A", "--wait=false")
            self.sees("pgai/support-bot", "progressing_deleting", "Progressing", "Ready=False/Throttled")
            stack.kubectl("delete", "pgain", "second")  # which would take over from the first one
            stack.kubectl("delete", "pgain", "first", "--wait=false")
            self.sees("pgain/first", "progressing_deleting", "Progressing", "Ready=False/ResourceInUse")
            eventually(lambda: not stack.kubectl("get", "pgai,pgain", "-A", "-o", "name").stdout)
            self.assertTrue(stack.aws_is_empty())
            another = self.stack.aws("POST", "vpc", {"route": "isolated"})["vpcId"]
            self.apply(app("support-bot", another))
            self.sees("pgai/support-bot", "healthy", "Healthy", "Ready=True/Ready")
        self.apply(app("support-bot", another, models=["amazon.nova-pro-v1:0"]))
        self.sees("pgai/support-bot", "progressing_changed", "Progressing", "Ready=True/Ready")
        if RECORDS:
            self.record()

    def apply(self, manifest: dict[str, Any]) -> None:
        self.stack.kubectl("apply", *ARGO_CD, "-f", "-", text=yaml.safe_dump(manifest))

    def sees(self, name: str, state: str, health: str, condition: str) -> None:
        """Waits for the condition; then Lua, kstatus and the recorded test data say the same of the live object."""
        kind = KINDS[name.startswith("pgain") or "network" in name]
        live: dict[str, Any] = {}

        def is_so() -> bool:
            live.clear()
            live.update(self.stack.get("-n", "team-a", name))
            # The condition may be one from before the change that is looked for.
            return condition in shown(live) and ("changed" in shown(live)) == (state == "progressing_changed")

        try:
            eventually(is_so)
        except AssertionError as error:
            log = (self.folder / "operator.log").read_text()
            raise AssertionError(f"{name}: no {condition} in {yaml.safe_dump(live.get('status'))}\n{log[-3000:]}") from error
        [verdict] = judge(script(kind), [live])
        self.assertEqual(verdict.error, "")
        self.assertEqual((verdict.health, verdict.message), expected(live))
        self.assertEqual(verdict.health, health, f"{name} {shown(live)}")
        if health != "Suspended":
            self.assertEqual(SAME[verdict.kstatus], health)
        live["metadata"].pop("managedFields", None)
        self.seen[kind][state] = live
        if not RECORDS:
            recorded = yaml.safe_load((CUSTOMIZATIONS / kind / f"testdata/{state}.yaml").read_text())
            self.assertEqual(sum_of(live), sum_of(recorded), "the test data is of another version: make gitops-testdata")

    def record(self) -> None:
        for kind, states in self.seen.items():
            folder = CUSTOMIZATIONS / kind
            (folder / "testdata").mkdir(exist_ok=True)
            for old in (folder / "testdata").iterdir():
                old.unlink()
            tests = []
            for state, thing in states.items():
                (folder / f"testdata/{state}.yaml").write_text(yaml.safe_dump(thing, sort_keys=False, width=1000))
                health, message = expected(thing)
                tests.append({"healthStatus": {"status": health, "message": message}, "inputPath": f"testdata/{state}.yaml"})
            (folder / "health_test.yaml").write_text(yaml.safe_dump({"tests": tests}, sort_keys=False, width=1000))


def app(name: str, vpc: str, models: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "privategenai.dev/v1alpha1", "kind": "PrivateGenAIApp",
        "metadata": {"name": name, "namespace": "team-a"},
        "spec": {"network": {"vpcId": vpc}, "models": models or ["amazon.nova-lite-v1:0"], **more}}


def explicit(name: str, vpc: str) -> dict[str, Any]:
    return {"apiVersion": "privategenai.dev/v1alpha1", "kind": "PrivateGenAINetwork",
        "metadata": {"name": name}, "spec": {"vpcId": vpc, "region": "us-east-1"}}


def shown(thing: dict[str, Any]) -> list[str]:
    """What health is told by, without ids and times."""
    status = thing.get("status", {})
    told = [f"{each['type']}={each['status']}/{each['reason']}" for each in status.get("conditions", [])]
    if "deletionTimestamp" in thing["metadata"]:
        told.append("deleted")
    if "observedGeneration" in status and status["observedGeneration"] < thing["metadata"]["generation"]:
        told.append("changed")
    return sorted(told)


def sum_of(thing: dict[str, Any]) -> list[str]:
    """Without the single legs: how far one of them is at a moment is chance."""
    kept = ("Ready=", "Reconciling=", "Stalled=", "deleted", "changed")
    return [each for each in shown(thing) if each.startswith(kept)]


if __name__ == "__main__":
    unittest.main(verbosity=2)
