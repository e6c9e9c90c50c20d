"""A local stack for Python tests: its Kubernetes, its AWS, and operators that run against both."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
LOCAL = Path(os.environ.get("PGAI_LOCAL_DIR") or REPOSITORY / ".local").resolve()
OPERATOR = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve() / "debug/private-genai-operator"
SECONDS = 60


class LocalStack:
    """A stack that ends with its context. Needs `make build` first."""

    def __enter__(self) -> LocalStack:
        with ExitStack() as stopped:
            process = stopped.enter_context(subprocess.Popen(
                [sys.executable, REPOSITORY / "tests/local/stack.py", "run"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
            stopped.callback(process.terminate)
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise AssertionError("the local stack did not start: python3 tests/local/stack.py run shows the cause")
            self.facts: dict[str, str] = json.loads(line)
            self._stopped = stopped.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.close()

    def kubectl(self, *arguments: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ, "KUBECONFIG": self.facts["kubeconfig"], "KUBECACHEDIR": f"{self.facts['dir']}/kubectl-cache",
        }
        answer = subprocess.run([self.facts["kubectl"], *arguments], input=text, capture_output=True, text=True,
            env=environment, timeout=SECONDS, check=False)
        if check and answer.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {answer.stderr}{answer.stdout}")
        return answer

    def get(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", *arguments, "-o", "json").stdout))

    def install_crds(self) -> None:
        self.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
        # The schemas of new kinds are published a little later.
        eventually(lambda: "privategenai" in self.kubectl("get", "--raw", "/openapi/v2").stdout)

    def aws(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.facts['adminUrl']}/{path}", method=method, data=data)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=SECONDS) as answer:
            return json.load(answer)

    def aws_is_empty(self) -> bool:
        return not any(self.aws("GET", "inventory").values())

    @contextmanager
    def operator(self, log: Path) -> Iterator[None]:
        """A running and ready operator, which ends in order."""
        command: list[str | Path] = [OPERATOR, "run", "--installation-id=prod", "--region=us-east-1",
            "--implicit-network-vpc-ids=vpc-*", "--resync-seconds=10", "--lease-namespace=default",
            "--listen=127.0.0.1:0", "--log-format=text"]
        environment = {**os.environ, "KUBECONFIG": self.facts["kubeconfig"], "NO_COLOR": "1",
            "AWS_ENDPOINT_URL": self.facts["awsEndpointUrl"], "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        with open(log, "wb") as file, subprocess.Popen(command, env=environment, stderr=file) as process:
            try:
                eventually(lambda: is_ready(process, log))
                yield
            finally:
                process.terminate()
        if process.returncode != 0:
            raise AssertionError(f"the operator ended with status {process.returncode}: {log.read_text()}")


def is_ready(process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError(f"the operator ended with status {process.returncode}: {log.read_text()}")
    address = re.search(r"address=([0-9.:]+)", log.read_text())
    if address is None:
        return False
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{address[1]}/readyz", timeout=2):
            return True
    except OSError:
        return False


def eventually(look: Callable[[], bool], what: str = "") -> None:
    deadline = time.monotonic() + SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {SECONDS} s {what}")
        time.sleep(0.1)


def names_of_conditions(section: str) -> list[str]:
    """The names in a table of docs/reference/conditions.md, which the code writes: "Conditions" or "Reasons"."""
    text = (REPOSITORY / "docs/reference/conditions.md").read_text()
    [rows] = re.findall(rf"^## {section}\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| `([A-Z][A-Za-z]+)` \|", rows, re.MULTILINE)
