"""The steps of the parts' recipes: a command with its log, and the replacement of a file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .places import StackError
from .supervise import tail

HEARTBEAT_SECONDS = 15


class Log:
    """Runs commands with their output in a file, and shows their duration on the terminal."""

    def __init__(self, part: str, path: Path) -> None:
        self._part = part
        self._path = path
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:6.1f}s] {self._part}: {text}", file=sys.stderr, flush=True)

    def run(self, what: str, command: Sequence[str | Path], cwd: Path) -> None:
        self.say(what)
        with open(self._path, "ab") as output:
            process = subprocess.Popen(
                [str(part) for part in command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            while (status := _wait(process, HEARTBEAT_SECONDS)) is None:
                self.say(f"{what} …")
        if status != 0:
            end = tail(self._path, 20)
            raise StackError(f"{self._part}: {what} failed ({status}); the end of {self._path}:\n{end}")


def replace(path: Path, create: Callable[[Path], None]) -> None:
    """Replaces a file at once: the file of a running program cannot be written."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    create(new)
    os.replace(new, path)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
