"""One local AWS for the whole test run, started like by its users; clients; waits for a state."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

PACKAGE = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
# A delay: long enough to read the state before its end, on a busy machine too.
SOON = 2
T = TypeVar("T")
_running: dict[str, Any] = {}


def url() -> str:
    if not _running:
        directory = tempfile.mkdtemp(prefix="local-aws-")
        process = subprocess.Popen(
            [sys.executable, "-m", "local_aws", "--port", "0", "--dir", directory],
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        _running.update(process=process, url=json.loads(process.stdout.readline())["url"])
        atexit.register(_stop, process)
    return _running["url"]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.stdin.close()  # the contract: the server ends at the end of its input
    process.wait(timeout=10)
    process.stdout.close()


def client(service: str, region: str = REGION, **config: Any) -> Any:
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url(),
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"max_attempts": 0}, **config),
    )


def admin(method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"{url()}/_local/{path}", method=method, data=None if body is None else json.dumps(body).encode()
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def make_vpc(**options: Any) -> dict[str, Any]:
    return admin("POST", "vpc", options)


def eventually(look: Callable[[], T], seconds: float = 10) -> T:
    """The first true result of `look`."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s; last seen: {seen!r}")
        time.sleep(0.005)
    return seen


class Case(unittest.TestCase):
    """Every test starts with the initial delays, faults and settings, and with its own names."""

    def setUp(self) -> None:
        self.reset()
        self.addCleanup(self.reset)
        self.name = self.id().rpartition(".")[2].replace("_", "-")[:40]

    @staticmethod
    def reset() -> None:
        admin("PUT", "delays", dict.fromkeys(admin("GET", "delays"), 0))
        admin("DELETE", "faults")
        admin("PUT", "settings", {"pascalCaseStates": False, "serviceZones": {}, "servicesWithoutPolicy": []})

    def refused(self, code: str, call: Callable[..., Any], **params: Any) -> str:
        """The message of the error of this call."""
        with self.assertRaises(ClientError) as raised:
            call(**params)
        error = raised.exception.response["Error"]
        self.assertEqual(error["Code"], code, error["Message"])
        return error["Message"]
