"""Builds parts into `.local`. A part with unchanged inputs is not built again."""

from __future__ import annotations

import hashlib
import inspect
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .locks import locked
from .parts import GO_PARTS, PARTS, Part
from .places import SOURCES, Local, StackError, missing_from_assets
from .steps import Log


def build(local: Local, names: list[str]) -> None:
    """Builds the named parts, each once, even when several builds run at the same time."""
    failures: list[str] = []
    # The Go parts fill every core, one after the other; the others wait for the network meanwhile.
    lanes = [[name for name in names if name in GO_PARTS], [name for name in names if name not in GO_PARTS]]
    with ThreadPoolExecutor(len(lanes)) as pool:
        for failed in pool.map(lambda lane: _build_lane(local, lane), lanes):
            failures += failed
    if failures:
        raise StackError("\n".join(failures))


def require(local: Local, names: list[str]) -> None:
    """Raises unless these parts are built and current."""
    stale = [name for name in names if not _is_current(local, PARTS[name])]
    if stale:
        raise StackError(f"not built, or changed since: {', '.join(stale)}. Run: stack.py build")


def _build_lane(local: Local, names: list[str]) -> list[str]:
    failures = []
    for name in names:
        try:
            _build_part(local, PARTS[name])
        except StackError as error:
            failures.append(str(error))
    return failures


def _build_part(local: Local, part: Part) -> None:
    for folder in (local.bin, local.logs):
        folder.mkdir(parents=True, exist_ok=True)
    log_file = local.logs / f"build-{part.name}.log"
    log = Log(part.name, log_file)
    with locked(local.stamps / f"{part.name}.lock", lambda: log.say("waiting for another build")):
        if _is_current(local, part):
            log.say("up to date")
            return
        stamp = _stamp_file(local, part)
        stamp.unlink(missing_ok=True)  # a half-built part counts as not built
        log_file.unlink(missing_ok=True)
        fingerprint = _fingerprint(part)
        part.make(local, log)
        stamp.write_text(fingerprint)
        log.say("done")


def _is_current(local: Local, part: Part) -> bool:
    if part.name == "kubernetes" and not missing_from_assets():
        return True
    stamp = _stamp_file(local, part)
    if not stamp.exists() or not all(path.exists() for path in part.outputs(local)):
        return False
    return stamp.read_text() == _fingerprint(part)


def _stamp_file(local: Local, part: Part) -> Path:
    return local.stamps / part.name


def _fingerprint(part: Part) -> str:
    """A hash of all that the result depends on: the tool chain, the recipe, the inputs."""
    digest = hashlib.sha256((_version(part.toolchain) + inspect.getsource(part.make)).encode())
    for path in part.inputs:
        if not path.exists():
            raise StackError(f"{part.name}: {path} is missing, so this part of the stack cannot be built")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _version(toolchain: list[str]) -> str:
    try:
        return subprocess.run(toolchain, capture_output=True, text=True, check=True, cwd=SOURCES).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise StackError(f"{' '.join(toolchain)} does not work ({error}): install it, see the README") from error
