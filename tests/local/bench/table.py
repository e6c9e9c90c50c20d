"""The figures as a table, each beside its target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A figure: its name, its target at any number of apps, and its value in the results."""

    name: str
    target: str
    value: Callable[[Results, int], str]


def spread(numbers: list[float], digits: int = 0) -> str:
    """One number, or the least and the most."""
    low, high = (f"{number:.{digits}f}" for number in (min(numbers), max(numbers)))
    return low if low == high else f"{low}–{high}"


def of_each(phase: str, member: str, digits: int = 0) -> Callable[[Results, int], str]:
    return lambda results, _: spread([each[member] for each in results[phase]], digits)


def member(phase: str, name: str, digits: int = 0) -> Callable[[Results, int], str]:
    return lambda results, _: f"{results[phase][name]:.{digits}f}"


def reconciles(results: Results, _: int) -> str:
    converge = results["converge"]
    put_off = sum(converge["putOff"].values())
    return f"{sum(converge['reconciles'].values())}" + (f" ({put_off} calls put off)" if put_off else "")


def limit(results: Results, phase: str) -> float:
    """How long the writes of a phase take at the least: the longest of what each bucket takes."""
    rates, needed = results["rates"], {}
    for call, count in results[phase]["byOperation"].items():
        rate = rates.get(call)
        if rate and rate["write"]:
            family = needed.setdefault(rate["family"], [0, rate])
            family[0] += count
    return max((max(0.0, count - rate["burst"]) / rate["perSecond"] for count, rate in needed.values()), default=0.0)


def seconds_to_converge(results: Results, _: int) -> str:
    return f"{results['converge']['seconds']:.0f} / {limit(results, 'converge'):.0f}"


def processor(results: Results, size: int) -> str:
    return f"{results['converge']['processorSeconds'] * 1000 / size:.0f}"


def kubernetes(results: Results, size: int) -> str:
    written = results["converge"]["kubernetes"]
    statuses = sum(count for what, count in written.items() if what.endswith("/status") and "apps" in what)
    events = sum(count for what, count in written.items() if what.partition(" ")[2].startswith("events"))
    return f"{statuses / size:.1f}, {events / size:.1f}"


def resync(results: Results, _: int) -> str:
    return f"{results['rest']['calls'] / results['rest']['resyncs']:.0f}"


def restart(results: Results, _: int) -> str:
    found = results["restart"]
    return f"{found['reads']}; {found['readySeconds']:.1f}; {found['seconds']:.1f}"


ROWS = (
    Row("AWS calls of a further app", "7 to 8: 5 writes, GetFunction, the probe, at most 1 read more", of_each("further", "calls")),
    Row("AWS calls of a changed app", "at most 4: 1 write, at most 2 reads, the probe", of_each("changed", "calls")),
    Row("AWS calls of a deleted app, until it is gone", "at most 8: 4 writes, at most 4 reads", of_each("deleted", "calls")),
    Row("… with the two looks for late writes", "", of_each("deleted", "callsWithLateChecks")),
    Row("seconds until a changed app is Ready", "under 2", of_each("changed", "seconds", 2)),
    Row("seconds until 20 further apps are Ready", "6, which pacing sets", member("more", "seconds", 1)),
    Row("reads while the apps converge", "1.2 × N", member("converge", "reads")),
    Row("reconciles of apps while they converge", "3 × N", reconciles),
    Row("seconds to converge / the limit that pacing sets", "within 5 % of the limit", seconds_to_converge),
    Row("processor time for each app that converges, ms", "under 15", processor),
    Row("writes to Kubernetes for each app that converges: status, Events", "at most 3, 1", kubernetes),
    Row("AWS calls of a resync at rest", "pages of ListFunctions", resync),
    Row("reads while all are deleted at once", "4 × N", member("deleteAll", "reads")),
    Row("memory after convergence, MiB", "60 at 1,000", member("converge", "restMiB")),
    Row("memory while all are deleted, at most, MiB", "", member("deleteAll", "peakMiB")),
    Row("memory at rest after a restart, MiB", "60 at 1,000, 200 at 10,000", member("rest", "memoryMiB")),
    Row("restart: reads; seconds until /readyz; until at rest", "pages, once", restart),
    Row("loaded: memory once all are Ready, MiB", "200 at 10,000", member("adopt", "restMiB")),
    Row("loaded: reads; seconds until all are Ready", "", lambda results, _: f"{results['adopt']['reads']}; {results['adopt']['seconds']:.0f}"),
)


def table(runs: dict[int, Results]) -> str:
    """In Markdown. What was not measured at a size has a dash."""
    sizes = sorted(runs)
    lines = [
        f"| | {' | '.join(f'N = {size:,}' for size in sizes)} | should be |",
        f"|---|{'---|' * len(sizes)}---|",
    ]
    for row in ROWS:
        values = [cell(row, runs[size], size) for size in sizes]
        if any(value != "–" for value in values):
            lines.append(f"| {row.name} | {' | '.join(values)} | {row.target} |")
    return "\n".join(lines)


def cell(row: Row, results: Results, size: int) -> str:
    try:
        return row.value(results, size)
    except KeyError:
        return "–"


def pacing(rates: dict[str, dict[str, Any]], needed: dict[str, float], size: int) -> str:
    """The least time for so many apps, by bucket. `needed` has the calls of one app."""
    families: dict[str, list[Any]] = {}
    for call, rate in rates.items():
        if call in needed:
            families.setdefault(rate["family"], [rate, []])[1].append(call)
    rows = []
    for name, (rate, calls) in families.items():
        for_each = sum(needed[call] for call in calls)
        seconds = max(0.0, for_each * size - rate["burst"]) / rate["perSecond"]
        rows.append((seconds, f"| {name} | {rate['burst']} | {rate['perSecond']:g} | {for_each:g}: {', '.join(sorted(call.partition(':')[2] for call in calls))} | {seconds:,.0f} |"))
    header = f"| bucket | at once | a second | calls for each app | seconds for {size:,} apps, at the least |\n|---|---|---|---|---|"
    return "\n".join([header, *(row for _, row in sorted(rows, reverse=True))])
