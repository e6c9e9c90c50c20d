"""Runs a function's code for real: its zip, unpacked once per hash, under tests/local/lambda/runtime.mjs."""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import tempfile
import threading
import zipfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..children import Children
from .models import LOCAL

RUNTIME = LOCAL / "lambda" / "runtime.mjs"
LOG_TAIL = 4096  # the size of X-Amz-Log-Result
# runtime.mjs enforces the time-out itself, after an initialisation of up to ten seconds; this limit is for a runtime that hangs.
GRACE = 15.0


@dataclass
class Outcome:
    """The end of an invocation, complete once `chunks` is exhausted."""

    error: dict[str, Any] | None = None
    log: bytes = b""


@dataclass
class Invocation:
    chunks: Generator[bytes, None, None]
    outcome: Outcome


class Runtime:
    def __init__(self, directory: Path, children: Children):
        self._directory = directory / "code"
        self._children = children
        self._lock = threading.Lock()

    def unpacked(self, zip_bytes: bytes) -> Path:
        """The task directory of this code. By node_modules beside it, ESM finds the SDK that Lambda includes."""
        root = self._directory / hashlib.sha256(zip_bytes).hexdigest()
        with self._lock:
            if not root.exists():
                fresh = Path(tempfile.mkdtemp(dir=_made(self._directory)))
                try:
                    with zipfile.ZipFile(io.BytesIO(zip_bytes)) as archive:
                        archive.extractall(fresh / "task")
                    modules = os.environ.get("PGAI_NODE_MODULES")
                    if modules:
                        (fresh / "node_modules").symlink_to(Path(modules).resolve())
                    fresh.rename(root)
                except BaseException:
                    shutil.rmtree(fresh)
                    raise
        return root / "task"

    def run(self, document: dict[str, Any], timeout: float) -> Invocation:
        """Starts with the first chunk."""
        outcome = Outcome()
        return Invocation(self._run(document, timeout, outcome), outcome)

    def _run(self, document: dict[str, Any], timeout: float, outcome: Outcome) -> Generator[bytes, None, None]:
        with tempfile.TemporaryFile() as log:
            process = self._children.start(
                ["node", str(RUNTIME)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
            timed_out = threading.Event()

            def stop() -> None:
                timed_out.set()
                self._children.stop(process)

            timer = threading.Timer(timeout + GRACE, stop)
            timer.start()
            try:
                yield from _answer(process, document, outcome)
                if timed_out.is_set():
                    outcome.error = _timed_out(document, timeout)
                elif outcome.error is None and process.wait() != 0:
                    outcome.error = _exited(document, process.returncode)
            finally:
                timer.cancel()
                self._children.stop(process)
                log.seek(0, os.SEEK_END)
                log.seek(max(log.tell() - LOG_TAIL, 0))
                outcome.log = log.read()


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _answer(process: subprocess.Popen[bytes], document: dict[str, Any], outcome: Outcome) -> Iterator[bytes]:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(document).encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # the runtime ended without reading; its exit code shows that
    for line in process.stdout:
        event = json.loads(line)
        if event["type"] == "chunk":
            yield base64.b64decode(event["data"])
        elif event["type"] == "error":
            outcome.error = {name: event[name] for name in ("errorType", "errorMessage", "trace") if name in event}
            return
        elif event["type"] == "end":
            return
        else:
            raise RuntimeError(f"the runtime printed {line!r}")


def _timed_out(document: dict[str, Any], timeout: float) -> dict[str, Any]:
    request_id = document["context"]["requestId"]
    message = f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds"
    return {"errorType": "Sandbox.Timedout", "errorMessage": message}


def _exited(document: dict[str, Any], code: int) -> dict[str, Any]:
    request_id = document["context"]["requestId"]
    message = f"RequestId: {request_id} Error: Runtime exited with error: exit status {code}"
    return {"errorType": "Runtime.ExitError", "errorMessage": message}
