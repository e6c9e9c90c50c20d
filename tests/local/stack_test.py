#!/usr/bin/env python3
"""The guarantees of the orchestrator of the local stack. Needs `stack.py build --only kubernetes --only tools` first."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable, Sequence
from pathlib import Path

STACK = Path(__file__).resolve().parent / "stack.py"
LOCAL = Path(os.environ.get("PGAI_LOCAL_DIR") or STACK.parent.parent.parent / ".local").resolve()
SECONDS = 60

OWNED = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: owned, ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}}}]}}
"""


# stack.py, but among the first ports that it finds one is taken by the time it is used.
FIRST_TAKE_A_TAKEN_PORT = """
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {folder!r})
from stack import cli, kubernetes
find = kubernetes.free_ports
def with_a_taken_one(count):
    kubernetes.free_ports = find
    ports = find(count)
    ports[{place}] = {taken}
    return ports
kubernetes.free_ports = with_a_taken_one
sys.exit(cli.main(sys.argv[1:]))
"""


class RunningStack:
    """`stack.py run`, used like by a test harness."""

    def __init__(self, *options: str, program: Sequence[str] = (str(STACK),)) -> None:
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, *program, "run", "--without-aws", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self._description: dict[str, str] | None = None

    @property
    def description(self) -> dict[str, str]:
        if self._description is None:
            line = self.process.stdout.readline()  # empty when it exits: `run` has deadlines of its own
            if not line:
                raise AssertionError(f"the stack did not start:\n{self.output()}")
            self._description = json.loads(line)
        return self._description

    def kubectl(self, *arguments: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECACHEDIR": self.description["dir"] + "/kubectl-cache"}
        return subprocess.run(
            [self.description["kubectl"], "--kubeconfig", self.description["kubeconfig"], *arguments],
            input=text, capture_output=True, text=True, check=check, env=environment, timeout=SECONDS)

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def child(self, name: str) -> int:
        return next(pid for pid in self.children() if program_of(pid) == name)

    def runs_child(self, name: str) -> bool:
        """Whether the stack has that child. Earlier short-lived children (`go version`) do not count."""
        for pid in self.children():
            try:
                if program_of(pid) == name:
                    return True
            except (FileNotFoundError, ProcessLookupError):
                continue
        return False

    def output(self) -> str:
        self.errors.seek(0)
        return self.errors.read()

    def stop(self) -> int:
        self.process.stdin.close()
        status = self.process.wait(SECONDS)
        self.process.stdout.close()
        self.errors.close()
        return status


def program_of(pid: int) -> str:
    return Path(Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]).name


