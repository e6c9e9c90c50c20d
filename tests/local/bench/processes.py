"""The three processes: Kubernetes, AWS, and the operator, with the figures that the kernel and the operator's metrics have."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
STACK = REPOSITORY / "tests/local/stack.py"
INSTALLATION, REGION = "bench", "us-east-1"
START_SECONDS = 60
TICK = 1 / os.sysconf("SC_CLK_TCK")
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    """What went wrong, in words for the person at the terminal."""


class Aws:
    """The AWS that answers at once: tests/bench_aws."""

    def __init__(self, url: str) -> None:
        self.url = url

    def calls(self) -> Counter[str]:
        return Counter(self._ask("calls"))

    def vpc(self) -> str:
        return str(self._ask("vpc")["vpcId"])

    def rates(self) -> dict[str, dict[str, Any]]:
        return dict(self._ask("rates"))

    def copies(self, vpc: str, namespace: str, source: str, names: list[str]) -> None:
        of = {"installation": INSTALLATION, "region": REGION, "vpc": vpc, "namespace": namespace}
        self._ask("copies", {**of, "from": source, "to": names})

    def left(self) -> list[str]:
        return list(self._ask("left", {"installation": INSTALLATION}))

    def _ask(self, what: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(f"{self.url}/_bench/{what}", method="POST", data=json.dumps(body or {}).encode())
        with WITHOUT_PROXY.open(request, timeout=120) as answer:
            return json.load(answer)


@contextmanager
def running_aws(program: Path) -> Iterator[Aws]:
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            yield Aws(json.loads(line)["url"])
        finally:
            process.terminate()


@contextmanager
def running_kubernetes() -> Iterator[dict[str, str]]:
    """The control plane of the local stack, with its audit log."""
    command = [sys.executable, STACK, "run", "--without-aws", "--audit"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise Failed("the local stack did not start: python3 tests/local/stack.py run says why")
            yield json.loads(line)
        finally:
            process.terminate()


class Operator:
    """A running operator."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, began: float) -> None:
        self.process, self._log, self.began = process, log, began

    def processor_seconds(self) -> float:
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK

    def memory_mib(self) -> float:
        return self._status("VmRSS") / 1024

    def peak_mib(self) -> float:
        """The most memory since `forget_peak`."""
        return self._status("VmHWM") / 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def reconciles(self, kind: str) -> Counter[str]:
        """By their result."""
        pattern = rf'^private_genai_operator_reconciles_total\{{kind="{kind}",result="(\w+)"\}} (\d+)'
        return Counter({result: int(count) for result, count in re.findall(pattern, self._metrics(), re.MULTILINE)})

    def put_off(self) -> Counter[str]:
        """The calls that the operator's own pacing put off."""
        pattern = r'^private_genai_operator_aws_put_off_total\{service="(\w+)",operation="(\w+)"\} (\d+)'
        found = re.findall(pattern, self._metrics(), re.MULTILINE)
        return Counter({f"{service}:{operation}": int(count) for service, operation, count in found})

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise Failed(f"the operator ended with status {self.process.returncode}: see {self._log}")
        try:
            with WITHOUT_PROXY.open(f"{self._url()}/readyz", timeout=30):
                return True
        except (OSError, Failed):
            return False

    def _metrics(self) -> str:
        with WITHOUT_PROXY.open(f"{self._url()}/metrics", timeout=120) as answer:
            return str(answer.read().decode())

    def _url(self) -> str:
        address = re.search(r"address=([0-9.:]+)", self._log.read_text())
        if address is None:
            raise Failed("the operator does not listen yet")
        return f"http://{address[1]}"

    def _status(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB", self._proc("status"), re.MULTILINE)
        return int(found[1]) if found else 0

    def _proc(self, file: str) -> str:
        return Path(f"/proc/{self.process.pid}/{file}").read_text()


@contextmanager
def running_operator(program: Path, kubeconfig: str, aws: Aws, log: Path, resync: int) -> Iterator[Operator]:
    """A ready operator, which releases its Lease in the end."""
    command: list[str | Path] = [program, "run", f"--installation-id={INSTALLATION}", f"--region={REGION}",
        "--implicit-network-vpc-ids=vpc-*", f"--resync-seconds={resync}", "--lease-namespace=default",
        "--listen=127.0.0.1:0", "--log-format=text"]
    environment = {**os.environ, "KUBECONFIG": kubeconfig, "NO_COLOR": "1", "AWS_ENDPOINT_URL": aws.url,
        "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    began = time.monotonic()
    with open(log, "wb") as file, subprocess.Popen(command, env=environment, stderr=file) as process:
        try:
            operator = Operator(process, log, began)
            while not operator.is_ready():
                if time.monotonic() - began > START_SECONDS * 5:
                    raise Failed(f"the operator is not ready after {START_SECONDS * 5} s: see {log}")
                time.sleep(0.02)
            yield operator
            process.terminate()
            process.wait(timeout=START_SECONDS)
        finally:
            process.kill()
