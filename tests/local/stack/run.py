"""One stack in the foreground: starts it, prints its addresses, and keeps it until a request to stop."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from . import aws, build, kubernetes
from .directory import stack_directory
from .places import Local
from .supervise import ChildDied, Stopped, Supervisor


@dataclass(frozen=True)
class Options:
    directory: Path | None = None
    kubernetes: bool = True
    aws: bool = True
    existing_cluster: bool = False
    audit: bool = False
    ignore_stdin: bool = False

    def parts(self) -> list[str]:
        """The parts that the stack needs."""
        control_plane = ["kubernetes"] if self.kubernetes and not self.existing_cluster else []
        return control_plane + (["aws", "node"] if self.aws else [])


def run(local: Local, options: Options) -> int:
    """The exit status, after the end of the stack."""
    build.require(local, options.parts())
    with stack_directory(local, options.directory) as directory, Supervisor(not options.ignore_stdin) as supervisor:
        try:
            description = _start(local, options, directory, supervisor)
            print(json.dumps(description), flush=True)
            supervisor.watch()
        except Stopped as reason:
            _say(f"stopping: {reason}")
    return 0


def _start(local: Local, options: Options, directory: Path, supervisor: Supervisor) -> dict[str, str | None]:
    """Starts all parts; again, with other ports, if somebody else took one of the ports."""
    for attempt in range(1, kubernetes.ATTEMPTS + 1):
        try:
            return _start_once(local, options, directory, supervisor)
        except ChildDied as died:
            if not kubernetes.lost_port_race(died) or attempt == kubernetes.ATTEMPTS:
                raise
            _say(f"somebody took a port of ours; trying again ({died.name})")
            supervisor.stop_all()
            _empty(directory)
    raise AssertionError("the last attempt returns or raises")


def _start_once(local: Local, options: Options, directory: Path, supervisor: Supervisor) -> dict[str, str | None]:
    began = time.monotonic()
    logs = directory / "logs"
    logs.mkdir()
    plane = server = cluster = endpoint = None
    if options.aws:  # both halves start at the same time
        server = aws.Aws(local, directory / "aws", logs)
        server.start(supervisor)
    if options.kubernetes and options.existing_cluster:
        cluster = kubernetes.existing_cluster(local)
    elif options.kubernetes:
        plane = kubernetes.ControlPlane(local, directory / "kubernetes", logs, options.audit)
        plane.start(supervisor)
    if plane:
        cluster = plane.wait_ready(supervisor)
        _say(f"Kubernetes is ready after {time.monotonic() - began:.1f} s: {cluster.url}")
    if server:
        endpoint = server.wait_ready(supervisor)
        _say(f"AWS is ready after {time.monotonic() - began:.1f} s: {endpoint}")
    return _describe(cluster, endpoint, directory)


def _describe(cluster: kubernetes.Cluster | None, endpoint: str | None, directory: Path) -> dict[str, str | None]:
    """The addresses for the tests and `up`. A half that does not run is null."""
    return {
        "kubeconfig": cluster.kubeconfig if cluster else None,
        "kubernetesUrl": cluster.url if cluster else None,
        "kubectl": str(cluster.kubectl) if cluster else None,
        "auditLog": str(cluster.audit_log) if cluster and cluster.audit_log else None,
        "awsEndpointUrl": endpoint,
        "adminUrl": f"{endpoint}/_local" if endpoint else None,
        "region": aws.REGION,
        "accountId": aws.ACCOUNT_ID,
        "dir": str(directory),
    }


def _empty(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
