"""Faults on demand: a call fails before its work, or its answer is lost after its work."""

import threading
from dataclasses import asdict, dataclass

CONNECTION_RESET = "ConnectionReset"


@dataclass
class Fault:
    service: str
    operation: str  # "*" = any
    errorCode: str = CONNECTION_RESET
    status: int = 500
    message: str = "injected by the test"
    count: int = 1
    when: str = "before"

    def __post_init__(self) -> None:
        if self.when not in ("before", "after"):
            raise ValueError(f"when: 'before' or 'after', not {self.when!r}")
        if not isinstance(self.count, int) or self.count < 1:
            raise ValueError(f"count: at least 1, not {self.count!r}")

    @property
    def resets(self) -> bool:
        return self.errorCode == CONNECTION_RESET


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def take(self, service: str, operation: str) -> Fault | None:
        """Uses the first fault for this call once."""
        with self._lock:
            for fault in self._faults:
                if fault.service in (service, "*") and fault.operation in (operation, "*"):
                    fault.count -= 1
                    if fault.count == 0:
                        self._faults.remove(fault)
                    return fault
        return None

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def left(self) -> list[dict[str, object]]:
        with self._lock:
            return [asdict(fault) for fault in self._faults]
