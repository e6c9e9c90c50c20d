"""What the tests of the charts share: one local stack, with an audit log, and the programs that a platform team would use on it."""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
LOCAL = Path(os.environ.get("PGAI_LOCAL_DIR") or REPOSITORY / ".local").resolve()
OPERATOR = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve() / "debug/private-genai-operator"
CHART = REPOSITORY / "charts/private-genai-operator"
CRDS_CHART = REPOSITORY / "charts/private-genai-operator-crds"
CRDS = REPOSITORY / "crds"
EXAMPLES = REPOSITORY / "examples"
PROMETHEUS_OPERATOR = REPOSITORY / "tests/chart/prometheus-operator"
SECONDS = 60
T = TypeVar("T")

MINIMAL: dict[str, Any] = {
    "installationId": "prod", "region": "us-east-1", "image": {"repository": "registry.example/operator"},
}
# Every value is another one than by default.
FULL: dict[str, Any] = {
    **MINIMAL,
    "image": {
        "repository": "registry.example:5000/team/operator", "tag": "main", "digest": f"sha256:{64 * '0'}", "pullPolicy": "Always",
    },
    "imagePullSecrets": [{"name": "registry"}],
    "regions": ["us-east-1", "eu-*"],
    "implicitNetworks": {
        "vpcIds": ["vpc-0abc*", "vpc-0def5678"], "allow": {"namespaces": ["prod", "team-?"], "models": ["amazon.nova-*"]},
    },
    "permissionsBoundaryArn": "arn:aws:iam::123456789012:policy/team/private-genai-boundary",
    "tags": {"team": "ai", "cost center": "a/b:4711", "empty": ""},
    "replicas": 3,
    "resyncSeconds": 60,
    "concurrency": 8,
    "pacing": {"awsRatePercent": 50, "exploreIamRates": True},
    "log": {"format": "text", "filter": "private_genai_operator=debug,info"},
    "serviceAccount": {"name": "operator", "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/operator"}},
    "rbac": {"aggregate": False},
    "proxy": {"https": "http://user:secret@proxy.example:3128", "except": ["10.0.0.0/8", ".amazonaws.com"]},
    "caBundle": {"configMap": "authorities", "key": "ca.pem"},
    "env": [
        {"name": "AWS_USE_FIPS_ENDPOINT", "value": "true"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ],
    "resources": {"limits": {"memory": "1Gi", "cpu": 2}, "requests": {"cpu": "100m"}},
    "podAnnotations": {"prometheus.io/scrape": "true"},
    "podLabels": {"team": "platform"},
    "nodeSelector": {"kubernetes.io/arch": "arm64"},
    "tolerations": [{"key": "critical", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"noisy": "true"}}}]}},
    "priorityClassName": "system-cluster-critical",
    "topologySpread": [{"topologyKey": "kubernetes.io/hostname", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2,
        "nodeAffinityPolicy": "Ignore", "nodeTaintsPolicy": "Honor"}],
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "apiServerPorts": [443, 8443],
        "furtherEgress": [{"ports": [{"port": 3128, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}]}],
    },
    "metrics": {
        "serviceMonitor": {
            "enabled": True, "labels": {"release": "prometheus"}, "interval": "30s", "scrapeTimeout": "10s",
            "relabelings": [{"action": "labeldrop", "regex": "pod"}],
            "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": ".*_duration_seconds_bucket"}],
        },
        "prometheusRule": {
            "enabled": True, "labels": {"release": "prometheus"}, "alertLabels": {"team": "platform"},
            "runbookUrl": "https://runbooks.example/genai", "disabled": ["PrivateGenAIAwsCallsPutOff"],
            "severities": {"PrivateGenAIPathNotPrivate": "page"},
        },
        "dashboard": {"enabled": True, "labels": {"grafana_dashboard": "yes"}, "annotations": {"grafana_folder": "Platform"}},
    },
}
# What FULL leaves out.
OTHERWISE: dict[str, Any] = {
    **MINIMAL,
    "implicitNetworks": {"enabled": False, "vpcIds": ["vpc-0abc*"], "allow": {"namespaces": [], "models": None}},
    "replicas": 1,
    "image": {"repository": "operator", "tag": "v1"},
    "serviceAccount": {"create": False, "name": "there-already"},
    # What is not wanted of a default is null, as always with Helm.
    "nodeSelector": None, "topologySpread": [], "resources": None, "podDisruptionBudget": {"enabled": False},
    "networkPolicy": {"enabled": True},
    "metrics": {
        "podMonitor": {
            "enabled": True, "labels": {"release": "prometheus"}, "interval": "1m", "scrapeTimeout": "10s",
            "relabelings": [{"action": "labeldrop", "regex": "pod"}],
            "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": ".*_duration_seconds_bucket"}],
        },
        "prometheusRule": {"enabled": True},
    },
}
VALUES = {"few values": MINIMAL, "all values": FULL, "other values": OTHERWISE}


@functools.cache
def folder() -> Path:
    kept = tempfile.TemporaryDirectory()
    atexit.register(kept.cleanup)
    return Path(kept.name)


def helm(*arguments: str | Path, values: dict[str, Any] | None = None, kubeconfig: str = "/nowhere") -> subprocess.CompletedProcess[str]:
    places = {f"HELM_{kind}_HOME": str(folder() / "helm") for kind in ("CACHE", "CONFIG", "DATA")}
    given = [] if values is None else ["--values", "-"]
    return subprocess.run([LOCAL / "bin/helm", *arguments, *given], input=json.dumps(values), capture_output=True, text=True,
        cwd=REPOSITORY, env={**os.environ, **places, "KUBECONFIG": kubeconfig}, timeout=SECONDS, check=False)


