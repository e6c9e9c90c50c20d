"""The folder of a stack's files. A given folder stays; the stack's own folder is removed with the stack."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .locks import is_locked, locked, try_lock
from .places import Local, StackError

LOCK = "lock"  # in each folder of a stack's own: held while the stack runs


@contextmanager
def stack_directory(local: Local, given: Path | None) -> Iterator[Path]:
    if given:
        yield _prepare(given.resolve())
        return
    # A new folder is not locked yet: no sweep may come in between.
    with locked(_gate(local)):
        _sweep(local)
        own = Path(tempfile.mkdtemp(dir=local.runs))
        held = open(own / LOCK, "ab")
        try_lock(held)
    with held:
        try:
            yield own
        finally:
            shutil.rmtree(own)


def running(local: Local) -> list[Path]:
    """The folders of stacks that run in the foreground."""
    return [path for path in _all(local) if is_locked(path / LOCK)]


def _prepare(given: Path) -> Path:
    given.mkdir(parents=True, exist_ok=True)
    if any(given.iterdir()):
        raise StackError(f"{given} is not empty: a stack starts from nothing")
    return given


def _sweep(local: Local) -> None:
    """Removes the files of killed stacks."""
    for path in _all(local):
        if not is_locked(path / LOCK):
            shutil.rmtree(path)


def _all(local: Local) -> list[Path]:
    return [path for path in local.runs.iterdir() if path.is_dir()] if local.runs.exists() else []


def _gate(local: Local) -> Path:
    return local.runs / LOCK