def runs(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def eventually(what: str, probe: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not probe():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {SECONDS} s: {what}")
        time.sleep(0.05)


class Kubernetes(unittest.TestCase):
    """To an operator, the control plane behaves like a cluster."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.stack = RunningStack("--audit")
        cls.addClassCleanup(cls.stack.stop)

    def test_it_says_what_version_it_is(self) -> None:
        version = json.loads(self.stack.kubectl("version", "--output=json").stdout)
        for side in ("clientVersion", "serverVersion"):
            self.assertEqual((version[side]["major"], version[side]["minor"]), ("1", "36"), side)
        self.assertEqual(version["clientVersion"]["gitVersion"], version["serverVersion"]["gitVersion"])

    def test_deleting_a_namespace_finishes(self) -> None:
        self.stack.kubectl("create", "namespace", "short-lived")
        self.stack.kubectl("--namespace=short-lived", "create", "configmap", "content")
        self.stack.kubectl("delete", "namespace", "short-lived", f"--timeout={SECONDS - 1}s")
        self.assertEqual(self.stack.kubectl("get", "namespace", "short-lived", check=False).returncode, 1)

    def test_what_an_object_owns_goes_with_it(self) -> None:
        uid = self.stack.kubectl("create", "configmap", "owner", "--output=jsonpath={.metadata.uid}").stdout
        self.stack.kubectl("create", "--filename=-", text=OWNED.format(uid=uid))
        self.stack.kubectl("delete", "configmap", "owner")
        self.stack.kubectl("wait", "--for=delete", "configmap/owned", f"--timeout={SECONDS - 1}s")

    def test_a_service_account_may_do_what_its_roles_say_and_no_more(self) -> None:
        self.stack.kubectl("create", "serviceaccount", "reader")
        self.stack.kubectl("create", "rolebinding", "reader", "--clusterrole=view", "--serviceaccount=default:reader")
        token = self.stack.kubectl("create", "token", "reader").stdout

        def may(verb: str) -> bool:
            asked = ("auth", "can-i", verb, "configmaps", f"--token={token}")
            return self.stack.kubectl(*asked, check=False).stdout == "yes\n"

        eventually("the reader may list", lambda: may("list"))
        self.assertFalse(may("create"))

    def test_the_audit_log_names_who_did_what(self) -> None:
        self.stack.kubectl("create", "configmap", "audited")
        log = Path(self.stack.description["auditLog"])
        events = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertIn(("admin", "create", "audited"), [
            (event["user"]["username"], event["verb"], event.get("objectRef", {}).get("name")) for event in events])


class Lifetime(unittest.TestCase):
    """A stack leaves no files or processes behind, however it ends, and does not disturb another stack."""

    def start(self, *options: str) -> RunningStack:
        stack = RunningStack(*options)
        self.addCleanup(stack.stop)
        return stack

    def assert_nothing_left(self, children: list[int]) -> None:
        self.assertEqual(len(children), 3)
        eventually("no child runs", lambda: not any(runs(pid) for pid in children))

    def test_two_stacks_run_beside_each_other(self) -> None:
        one, other = self.start(), self.start()
        one.kubectl("create", "configmap", "mine")
        self.assertEqual(one.kubectl("get", "configmap", "mine").returncode, 0)
        self.assertEqual(other.kubectl("get", "configmap", "mine", check=False).returncode, 1)

    def test_killing_it_stops_every_child_and_the_next_one_tidies_up(self) -> None:
        stack = self.start()
        directory = Path(stack.description["dir"])
        children = stack.children()
        stack.process.kill()
        self.assert_nothing_left(children)
        self.assertTrue(directory.exists())
        self.assertTrue(self.start().description)
        self.assertFalse(directory.exists())

    def test_the_end_of_its_input_or_a_signal_stops_it_and_removes_its_files(self) -> None:
        for how in ("input", signal.SIGTERM, signal.SIGINT):
            with self.subTest(how=how):
                stack = self.start()
                directory = Path(stack.description["dir"])
                children = stack.children()
                if how == "input":
                    stack.process.stdin.close()
                else:
                    stack.process.send_signal(how)
                self.assertEqual(stack.process.wait(SECONDS), 0, stack.output())
                self.assert_nothing_left(children)
                self.assertFalse(directory.exists())

    def test_a_signal_stops_it_while_it_is_starting(self) -> None:
        stack = self.start()
        eventually("it has started etcd", lambda: stack.runs_child("etcd"))
        stack.process.terminate()
        self.assertEqual(stack.process.wait(SECONDS), 0, stack.output())
        self.assertEqual(stack.process.stdout.read(), "")

    def test_it_ends_with_a_child_and_says_which(self) -> None:
        stack = self.start()
        self.assertTrue(stack.description)
        children = stack.children()
        os.kill(stack.child("kube-controller-manager"), signal.SIGKILL)
        self.assertEqual(stack.process.wait(SECONDS), 1)
        self.assertIn("kube-controller-manager ended with status -9", stack.output())
        self.assert_nothing_left(children)

    def test_it_keeps_a_given_folder_and_starts_from_nothing(self) -> None:
        directory = self.enterContext(tempfile.TemporaryDirectory())
        stack = self.start("--dir", directory)
        self.assertEqual(Path(stack.description["dir"]), Path(directory).resolve())
        stack.process.terminate()
        self.assertEqual(stack.process.wait(SECONDS), 0)
        self.assertTrue((Path(directory) / "logs" / "etcd.log").exists())
        again = self.start("--dir", directory)
        self.assertEqual(again.process.wait(SECONDS), 1)
        self.assertIn("is not empty", again.output())


class PortRace(unittest.TestCase):
    """Somebody else may take a free port before the stack listens on it."""

    def test_it_starts_with_other_ports(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as somebody:
            taken = somebody.getsockname()[1]
            for victim, place in (("etcd", 0), ("kube-apiserver", 2)):
                with self.subTest(victim=victim):
                    code = FIRST_TAKE_A_TAKEN_PORT.format(folder=str(STACK.parent), taken=taken, place=place)
                    stack = RunningStack(program=("-c", code))
                    self.addCleanup(stack.stop)
                    self.assertTrue(stack.description)
                    self.assertIn(f"somebody took a port of ours; trying again ({victim})", stack.output())


class InTheBackground(unittest.TestCase):
    """`up` and `down`, in a folder of their own: a developer's stack may be up beside this test."""

    def setUp(self) -> None:
        self.local = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for built in ("bin", "stamps"):
            (self.local / built).symlink_to(LOCAL / built)
        self.addCleanup(self.stack, "down")

    def stack(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(STACK), command, *options], capture_output=True, text=True, check=False,
            timeout=3 * SECONDS, env={**os.environ, "PGAI_LOCAL_DIR": str(self.local)})

    def test_up_stays_up_and_down_leaves_nothing(self) -> None:
        first = self.stack("up", "--without-aws")
        self.assertEqual(first.returncode, 0, first.stderr)
        second = self.stack("up", "--without-aws")
        self.assertEqual(second.stdout, first.stdout)
        self.assertEqual(self.stack("exports").stdout, first.stdout)
        answer = subprocess.run(
            ["sh", "-c", 'eval "$0" && kubectl get --raw /readyz', first.stdout],
            capture_output=True, text=True, check=False)
        self.assertEqual(answer.stdout, "ok", answer.stderr)
        self.assertEqual(self.stack("down").returncode, 0)
        self.assertFalse((self.local / "up").exists())
        self.assertEqual(self.stack("exports").returncode, 1)
        self.assertEqual(self.stack("down").returncode, 0)

    def test_up_says_why_it_did_not_start(self) -> None:
        (self.local / "bin").unlink()
        (self.local / "bin").mkdir()
        for name in ("controlplane", "etcd", "kube-apiserver", "kube-controller-manager", "kubectl"):
            (self.local / "bin" / name).symlink_to("/bin/false")
        for name in ("helm", "kubeconform"):
            (self.local / "bin" / name).symlink_to(LOCAL / "bin" / name)
        up = self.stack("up", "--without-aws")
        self.assertEqual(up.returncode, 1)
        self.assertRegex(up.stderr, "(etcd|kube-apiserver) ended with status 1")


if __name__ == "__main__":
    unittest.main()
