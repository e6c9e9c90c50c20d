#!/usr/bin/env python3
"""The health checks for Argo CD, in its Lua interpreter and beside the real kstatus. Needs `stack.py build --only gitops`."""

from __future__ import annotations

import itertools
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from client import names_of_conditions
from verdict import CUSTOMIZATIONS, KINDS, SAME, expected, judge, script

LEGS = {
    "PrivateGenAIApp": ("Accepted", "NetworkReady", "EndpointReady", "ExecutionRoleReady", "FunctionReady", "Healthy"),
    "PrivateGenAINetwork": ("Accepted", "VpcReady", "SecurityGroupsReady", "EndpointsReady"),
}
STANDINGS = ("Met", "Progressing", "Blocked", "Unknown", None)
HEALTHS = {"Healthy", "Progressing", "Degraded", "Suspended"}


class HealthTest(unittest.TestCase):
    def test_argo_cds_own_test_files_hold_and_every_file_of_test_data_is_in_one(self) -> None:
        for kind in KINDS:
            tests = yaml.safe_load((CUSTOMIZATIONS / kind / "health_test.yaml").read_text())["tests"]
            files = [CUSTOMIZATIONS / kind / test["inputPath"] for test in tests]
            self.assertEqual(sorted(files), sorted((CUSTOMIZATIONS / kind / "testdata").iterdir()))
            verdicts = judge(script(kind), [yaml.safe_load(file.read_text()) for file in files])
            for test, verdict in zip(tests, verdicts, strict=True):
                said = {"status": verdict.health, "message": verdict.message}
                self.assertEqual((said, verdict.error), (test["healthStatus"], ""), test["inputPath"])
            self.assertEqual({verdict.health for verdict in verdicts} | {"Suspended"}, HEALTHS)

    def test_argo_cd_can_embed_the_checks_which_are_one_and_the_same(self) -> None:
        """Its `//go:embed *` leaves links out without a word."""
        links = [path for path in CUSTOMIZATIONS.parent.rglob("*") if path.is_symlink()]
        self.assertEqual(links, [])
        self.assertEqual(len({script(kind).read_text() for kind in KINDS}), 1)

    def test_every_status_that_can_be_written_has_the_health_that_kstatus_gives_it(self) -> None:
        for kind in KINDS:
            things = list(written(kind))
            verdicts = judge(script(kind), things)
            self.assertGreaterEqual(len(verdicts), 15_000 if kind == "PrivateGenAIApp" else 600)
            for thing, verdict in zip(things, verdicts, strict=True):
                self.assertEqual(verdict.error, "", thing)
                self.assertEqual((verdict.health, verdict.message), expected(thing), thing)
                if verdict.health == "Suspended":
                    self.assertIn(verdict.kstatus, ("Failed", "Current"), thing)
                else:
                    self.assertEqual(SAME[verdict.kstatus], verdict.health, thing)

    def test_every_reason_that_needs_somebody_is_degraded_but_suspended(self) -> None:
        reasons = names_of_conditions("Reasons")
        self.assertIn("Suspended", reasons)
        things = [thing("PrivateGenAIApp", {"Accepted": ("Blocked", reason)}) for reason in reasons]
        for reason, verdict in zip(reasons, judge(script("PrivateGenAIApp"), things), strict=True):
            self.assertEqual(verdict.health, "Suspended" if reason == "Suspended" else "Degraded", reason)

    def test_statuses_that_nobody_writes_neither_crash_it_nor_are_healthy(self) -> None:
        things = list(strange())
        for one, verdict in zip(things, judge(script("PrivateGenAIApp"), things), strict=True):
            # kstatus may refuse what is no condition; the script may not.
            self.assertIn(verdict.health, HEALTHS, f"{one} {verdict.error}")
            if verdict.health == "Healthy":
                conditions = one["status"]["conditions"]
                true = {each["type"] for each in conditions if isinstance(each, dict) and each.get("status") == "True"}
                self.assertIn("Ready", true, one)
                self.assertFalse({"Stalled", "Reconciling"} & true, one)

    def test_the_names_of_conditions_are_those_of_the_code(self) -> None:
        self.assertEqual(
            set(names_of_conditions("Conditions")), {"Ready", "Reconciling", "Stalled", *LEGS[KINDS[0]], *LEGS[KINDS[1]]})


