"""The apps in Kubernetes: made, changed and deleted by many threads, and watched by one."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import urllib3
import yaml

from .processes import REPOSITORY, Failed

NAMESPACE = "bench"
APPS = f"/apis/privategenai.dev/v1alpha1/namespaces/{NAMESPACE}/privategenaiapps"
ME = "pgai-bench"
THREADS = 8
DAY = 86_400


class Cluster:
    """A client with a user agent of its own, by which the audit log distinguishes its writes from the operator's."""

    def __init__(self, stack: dict[str, str]) -> None:
        config = yaml.safe_load(Path(stack["kubeconfig"]).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._url = cluster["server"]
        self._audit = Path(stack["auditLog"])
        headers = {"Authorization": f"Bearer {user['token']}", "User-Agent": ME}
        self._pool = urllib3.PoolManager(
            maxsize=THREADS + 2, headers=headers, ssl_context=ssl.create_default_context(cadata=authority))

    def prepare(self) -> None:
        """The two kinds and the namespace."""
        crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for file in sorted((REPOSITORY / "crds").glob("*.yaml")):
            self._ask("POST", crds, yaml.safe_load(file.read_text()))
        self._ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        until("the kinds are served", lambda: self._ask("GET", APPS, may_fail=True) is not None, 60)
        # The API server holds back objects of a kind that is younger than two seconds.
        time.sleep(3)

    def create(self, names: Iterable[str], vpc: str) -> None:
        def one(name: str) -> None:
            spec = {"network": {"vpcId": vpc}, "models": ["amazon.nova-lite-v1:0"]}
            body = {"apiVersion": "privategenai.dev/v1alpha1", "kind": "PrivateGenAIApp", "metadata": {"name": name}, "spec": spec}
            self._ask("POST", APPS, body)
        self._all(one, names)

    def change(self, name: str, memory: int) -> int:
        """The generation of the changed spec."""
        changed = self._ask("PATCH", f"{APPS}/{name}", {"spec": {"function": {"memoryMiB": memory}}}, "application/merge-patch+json")
        return int(changed["metadata"]["generation"])

    def delete(self, names: Iterable[str]) -> None:
        self._all(lambda name: self._ask("DELETE", f"{APPS}/{name}"), names)

    def writes(self) -> Counter[str]:
        """The operator's writes so far, by what was written; those of its Lease aside."""
        counted: Counter[str] = Counter()
        with open(self._audit, encoding="utf-8") as lines:
            for line in lines:
                if '"verb":"get"' in line or '"verb":"watch"' in line or '"verb":"list"' in line:
                    continue
                event = json.loads(line)
                resource = event.get("objectRef", {})
                agent = event.get("userAgent", "")
                if agent.startswith((ME, "kube-", "kubectl")) or resource.get("resource") == "leases":
                    continue
                kind = f"{resource.get('resource')}/{resource.get('subresource', '')}".rstrip("/")
                counted[f"{event['verb']} {kind}"] += 1
        return counted

    def _all(self, one: Callable[[str], Any], names: Iterable[str]) -> None:
        with ThreadPoolExecutor(THREADS) as threads:
            for _ in threads.map(one, names):
                pass

    def _ask(self, method: str, path: str, body: Any = None, kind: str = "application/json", may_fail: bool = False) -> Any:
        data = None if body is None else json.dumps(body)
        headers = {**self._pool.headers, "Content-Type": kind}
        answer = self._pool.request(method, self._url + path, body=data, headers=headers, timeout=60, retries=False)
        if answer.status >= 300:
            if may_fail:
                return None
            raise Failed(f"{method} {path}: {answer.status} {answer.data.decode()[:300]}")
        return json.loads(answer.data)

    def watch(self) -> Watch:
        return Watch(self._pool, self._url, self._ask("GET", f"{APPS}?limit=1")["metadata"]["resourceVersion"])


class Watch:
    """Which apps are there and ready. To be made before there are any."""

    def __init__(self, pool: urllib3.PoolManager, url: str, version: str) -> None:
        self._pool, self._url, self._version = pool, url, version
        self._ready_at: dict[str, int] = {}  # the generation of the spec for which the app is ready, or 0
        self._lock = threading.Lock()
        threading.Thread(target=self._follow, daemon=True).start()

    def wait_ready(self, names: Iterable[str], seconds: float, generation: int = 1) -> None:
        waiting = list(names)

        def holds() -> bool:
            while waiting and self._ready_at.get(waiting[-1], 0) >= generation:
                waiting.pop()
            return not waiting

        self._wait(holds, seconds)

    def wait_gone(self, names: Iterable[str], seconds: float) -> None:
        wanted = set(names)
        self._wait(lambda: wanted.isdisjoint(self._ready_at), seconds)

    def _wait(self, holds: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            with self._lock:
                if holds():
                    return
                ready, there = sum(1 for generation in self._ready_at.values() if generation), len(self._ready_at)
            if time.monotonic() > deadline:
                raise Failed(f"waited {seconds:.0f} s in vain: {there} apps are there, {ready} of them ready")
            time.sleep(0.02)

    def _follow(self) -> None:
        """The API server ends a slow watch and an old watch; another watch goes on from the same version."""
        while True:
            try:
                if not self._read():
                    self._list()
            except urllib3.exceptions.HTTPError:  # the API server ended
                time.sleep(1)

    def _read(self) -> bool:
        """Reads until the watch ends; returns whether another watch can go on from the same version."""
        # Without a time of our own, the API server ends a watch after half an hour or later.
        answer = self._pool.request("GET", f"{self._url}{APPS}?watch=1&timeoutSeconds={DAY}&resourceVersion={self._version}",
            preload_content=False, timeout=urllib3.Timeout(connect=10, read=None), headers=self._pool.headers, retries=False)
        rest = b""
        for chunk in answer.stream(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            for event in map(json.loads, lines):
                if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
                    return False
                self._see(event["object"], is_there=event["type"] != "DELETED")
        return answer.status == 200

    def _list(self) -> None:
        """All that is there now."""
        there: dict[str, int] = {}
        more = ""
        while True:
            answer = self._pool.request("GET", f"{self._url}{APPS}?limit=500&continue={more}", headers=self._pool.headers, retries=False)
            page = json.loads(answer.data)
            there.update((app["metadata"]["name"], ready_at(app)) for app in page["items"])
            more = page["metadata"].get("continue", "")
            if not more:
                break
        with self._lock:
            self._ready_at.clear()
            self._ready_at.update(there)
        self._version = page["metadata"]["resourceVersion"]

    def _see(self, app: dict[str, Any], *, is_there: bool) -> None:
        self._version = app["metadata"]["resourceVersion"]
        with self._lock:
            if is_there:
                self._ready_at[app["metadata"]["name"]] = ready_at(app)
            else:
                self._ready_at.pop(app["metadata"]["name"], None)


def ready_at(app: dict[str, Any]) -> int:
    generation = int(app["metadata"]["generation"])
    for each in app.get("status", {}).get("conditions", []):
        if each["type"] == "Ready" and each["status"] == "True" and each.get("observedGeneration") == generation:
            return generation
    return 0


def until(what: str, holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Failed(f"not so after {seconds:.0f} s: {what}")
        time.sleep(0.1)
