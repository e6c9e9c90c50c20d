"""Locks on files: held by an open file, so the kernel releases them at any end of the process."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def try_lock(file: BinaryIO) -> bool:
    """Takes the lock, for as long as the file is open here or in a child that inherits it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with open(path, "ab") as file:
        return not try_lock(file)


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Waits for the lock, holds it in the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        if not try_lock(file):
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
