import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.request

from harness import PACKAGE


class Process(unittest.TestCase):
    """The contract with the parent process."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local_aws", "--port", "0", "--dir", directory.name],
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.stdin.close)
        ready = json.loads(self.process.stdout.readline())
        self.assertEqual(list(ready), ["url"])
        with urllib.request.urlopen(f"{ready['url']}/_local/delays") as response:
            self.assertEqual(response.status, 200)

    def test_ends_with_its_input(self):
        self.process.stdin.close()
        self.assertEqual(self.process.wait(timeout=10), 0)
        self.assertEqual(self.process.stdout.read(), b"")

    def test_ends_on_sigterm(self):
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(timeout=10), 0)
