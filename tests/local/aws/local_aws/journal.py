"""Every call, without secrets, for tests that count calls and look for writes."""

import threading
import time
from collections import deque
from typing import Any

KEEP = 200_000
HIDDEN = "…"
_READS = ("Describe", "Get", "List", "Invoke")


def without_secrets(value: Any, key: str = "") -> Any:
    """Invariant 7 keeps environment values, code and payloads out of every record."""
    if key in ("ZipFile", "Payload"):
        return HIDDEN
    if key == "Variables" and isinstance(value, dict):
        return dict.fromkeys(value, HIDDEN)
    if isinstance(value, dict):
        return {k: without_secrets(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    if isinstance(value, bytes):
        return HIDDEN
    return value


class Journal:
    def __init__(self) -> None:
        self._calls: deque[dict[str, Any]] = deque(maxlen=KEEP)
        self._next = 0
        self._lock = threading.Lock()

    def record(
        self, service: str, operation: str, region: str, params: Any, status: int, error_code: str | None
    ) -> None:
        entry = {
            "time": time.time(),
            "service": service,
            "operation": operation,
            "write": not operation.startswith(_READS),
            "status": status,
            "errorCode": error_code,
            "region": region,
            "params": without_secrets(params),
        }
        # Numbered at the end: a read "since next" misses no call that is still under way.
        with self._lock:
            self._calls.append({"seq": self._next, **entry})
            self._next += 1

    def since(self, first: int) -> dict[str, Any]:
        with self._lock:
            oldest = self._next - len(self._calls)
            start = max(first - oldest, 0)
            calls = [self._calls[i] for i in range(start, len(self._calls))] if start < len(self._calls) else []
            return {"next": self._next, "calls": calls}
