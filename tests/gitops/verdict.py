"""What is to become of an object's status, and what the real Lua and the real kstatus make of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from client import LOCAL, REPOSITORY

CUSTOMIZATIONS = REPOSITORY / "resource_customizations/privategenai.dev"
KINDS = ("PrivateGenAIApp", "PrivateGenAINetwork")
# What Argo CD's health and kstatus have in common. An app that somebody suspended is for kstatus what it is without that.
SAME = {"Terminating": "Progressing", "InProgress": "Progressing", "Failed": "Degraded", "Current": "Healthy"}


class Verdict(NamedTuple):
    health: str
    message: str
    kstatus: str
    error: str


def judge(script: Path, objects: Iterable[dict[str, Any]]) -> list[Verdict]:
    lines = "\n".join(json.dumps(each) for each in objects)
    answer = subprocess.run([LOCAL / "bin/gitops-health", script], input=lines, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise AssertionError(answer.stderr)
    read = [json.loads(line) for line in answer.stdout.splitlines()]
    return [Verdict(each["health"], each["message"], each["kstatus"], each.get("healthError", "") + each.get("kstatusError", ""))
        for each in read]


def script(kind: str) -> Path:
    return CUSTOMIZATIONS / kind / "health.lua"


def expected(thing: dict[str, Any]) -> tuple[str, str]:
    """Health and message of an object with a status of the operator's, by the words of docs/gitops.md."""
    status = thing["status"]
    found = {condition["type"]: condition for condition in status["conditions"]}
    ready = found["Ready"]
    if "deletionTimestamp" in thing["metadata"]:
        return "Progressing", f"Being deleted. {ready['message']}"
    if "observedGeneration" not in status:
        return "Progressing", "Waiting for the operator."
    if status["observedGeneration"] != thing["metadata"]["generation"]:
        return "Progressing", "Waiting for the operator to look at the change."
    if ready["status"] == "True":
        if thing["spec"].get("suspend"):
            return "Suspended", f"The app is suspended. {ready['message']}"
        return "Healthy", ready["message"]
    # Exactly one of the two is there while Ready is not true.
    if "Reconciling" in found:
        return "Progressing", found["Reconciling"]["message"]
    stalled = found["Stalled"]
    return ("Suspended" if stalled["reason"] == "Suspended" else "Degraded"), stalled["message"]
