"""The Kubernetes half: etcd, kube-apiserver and kube-controller-manager, for one administrator on this machine."""

from __future__ import annotations

import base64
import functools
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .places import Local, StackError, program
from .supervise import ChildDied, Supervisor, free_ports

START_SECONDS = 60
ATTEMPTS = 3

CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",  # a chart may add to the roles admin, edit and view
)

# User, verb and object of each request; no bodies, no reads by the control plane itself.
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: ["system:apiserver"]}
- {level: Metadata}
"""

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters:
- name: local
  cluster: {{server: "{url}", certificate-authority-data: "{authority}"}}
users:
- name: admin
  user: {{token: "{token}"}}
contexts:
- name: local
  context: {{cluster: local, user: admin, namespace: default}}
current-context: local
"""


@dataclass(frozen=True)
class Cluster:
    kubeconfig: str
    url: str
    kubectl: Path
    audit_log: Path | None = None


class ControlPlane:
    """A control plane being started in a folder: `start` begins, `wait_ready` ends."""

    def __init__(self, local: Local, folder: Path, logs: Path, audit: bool) -> None:
        self._local = local
        self._folder = folder
        self._logs = logs
        self._audit_log = logs / "audit.log" if audit else None
        self._token = secrets.token_urlsafe(24)
        # kube-apiserver makes a certificate here if none exists. The file ends with the
        # authority that signed it, and its key doubles as the one that signs service-account tokens.
        self._certificate = folder / "certificates" / "apiserver.crt"
        self._key = folder / "certificates" / "apiserver.key"

    def start(self, supervisor: Supervisor) -> None:
        self._folder.mkdir()
        self._write_private("tokens.csv", f"{self._token},admin,admin,system:masters\n")
        client, peer, self._port = free_ports(3)
        self.url = f"https://127.0.0.1:{self._port}"
        self._start(supervisor, "etcd", self._etcd(client, peer))
        self._start(supervisor, "kube-apiserver", self._apiserver(client))

    def wait_ready(self, supervisor: Supervisor) -> Cluster:
        supervisor.wait_until("kube-apiserver is ready", lambda: self._answers("/readyz"), START_SECONDS)
        kubeconfig = self._write_kubeconfig()
        self._start(supervisor, "kube-controller-manager", self._controller_manager(kubeconfig))
        for path in ("services/kubernetes", "serviceaccounts/default", "configmaps/kube-root-ca.crt"):
            is_there = functools.partial(self._answers, f"/api/v1/namespaces/default/{path}")
            supervisor.wait_until(f"{path} is there", is_there, START_SECONDS)
        return Cluster(str(kubeconfig), self.url, program(self._local, "kubectl"), self._audit_log)

    def _start(self, supervisor: Supervisor, name: str, flags: list[str]) -> None:
        # Killed at the end: a graceful stop would take seconds, and the data is deleted anyway.
        supervisor.start(name, [program(self._local, name), *flags], log=self._logs / f"{name}.log", cwd=self._folder,
            stop_signal=signal.SIGKILL)

    def _etcd(self, client: int, peer: int) -> list[str]:
        here, me = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        return [
            "--name=local", f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={here}", f"--advertise-client-urls={here}",
            f"--listen-peer-urls={me}", f"--initial-advertise-peer-urls={me}", f"--initial-cluster=local={me}",
            "--heartbeat-interval=20", "--election-timeout=200",  # a single member only waits for itself at the start
            "--unsafe-no-fsync",  # no data has to survive a power cut
        ]

    def _apiserver(self, etcd: int) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1", f"--secure-port={self._port}", f"--cert-dir={self._certificate.parent}",
            # The address goes into the certificate. As an endpoint of the service `kubernetes` a
            # loopback address is refused, and no pod is here to use one.
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC", f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._key}", f"--service-account-signing-key-file={self._key}",
            "--profiling=false",
            *self._audit_flags(),
        ]

    def _audit_flags(self) -> list[str]:
        if self._audit_log is None:
            return []
        policy = self._write_private("audit-policy.yaml", AUDIT_POLICY)
        return [f"--audit-policy-file={policy}", f"--audit-log-path={self._audit_log}"]

    def _controller_manager(self, kubeconfig: Path) -> list[str]:
        return [
            f"--kubeconfig={kubeconfig}",
            f"--controllers={','.join(CONTROLLERS)}",
            f"--service-account-private-key-file={self._key}", f"--root-ca-file={self._certificate}",
            "--leader-elect=false", "--secure-port=0", "--profiling=false",
        ]

    def _write_kubeconfig(self) -> Path:
        authority = base64.b64encode(self._certificate.read_bytes()).decode()
        return self._write_private(
            "kubeconfig.yaml", KUBECONFIG.format(url=self.url, authority=authority, token=self._token))

    def _write_private(self, name: str, content: str) -> Path:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_text(content)
        return path

    def _answers(self, path: str) -> bool:
        if not self._certificate.exists():
            return False
        try:
            trust = ssl.create_default_context(cafile=self._certificate)
            request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self._token}"})
            # No proxy of the environment: a proxy cannot reach this machine's loopback address.
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
            with opener.open(request, timeout=2) as answer:
                return int(answer.status) == 200
        except (urllib.error.URLError, ssl.SSLError, ConnectionError, TimeoutError):
            return False  # not listening yet, certificate half written, or not ready


def lost_port_race(died: ChildDied) -> bool:
    """Whether somebody took a free port before the child listened on it."""
    return "address already in use" in died.log


def existing_cluster(local: Local) -> Cluster:
    """The cluster of KUBECONFIG, once its API server has answered."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        raise StackError("--existing-cluster needs KUBECONFIG, which names the cluster")
    found = shutil.which("kubectl")
    kubectl = Path(found) if found else program(local, "kubectl")
    if not kubectl.exists():
        raise StackError("no kubectl in PATH; `stack.py build --only kubernetes` makes one")
    _ask(kubectl, "get", "--raw", "/readyz")
    url = _ask(kubectl, "config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
    return Cluster(kubeconfig, url, kubectl)


def _ask(kubectl: Path, *arguments: str) -> str:
    answer = subprocess.run([kubectl, "--request-timeout=10s", *arguments], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise StackError(f"kubectl {' '.join(arguments)}: {answer.stderr.strip()}")
    return answer.stdout