def thing(kind: str, legs: dict[str, tuple[str, str]], **metadata: Any) -> dict[str, Any]:
    """An object whose conditions are made from legs as `conditions_of` in src/api/condition.rs does."""
    told = [(leg, standing, reason, f"{leg} says {reason}.") for leg, (standing, reason) in legs.items()]
    blocked = [each for each in told if each[1] == "Blocked"]
    open_ = blocked or [each for each in told if each[1] != "Met"]
    ready = ("Ready", *open_[0][1:]) if open_ else ("Ready", "Met", "Ready", "Everything is as it should be.")
    statuses = {"Met": "True", "Progressing": "False", "Blocked": "False", "Unknown": "Unknown", "True": "True"}
    rows = [ready, *told]
    if open_:
        rows.append(("Stalled" if open_[0][1] == "Blocked" else "Reconciling", "True", *open_[0][2:]))
    conditions = [{"type": each[0], "status": statuses[each[1]], "reason": each[2], "message": each[3],
        "lastTransitionTime": "2026-01-01T00:00:00Z"} for each in rows]
    return {"apiVersion": "privategenai.dev/v1alpha1", "kind": kind,
        "metadata": {"name": "it", "generation": 2, **metadata}, "spec": {},
        "status": {"observedGeneration": 2, "conditions": conditions}}


def written(kind: str) -> Iterator[dict[str, Any]]:
    """Each way in which legs can stand, and what else health depends on."""
    reason = {"Met": "Ready", "Progressing": "Applying", "Blocked": "AccessDenied", "Unknown": "ObservationFailed"}
    for standings in itertools.product(STANDINGS, repeat=len(LEGS[kind])):
        legs = {leg: (standing, reason[standing]) for leg, standing in zip(LEGS[kind], standings, strict=True) if standing}
        if not legs:
            continue
        yield thing(kind, legs)
        if None in standings[:3] or any(standing not in (None, "Met") for standing in standings[3:]):
            continue  # the rest does not depend on how many legs there are
        yield thing(kind, legs, generation=3)
        yield thing(kind, legs, deletionTimestamp="2026-01-01T00:00:00Z", deletionGracePeriodSeconds=0)
        if kind == "PrivateGenAIApp":
            suspended = {leg: (standing, "Suspended" if standing == "Blocked" else why)
                for leg, (standing, why) in legs.items()}
            for each in (legs, suspended):
                yield thing(kind, each) | {"spec": {"suspend": True}}
            yield thing(kind, legs, generation=3) | {"spec": {"suspend": True}}
    new = thing(kind, {"Accepted": ("Unknown", "Pending")})
    # As the definition's default has it.
    new["status"] = {"conditions": [condition for condition in new["status"]["conditions"] if condition["type"] == "Ready"]}
    yield new
    yield new | {"metadata": {**new["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def strange() -> Iterator[dict[str, Any]]:
    """Wiped, half written, of another version, or written by somebody else."""
    base = {"apiVersion": "privategenai.dev/v1alpha1", "kind": "PrivateGenAIApp"}
    metadata = {"name": "it", "generation": 2}
    yield {}
    yield {"status": {}}
    for status in (None, {}, "text", 1, [], {"conditions": None}, {"conditions": []}, {"conditions": "x"}, {"conditions": {}},
        {"conditions": [None, 1, "x", {}, {"type": None}, {"type": 1}, {"type": "Ready"}], "observedGeneration": 2},
        {"conditions": [{"type": "Ready", "status": "True"}]},
        {"conditions": [{"type": "Ready", "status": "True"}], "observedGeneration": None},
        {"conditions": [{"type": "Ready", "status": "True", "message": {"no": "text"}}], "observedGeneration": 2},
        {"conditions": [{"type": "Ready", "status": True}], "observedGeneration": 2}):
        for spec in ({}, None, {"suspend": None}, {"suspend": "yes"}):
            yield {**base, "metadata": metadata, "spec": spec, "status": status}
            yield {**base, "spec": spec, "status": status}
    values = ("True", "False", "Unknown", "Other", None)
    for ready, reconciling, stalled in itertools.product(values, repeat=3):
        rows = {"Ready": ready, "Reconciling": reconciling, "Stalled": stalled}
        conditions = [{"type": kind, "status": status, "message": kind} for kind, status in rows.items() if status]
        for observed, suspend, order in itertools.product((None, 1, 2, 3), (None, False, True), (1, -1)):
            yield {**base, "metadata": metadata, "spec": {"suspend": suspend},
                "status": {"observedGeneration": observed, "conditions": conditions[::order]}}


if __name__ == "__main__":
    unittest.main(verbosity=2)
