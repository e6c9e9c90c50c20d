"""Later changes. No change runs by itself: due changes are made before the next call, in order of time.

So a delay of zero means: the call that starts something still answers `pending`, and the next call sees it done.
"""

import heapq
import itertools
import time
from collections.abc import Callable

DELAYS = (
    "endpointAvailable",  # CreateVpcEndpoint: pending -> available
    "endpointDeleted",  # DeleteVpcEndpoints: deleting -> deleted; its interfaces are deleted
    "endpointForgotten",  # deleted -> no longer listed
    "functionActive",  # CreateFunction: Pending -> Active
    "functionUpdated",  # updates: LastUpdateStatus InProgress -> Successful
    "interfaceReleased",  # the last function of a (subnet, groups) was detached -> its interface is deleted
    "roleUsable",  # CreateRole -> Lambda can assume it
)


class Clock:
    def __init__(self) -> None:
        self.delays: dict[str, float] = dict.fromkeys(DELAYS, 0.0)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def set_delays(self, changes: dict[str, float]) -> None:
        unknown = sorted(set(changes) - set(DELAYS))
        if unknown:
            raise ValueError(f"unknown delays {unknown}; known: {list(DELAYS)}")
        self.delays.update({name: float(seconds) for name, seconds in changes.items()})

    def after(self, delay: str, work: Callable[[], None]) -> None:
        when = time.monotonic() + self.delays[delay]
        heapq.heappush(self._due, (when, next(self._order), work))

    def run_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            heapq.heappop(self._due)[2]()
