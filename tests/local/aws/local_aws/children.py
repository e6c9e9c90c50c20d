"""The child processes of the local AWS, which end with it."""

import os
import signal
import subprocess
import threading
from typing import Any


class Children:
    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise RuntimeError("shutting down")
            # A new process group, so that the child's own children end with it.
            process = subprocess.Popen(command, start_new_session=True, **options)
            self._running.add(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # the child has just ended
        process.wait()
        with self._lock:
            self._running.discard(process)

    def stop_all(self) -> None:
        with self._lock:
            self._closed, running = True, list(self._running)
        for process in running:
            self.stop(process)
