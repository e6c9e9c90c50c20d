"""The AWS half: the package `local_aws` beside this one, run by the virtual environment that `build` made."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from .places import SOURCES, Local, StackError
from .supervise import Supervisor

START_SECONDS = 60
REGION = "us-east-1"
ACCOUNT_ID = "123456789012"


class Aws:
    """The starting simulated AWS: `start` begins, `wait_ready` ends."""

    def __init__(self, local: Local, folder: Path, logs: Path) -> None:
        self._local = local
        self._folder = folder
        self._log = logs / "aws.log"
        self._answer = logs / "aws.ready.json"

    def start(self, supervisor: Supervisor) -> None:
        self._folder.mkdir()
        supervisor.start(
            "aws", [self._local.venv / "bin" / "python", "-m", "local_aws", "--port", "0", "--dir", self._folder],
            log=self._log, stdout=self._answer, cwd=self._folder,
            env={
                "PYTHONPATH": str(SOURCES / "aws"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PGAI_NODE_MODULES": str(self._local.node / "node_modules"),
            },
            stop_signal=signal.SIGTERM,  # so that it can end its running functions
        )

    def wait_ready(self, supervisor: Supervisor) -> str:
        """The URL of its endpoint, which it prints as one line of JSON when it is ready."""
        supervisor.wait_until("the AWS server is ready", lambda: "\n" in self._answer.read_text(), START_SECONDS)
        line = self._answer.read_text().splitlines()[0]
        try:
            return str(json.loads(line)["url"])
        except (ValueError, KeyError, TypeError) as error:
            raise StackError(f'the AWS server should print {{"url": …}}, but printed {line!r}') from error
