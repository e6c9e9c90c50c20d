"""The one stack that `up` leaves running. It is up as long as its process holds the lock on `.local/up.lock`.

The lock is inherited, so it is let go of exactly when the process ends, however it ends; a recorded
process id alone might belong to somebody else by then.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

from . import aws
from .directory import running
from .locks import is_locked, try_lock
from .places import SOURCES, Local, StackError
from .supervise import tail

START_SECONDS = 120
STOP_SECONDS = 30
POLL_SECONDS = 0.05


def up(local: Local, run_arguments: list[str]) -> None:
    """Starts the stack if none is up or starting, and waits until the stack is ready."""
    local.up.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + START_SECONDS
    started = False
    while not _is_up(local) or _description(local) is None:
        with open(_lock_file(local), "ab") as lock:
            if try_lock(lock):
                if started:
                    raise StackError(f"the stack did not start:\n{tail(_log_file(local), 40)}")
                _start(local, run_arguments, lock)
                started = True
        if time.monotonic() > deadline:
            raise StackError(f"the stack is not ready after {START_SECONDS} s, see {_log_file(local)}")
        time.sleep(POLL_SECONDS)


def down(local: Local) -> None:
    """Stops the stack if one is up, and removes its record."""
    deadline = time.monotonic() + STOP_SECONDS
    asked = False
    while _is_up(local):
        if not asked and _pid_file(local).exists():
            os.kill(int(_pid_file(local).read_text()), signal.SIGTERM)
            asked = True
        if time.monotonic() > deadline:
            raise StackError(f"the stack did not stop in {STOP_SECONDS} s, see {_log_file(local)}")
        time.sleep(POLL_SECONDS)
    if local.up.exists():
        shutil.rmtree(local.up)


def clean(local: Local) -> None:
    """Removes all generated files. Go's own caches belong to the user: `go clean -cache -modcache` empties them."""
    if folders := running(local):
        raise StackError(f"stop the stacks first that run in {', '.join(map(str, folders))}")
    down(local)
    if local.root.exists():
        shutil.rmtree(local.root)


def exports(local: Local) -> str:
    """Shell lines that point kubectl, Helm, the AWS command line and SDKs at the stack."""
    description = _description(local)
    if description is None or not _is_up(local):
        raise StackError("no stack is up. Run: stack.py up")
    variables = {
        # kubectl and Helm keep their caches below .local too.
        "KUBECACHEDIR": str(local.up / "cache" / "kubectl"),
        "HELM_CACHE_HOME": str(local.up / "cache" / "helm"),
        "HELM_CONFIG_HOME": str(local.up / "config" / "helm"),
        "HELM_DATA_HOME": str(local.up / "data" / "helm"),
    }
    if kubeconfig := description["kubeconfig"]:
        variables["KUBECONFIG"] = kubeconfig
    if endpoint := description["awsEndpointUrl"]:
        variables |= {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": aws.REGION,
            "AWS_DEFAULT_REGION": aws.REGION,  # the variable of boto3
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f'export PATH={shlex.quote(str(local.bin))}:"$PATH"'])


def _start(local: Local, run_arguments: list[str], lock: BinaryIO) -> None:
    for leftover in (_ready_file(local), _pid_file(local), _log_file(local)):
        leftover.unlink(missing_ok=True)
    if _directory(local).exists():
        shutil.rmtree(_directory(local))
    command = [
        sys.executable, str(SOURCES / "stack.py"), "run",
        "--dir", str(_directory(local)), "--ignore-stdin", *run_arguments,
    ]
    with open(_ready_file(local), "ab") as output, open(_log_file(local), "ab") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
            start_new_session=True, pass_fds=[lock.fileno()],
        )
    _pid_file(local).write_text(str(process.pid))


def _description(local: Local) -> dict[str, str | None] | None:
    """The output of `run`, once printed."""
    if not _ready_file(local).exists():
        return None
    line, end, _ = _ready_file(local).read_text().partition("\n")
    return dict(json.loads(line)) if end else None


def _is_up(local: Local) -> bool:
    return is_locked(_lock_file(local))


def _lock_file(local: Local) -> Path:
    return local.root / "up.lock"  # beside the folder that `down` removes


def _pid_file(local: Local) -> Path:
    return local.up / "pid"


def _ready_file(local: Local) -> Path:
    return local.up / "ready.json"


def _log_file(local: Local) -> Path:
    return local.up / "stack.log"


def _directory(local: Local) -> Path:
    return local.up / "stack"
