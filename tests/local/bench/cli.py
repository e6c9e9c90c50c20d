"""The command line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .measure import Setting, measure
from .processes import REPOSITORY, Failed
from .table import pacing, table

TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve()


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is stopped
    parser = argparse.ArgumentParser(prog="bench.py", description="Measures what a change costs among many apps.")
    parser.add_argument("--operator", type=Path, default=TARGET / "release/private-genai-operator", help="the program to measure")
    parser.add_argument("--aws", type=Path, help="the program that is AWS")
    parser.add_argument("--converge", type=int, nargs="*", default=[], help="sizes at which all apps converge, and are deleted")
    parser.add_argument("--load", type=int, nargs="*", default=[], help="sizes at which the apps are there already")
    parser.add_argument("--resync", type=int, default=300, help="the operator's resync while apps converge and are deleted")
    parser.add_argument("--patience", type=float, default=7_200, help="how long a phase may take, in seconds")
    parser.add_argument("--out", type=Path, default=TARGET / "bench", help="the folder of the results")
    parser.add_argument("--show", type=Path, nargs="*", help="measure nothing, and show these results (JSON) in one table")
    asked = parser.parse_args(arguments)
    if asked.show:
        print(table(merged(asked.show)))
        return 0
    if asked.aws is None:
        parser.error("--aws is needed: `make bench` builds that program")
    asked.out.mkdir(parents=True, exist_ok=True)
    logs = Path(tempfile.mkdtemp(prefix="pgai-bench-"))
    setting = Setting(asked.operator.resolve(), asked.aws.resolve(), logs, asked.resync, asked.patience)
    runs: dict[int, dict[str, Any]] = {}
    name = f"{time.strftime('%Y-%m-%d-%H%M')}-{commit()}"
    try:
        for size, loaded in [(size, False) for size in sorted(asked.converge)] + [(size, True) for size in sorted(asked.load)]:
            runs[size] = measure(setting, size, loaded=loaded)
            # After each size, so that what was measured is there if a later one fails.
            (asked.out / f"{name}.json").write_text(json.dumps(runs, indent=1))
            (asked.out / f"{name}.md").write_text(page(runs, asked.resync))
    except (Failed, OSError, subprocess.SubprocessError) as failure:
        print(f"\nThe measuring failed: {failure}\nThe operator's logs are in {logs}.", file=sys.stderr)
        return 1
    shutil.rmtree(logs)
    print(f"\n{page(runs, asked.resync)}\nwritten to {asked.out / name}.md, with what it was made of in {name}.json")
    return 0


def merged(files: list[Path]) -> dict[int, dict[str, Any]]:
    """The results of several runs. Of two at the same size, the later file counts."""
    runs: dict[int, dict[str, Any]] = {}
    for file in files:
        for size, results in json.loads(file.read_text()).items():
            runs.setdefault(int(size), {}).update(results)
    return runs


def page(runs: dict[int, dict[str, Any]], resync: int) -> str:
    """The table with date, commit and machine, for a later reader."""
    about = (
        f"Measured on {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, commit {commit()}, {machine()}. Resync while apps "
        f"converge and go: {resync} s. An AWS that answers at once; pacing on, at AWS's rates. Counts are exact, times are the machine's."
    )
    parts = [about, table(runs)]
    largest = max((size for size in runs if "converge" in runs[size]), default=None)
    if largest:
        writes = {call: count / largest for call, count in runs[largest]["converge"]["byOperation"].items()}
        # What EC2 is asked to write is of the network, however many apps there are.
        paced = {call: round(each) for call, each in writes.items()
            if runs[largest]["rates"].get(call, {}).get("write") and round(each) and not call.startswith("ec2:")}
        parts.append(pacing(runs[largest]["rates"], paced, 10_000))
    return "\n\n".join(parts) + "\n"


def commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
    changed = "-changed" if git("status", "--porcelain", "--", "src", "Cargo.lock") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed


def machine() -> str:
    model = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    busy = os.getloadavg()[2]
    return f"{len(model)} × {model[0] if model else platform.machine()}, {platform.system()} {platform.release()}, load {busy:.1f}"
