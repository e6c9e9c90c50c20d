"""Child processes that cannot outlive us, and waits that notice signals and ended children."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .places import StackError

POLL_SECONDS = 0.05
STOP_SECONDS = 5.0
PR_SET_PDEATHSIG = 1

# Looked up before any fork: a child between fork and exec must not load libraries.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


class Stopped(Exception):
    """A request to stop, which is no error."""


class ChildDied(StackError):
    """A child ended by itself."""

    def __init__(self, name: str, status: int, log: str) -> None:
        super().__init__(f"{name} ended with status {status}. The end of its log:\n{log}")
        self.name = name
        self.log = log


@dataclass(frozen=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals  # also used when we are killed
    spawn: Callable[[], subprocess.Popen[bytes]]  # starts the same child again


class Supervisor:
    """Owns every child of one stack. Leaving its `with` block stops them all, the last started first."""

    def __init__(self, watch_stdin: bool) -> None:
        self._children: list[Child] = []
        self._stop_reason: str | None = None
        self._said = b""
        self._to_restart: list[str] = []
        self._selector = selectors.SelectSelector()  # unlike epoll, it takes any kind of standard input
        if watch_stdin:
            self._watch_stdin()
        self._watch_signals()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    def start(
        self, name: str, command: Sequence[str | Path], *, log: Path, cwd: Path, stop_signal: signal.Signals,
        env: dict[str, str] | None = None, stdout: Path | None = None,
    ) -> None:
        """Starts a child. Its standard input is a pipe that closes at any end of this process."""

        def spawn() -> subprocess.Popen[bytes]:
            with open(log, "ab") as errors, open(stdout or log, "ab") as output:
                return subprocess.Popen(
                    [str(part) for part in command], cwd=cwd, env={**os.environ, **(env or {})},
                    stdin=subprocess.PIPE, stdout=output, stderr=errors,
                    # A session of its own keeps the terminal's Ctrl-C from it (we stop children in order)
                    # and makes one process group of it and its own children.
                    start_new_session=True, preexec_fn=_die_with_parent(os.getpid(), stop_signal),
                )

        self._children.append(Child(name, spawn(), log, stop_signal, spawn))

    def restart(self, name: str) -> None:
        """Kills a child, like a dying node, and starts it again with the same arguments and files."""
        for place, child in enumerate(self._children):
            if child.name == name:
                _signal_group(child, signal.SIGKILL)
                child.process.wait()
                if child.process.stdin:
                    child.process.stdin.close()
                self._children[place] = dataclasses.replace(child, process=child.spawn())
                return
        raise StackError(f"restart {name}: there is {', '.join(child.name for child in self._children)}")

    def wait_until(self, what: str, probe: Callable[[], bool], seconds: float) -> None:
        """Returns once the probe is true. Raises at a request to stop, at the death of a child, and after the time."""
        deadline = time.monotonic() + seconds
        while not probe():
            self._check()
            if time.monotonic() > deadline:
                logs = "\n".join(f"{child.name}:\n{tail(child.log, 5)}" for child in self._children)
                raise StackError(f"{what}: not so after {seconds:.0f} s.\n{logs}")
            self._rest(POLL_SECONDS)

    def watch(self) -> None:
        """Stays until asked to stop (raises Stopped) or a child dies (raises ChildDied). Restarts children that a line
        on standard input names: `restart kube-apiserver`."""
        while True:
            self._check()
            while self._to_restart:
                self.restart(self._to_restart.pop(0))
            self._rest(None)

    def stop_all(self) -> None:
        """Stops all children, and the processes that they left behind."""
        for child in reversed(self._children):
            _signal_group(child, child.stop_signal)
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f"{child.name} did not stop in {STOP_SECONDS:.0f} s: killing it", file=sys.stderr)
            _signal_group(child, signal.SIGKILL)
            child.process.wait()
            if child.process.stdin:
                child.process.stdin.close()
        self._children.clear()

    def _check(self) -> None:
        if self._stop_reason:
            raise Stopped(self._stop_reason)
        for child in self._children:
            status = child.process.poll()
            if status is not None:
                raise ChildDied(child.name, status, tail(child.log, 20))

    def _rest(self, seconds: float | None) -> None:
        """Sleeps, but wakes at once for a signal (SIGCHLD too) or the end of standard input."""
        for key, _ in self._selector.select(seconds):
            key.data()

    def _watch_signals(self) -> None:
        awake, alarm = socket.socketpair()
        awake.setblocking(False)
        alarm.setblocking(False)
        self._alarm = alarm  # kept open until the process ends
        signal.set_wakeup_fd(alarm.fileno())
        self._selector.register(awake, selectors.EVENT_READ, lambda: awake.recv(4096))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the signal wakes the selector

    def _on_stop_signal(self, number: int, _frame: object) -> None:
        self._stop_reason = signal.Signals(number).name

    def _watch_stdin(self) -> None:
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._on_stdin)

    def _on_stdin(self) -> None:
        read = os.read(sys.stdin.fileno(), 4096)
        if not read:
            self._stop_reason = "end of standard input (--ignore-stdin runs without one)"
            self._selector.unregister(sys.stdin.fileno())
        *lines, self._said = (self._said + read).split(b"\n")
        for line in lines:
            word, _, name = line.decode(errors="replace").partition(" ")
            if word == "restart":
                self._to_restart.append(name.strip())


def free_ports(count: int) -> list[int]:
    """Ports that are free now. Somebody may take a port before its user, who must then retry."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def tail(path: Path, lines: int) -> str:
    if not path.exists():
        return "(nothing)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def _signal_group(child: Child, number: signal.Signals) -> None:
    try:
        os.killpg(child.process.pid, number)
    except ProcessLookupError:
        pass  # the whole group has ended, as desired


def _die_with_parent(parent: int, number: signal.Signals) -> Callable[[], None] | None:
    """On Linux the kernel signals the child at any end of this process, even after a kill."""
    if _prctl is None:
        return None

    def ask_kernel() -> None:
        _prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # the parent died before the request
            os._exit(1)

    return ask_kernel
