"""The phases: each one changes something, waits until the operator is at rest, and returns the cost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .cluster import NAMESPACE, Cluster, Watch
from .processes import Aws, Operator, running_aws, running_kubernetes, running_operator

QUIET_SECONDS = 3  # no call and hardly any work for so long: nothing is under way
LATE_SECONDS = 75  # a minute after a deletion the operator has looked twice for late writes
FURTHER, GONE, MORE = 3, 2, 20  # how many apps come and change one after the other; how many of those go so; how many come at once
NEVER = 86_400


@dataclass
class Setting:
    operator: Path
    aws: Path
    logs: Path
    resync: int
    patience: float


@dataclass
class Window:
    """What was called, written and used in a stretch of time."""

    seconds: float
    calls: Counter[str]
    reconciles: Counter[str]
    put_off: Counter[str]
    processor: float

    def reads(self) -> int:
        return sum(count for call, count in self.calls.items() if kind(call) == "read")

    def writes(self) -> int:
        return sum(count for call, count in self.calls.items() if kind(call) == "write")

    def as_json(self) -> dict[str, Any]:
        return {
            "seconds": round(self.seconds, 2), "reads": self.reads(), "writes": self.writes(), "calls": sum(self.calls.values()),
            "byOperation": dict(sorted(self.calls.items())), "reconciles": dict(self.reconciles),
            "putOff": dict(sorted(self.put_off.items())), "processorSeconds": round(self.processor, 2),
        }


def kind(call: str) -> str:
    operation = call.partition(":")[2]
    if operation == "Invoke":
        return "probe"
    return "read" if operation.startswith(("Describe", "Get", "List")) else "write"


@dataclass
class Bench:
    """One size: a cluster, an AWS, and operators one after the other."""

    setting: Setting
    cluster: Cluster
    kubeconfig: str
    aws: Aws
    vpc: str
    watch: Watch
    results: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def operator(self, resync: int) -> Iterator[Operator]:
        log = self.setting.logs / f"operator-{time.strftime('%H%M%S')}.log"
        with running_operator(self.setting.operator, self.kubeconfig, self.aws, log, resync) as operator:
            yield operator

    def settle(self, operator: Operator) -> float:
        """Until nothing is under way; the moment at which that began."""
        last, since = (self.aws.calls().total(), operator.processor_seconds()), time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            time.sleep(0.25)
            now = (self.aws.calls().total(), operator.processor_seconds())
            if now[0] != last[0] or now[1] - last[1] > 0.05:
                since = time.monotonic()
            last = now
        return since

    def window(self, operator: Operator, act: Callable[[], object]) -> Window:
        """From before `act` to its end, calls and work until nothing is under way."""
        calls, processor = self.aws.calls(), operator.processor_seconds()
        reconciles, put_off = operator.reconciles("app"), operator.put_off()
        began = time.monotonic()
        act()
        seconds = time.monotonic() - began
        self.settle(operator)
        return Window(seconds, self.aws.calls() - calls, operator.reconciles("app") - reconciles,
            operator.put_off() - put_off, operator.processor_seconds() - processor)

    def create(self, names: list[str], *, wait: bool = True) -> None:
        self.cluster.create(names, self.vpc)
        if wait:
            self.watch.wait_ready(names, self.setting.patience)

    def delete(self, names: list[str]) -> None:
        self.cluster.delete(names)
        self.watch.wait_gone(names, self.setting.patience)


@contextmanager
def bench(setting: Setting) -> Iterator[Bench]:
    with running_kubernetes() as stack, running_aws(setting.aws) as aws:
        cluster = Cluster(stack)
        cluster.prepare()
        yield Bench(setting, cluster, stack["kubeconfig"], aws, aws.vpc(), cluster.watch())


def measure(setting: Setting, size: int, *, loaded: bool) -> dict[str, Any]:
    """All figures at a size, and what they were measured from."""
    names = [f"app-{number:05}" for number in range(size)]
    with bench(setting) as at:
        (load if loaded else converge)(at, names)
        restart(at, size)
        rest(at)
        if not loaded:
            delete_all(at, names)
        at.results["rates"] = at.aws.rates()
        return at.results


def converge(at: Bench, names: list[str]) -> None:
    say(f"{len(names)} apps come at once")
    all_at_once(at, "converge", lambda: at.create(names), lambda operator: {"restMiB": round(operator.memory_mib(), 1)})


def all_at_once(at: Bench, figure: str, act: Callable[[], None], further: Callable[[Operator], dict[str, Any]]) -> None:
    """What an act on all apps takes until the operator is at rest."""
    with at.operator(at.setting.resync) as operator:
        at.settle(operator)
        operator.forget_peak()
        before = at.cluster.writes()
        window = at.window(operator, act)
        written = at.cluster.writes() - before
        at.results[figure] = {**window.as_json(), "kubernetes": dict(sorted(written.items())),
            "peakMiB": round(operator.peak_mib(), 1), **further(operator)}
        tell(at.results[figure])


def load(at: Bench, names: list[str]) -> None:
    """One app converges, and AWS gets copies of its resources for the other apps: the next operator adopts all of them."""
    say(f"{len(names)} apps are loaded")
    with at.operator(NEVER) as operator:
        at.create(names[:1])
        at.settle(operator)
    at.aws.copies(at.vpc, NAMESPACE, names[0], names[1:])
    at.create(names[1:], wait=False)
    calls, before = at.aws.calls(), at.cluster.writes()
    with at.operator(NEVER) as operator:
        at.watch.wait_ready(names, at.setting.patience)
        seconds = time.monotonic() - operator.began
        at.settle(operator)
        window = Window(seconds, at.aws.calls() - calls, operator.reconciles("app"), operator.put_off(), operator.processor_seconds())
        written = at.cluster.writes() - before
        at.results["adopt"] = {**window.as_json(), "kubernetes": dict(sorted(written.items())),
            "peakMiB": round(operator.peak_mib(), 1), "restMiB": round(operator.memory_mib(), 1)}
        tell(at.results["adopt"])


def restart(at: Bench, size: int) -> None:
    """An operator starts among converged apps; then single apps are created, changed and deleted, without a resync in between."""
    say(f"a restart among {size} apps")
    calls, before = at.aws.calls(), at.cluster.writes()
    with at.operator(NEVER) as operator:
        ready = time.monotonic() - operator.began
        at_rest = at.settle(operator) - operator.began
        window = Window(at_rest, at.aws.calls() - calls, operator.reconciles("app"), operator.put_off(), operator.processor_seconds())
        at.results["restart"] = {**window.as_json(), "readySeconds": round(ready, 2), "restMiB": round(operator.memory_mib(), 1),
            "kubernetes": dict(at.cluster.writes() - before)}
        tell(at.results["restart"])
        change(at, operator)


def change(at: Bench, operator: Operator) -> None:
    further = [f"further-{number}" for number in range(FURTHER)]
    at.results["further"], at.results["changed"], at.results["deleted"] = [], [], []
    for name in further:
        say("one app more")
        at.results["further"].append(at.window(operator, lambda name=name: at.create([name])).as_json())
        tell(at.results["further"][-1])
    for number, name in enumerate(further):
        say("one app changes")
        at.results["changed"].append(at.window(operator, lambda name=name, number=number: changed(at, name, 600 + number)).as_json())
        tell(at.results["changed"][-1])
    for name in further[:GONE]:
        say("one app goes")
        calls = at.aws.calls()
        began = time.monotonic()
        window = at.window(operator, lambda name=name: at.delete([name])).as_json()
        time.sleep(max(0.0, LATE_SECONDS - (time.monotonic() - began)))
        late = at.aws.calls() - calls
        at.results["deleted"].append({**window, "callsWithLateChecks": late.total(), "lateByOperation": dict(sorted(late.items()))})
        tell(at.results["deleted"][-1])
    say(f"{MORE} apps more at once")
    more = [f"more-{number:02}" for number in range(MORE)]
    at.results["more"] = at.window(operator, lambda: at.create(more)).as_json()
    tell(at.results["more"])
    at.delete([*more, *further[GONE:]])
    at.settle(operator)


def changed(at: Bench, name: str, memory: int) -> None:
    at.watch.wait_ready([name], at.setting.patience, at.cluster.change(name, memory))


def rest(at: Bench, seconds: int = 60, times: int = 3) -> None:
    """The calls of some resyncs while nothing changes."""
    say(f"{times} resyncs at rest")
    with at.operator(seconds) as operator:
        at.settle(operator)
        before, calls, processor = at.cluster.writes(), at.aws.calls(), operator.processor_seconds()
        time.sleep(seconds * times)
        at.settle(operator)
        made = at.aws.calls() - calls
        at.results["rest"] = {"resyncs": times, "calls": made.total(), "byOperation": dict(sorted(made.items())),
            "processorSeconds": round(operator.processor_seconds() - processor, 2), "memoryMiB": round(operator.memory_mib(), 1),
            "kubernetes": dict(at.cluster.writes() - before)}
        tell(at.results["rest"])


def delete_all(at: Bench, names: list[str]) -> None:
    say(f"all {len(names)} apps go")
    all_at_once(at, "deleteAll", lambda: at.delete(names), lambda _: {"left": len(at.aws.left())})


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def tell(result: dict[str, Any]) -> None:
    print(f"         {result}", flush=True)
