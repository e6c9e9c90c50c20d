"""Through a proxy, and past an authority that only the chart's bundle knows, the operator reaches AWS by the variables that the chart sets."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import subprocess
import threading
import unittest
from pathlib import Path
from urllib.parse import urlsplit

from harness import FULL, SECONDS, eventually, folder, kinds, only, rendered, stack


class Relay:
    """Listens on this machine, and passes on what it gets: to one place, over TLS of its own, or as a proxy to where CONNECT says."""

    def __init__(self, target: tuple[str, int] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        self._target, self._tls = target, tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # A client that does not trust the certificate leaves in the middle of the handshake.
        with contextlib.suppress(OSError), contextlib.ExitStack() as closed:
            target = self._target
            if target is None:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += client.recv(1)
                asked = re.match(rb"CONNECT ([^ :]+):(\d+) ", head)
                self.asked.append(head.split(b"\r\n")[0].decode())
                if asked is None:
                    client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
                    return
                target = (asked[1].decode(), int(asked[2]))
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            closed.enter_context(client)
            server = closed.enter_context(socket.create_connection(target))
            back = threading.Thread(target=pass_on, args=(server, client), daemon=True)
            back.start()
            pass_on(client, server)
            back.join(SECONDS)


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


class ReachTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        kinds()
        stack().kubectl("create", "namespace", "reach")
        cls.bundle, key = folder() / "ca.pem", folder() / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "1",
            "-subj", "/CN=aws", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
            "-keyout", key, "-out", cls.bundle], check=True, capture_output=True, timeout=SECONDS)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cls.bundle, key)
        aws = urlsplit(stack().said["awsEndpointUrl"])
        cls.aws = Relay((aws.hostname, aws.port), tls)
        cls.addClassCleanup(cls.aws.close)
        container = only(rendered(FULL), "Deployment")["spec"]["template"]["spec"]["containers"][0]
        cls.set = {each["name"] for each in container["env"]}

    def readiness(self, **environment: str) -> str:
        """What `/readyz` says once AWS was asked, by an operator of which AWS is behind TLS."""
        arguments = ["run", "--installation-id=reach", "--region=us-east-1", "--lease-namespace=reach", "--log-format=json"]
        url = f"https://127.0.0.1:{self.aws.port}"
        with stack().operator(arguments, Path(stack().kubeconfig), AWS_ENDPOINT_URL=url, **environment) as operator:
            eventually("it leads", operator.leads)
            eventually("AWS was asked", lambda: 'operation="GetCallerIdentity"' in operator.metrics())
            return next(code for code in re.findall(r'operation="GetCallerIdentity",code="(\w+)"', operator.metrics()))

    def test_an_authority_is_trusted_that_the_bundle_names_and_no_other(self) -> None:
        self.assertIn("SSL_CERT_FILE", self.set)
        self.assertEqual(self.readiness(SSL_CERT_FILE=str(self.bundle)), "OK")
        self.assertEqual(self.readiness(), "Unavailable")

    def test_aws_is_reached_through_the_proxy_but_for_what_is_excepted(self) -> None:
        self.assertLessEqual({"HTTPS_PROXY", "NO_PROXY"}, self.set)
        proxy = Relay()
        self.addCleanup(proxy.close)
        # ALL_PROXY, because a kubeconfig makes the Kubernetes client look at HTTPS_PROXY, unlike a pod's ServiceAccount. The SDK reads
        # both in one place.
        given = {"SSL_CERT_FILE": str(self.bundle), "ALL_PROXY": f"http://127.0.0.1:{proxy.port}"}
        self.assertEqual(self.readiness(**given), "OK")
        self.assertEqual(set(proxy.asked), {f"CONNECT 127.0.0.1:{self.aws.port} HTTP/1.1"})
        proxy.asked.clear()
        self.assertEqual(self.readiness(**given, NO_PROXY="10.0.0.0/8,127.0.0.0/8"), "OK")
        self.assertEqual(proxy.asked, [])