def rendered(values: dict[str, Any], chart: Path = CHART, release: str = "pgai") -> str:
    answer = helm("template", release, chart, "--namespace", "operator", values=values)
    if answer.returncode != 0:
        raise AssertionError(answer.stderr)
    return answer.stdout


def objects(manifests: str, kind: str | None = None) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(manifests) if each and kind in (None, each["kind"])]


def only(manifests: str, kind: str) -> dict[str, Any]:
    [it] = objects(manifests, kind)
    return it


class Stack:
    """A running local stack. It ends with this process, because its standard input does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, REPOSITORY / "tests/local/stack.py", "run", "--audit"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        atexit.register(self._stop)
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError("the stack did not start: is it built? `make build`")
        self.said = json.loads(line)
        self.kubeconfig = self.said["kubeconfig"]

    def _stop(self) -> None:
        self._process.terminate()
        self._process.wait(SECONDS)

    def kubectl(self, *arguments: str | Path, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": self.kubeconfig, "KUBECACHEDIR": f"{self.said['dir']}/kubectl-cache"}
        answer = subprocess.run([self.said["kubectl"], *arguments], input=text, capture_output=True, text=True,
            env=environment, timeout=SECONDS, check=False)
        if check and answer.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(map(str, arguments))}: {answer.stderr}")
        return answer

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def helm(self, *arguments: str | Path, values: dict[str, Any] | None = None) -> str:
        answer = helm(*arguments, values=values, kubeconfig=self.kubeconfig)
        if answer.returncode != 0:
            raise AssertionError(f"helm {' '.join(map(str, arguments))}: {answer.stderr}")
        return answer.stdout

    def aws(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        return json.loads(http(f"{self.said['adminUrl']}/{path}", method, data))

    def left_of(self, installation: str) -> list[str]:
        """What there is in AWS that carries the tag of an installation."""
        kinds = self.aws("GET", "inventory").values()
        return [each["id"] for kind in kinds for each in kind if each["tags"].get("privategenai.dev/installation") == installation]

    def audit(self, user: str) -> list[dict[str, Any]]:
        """What the API server was asked by a user, each request once."""
        lines = Path(self.said["auditLog"]).read_text().splitlines()
        events = [json.loads(line) for line in lines if user in line]
        return list({event["auditID"]: event for event in events if event["user"]["username"] == user}.values())

    def token_of(self, namespace: str, account: str) -> Path:
        """A kubeconfig in which nothing but this ServiceAccount's token lets anybody in."""
        token = self.kubectl("-n", namespace, "create", "token", account, "--duration=1h").stdout.strip()
        admin = Path(self.kubeconfig).read_text()
        kubeconfig = folder() / f"{account}.yaml"
        kubeconfig.write_text(re.sub(r'token: "[^"]*"', f'token: "{token}"', admin))
        if token in admin or kubeconfig.read_text().count(token) != 1:
            raise AssertionError("the administrator's token was not replaced")
        return kubeconfig

    @contextmanager
    def operator(self, arguments: list[str], kubeconfig: Path, **environment: str) -> Iterator[Operator]:
        """The operator, until the end of the block, where SIGTERM must end it in order."""
        log = folder() / f"operator-{time.monotonic_ns()}.log"
        known = {"KUBECONFIG": str(kubeconfig), "AWS_ENDPOINT_URL": self.said["awsEndpointUrl"],
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        command = [OPERATOR, *arguments, "--listen=127.0.0.1:0"]
        with open(log, "wb") as errors, subprocess.Popen(command, env={**os.environ, **known, **environment}, stderr=errors) as process:
            it = Operator(process, log)
            try:
                yield it
            finally:
                process.terminate()
                status = process.wait(SECONDS)
            if status != 0:
                raise AssertionError(f"the operator ended with {status}:\n{it.said()[-4000:]}")


@dataclass(frozen=True)
class Operator:
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def address(self) -> str:
        found = eventually("it says where it serves", lambda: re.search(r'"?address"?[:=]"?([0-9.:]+)', self.said()))
        return f"http://{found[1]}"

    def metrics(self) -> str:
        return http(f"{self.address()}/metrics")

    def readiness(self) -> str:
        """What `/readyz` says, ready or not."""
        try:
            return http(f"{self.address()}/readyz")
        except urllib.error.HTTPError as refused:
            return refused.read().decode()

    def leads(self) -> bool:
        return "\nprivate_genai_operator_leader 1\n" in self.metrics()


def http(url: str, method: str = "GET", data: bytes | None = None) -> str:
    request = urllib.request.Request(url, method=method, data=data)
    # No proxy that the environment may name: it cannot reach this machine's loopback address.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=SECONDS) as answer:
        return answer.read().decode()


@functools.cache
def stack() -> Stack:
    return Stack()


@functools.cache
def kinds() -> None:
    """The operator's kinds, and those of the Prometheus operator, with what the API server publishes about them a little later."""
    it = stack()
    it.kubectl("apply", "--server-side", "-f", PROMETHEUS_OPERATOR)
    it.kubectl("apply", "--server-side", "--field-manager=helm", "--force-conflicts", "-f", "-", text=rendered({}, CRDS_CHART))
    it.kubectl("wait", "--for=condition=Established", "crd", "--all")
    for namespace in ("operator", "team-a", "team-b"):
        it.kubectl("create", "namespace", namespace, check=False)
    every = ("PrivateGenAIApp", "PrivateGenAINetwork", "PrometheusRule", "PodMonitor", "ServiceMonitor")
    eventually("the schemas are published", lambda: all(kind in it.kubectl("get", "--raw", "/openapi/v2").stdout for kind in every))


def eventually(what: str, look: Callable[[], T], seconds: float = SECONDS) -> T:
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not after {seconds} s: {what}")
        time.sleep(0.1)
    return seen
