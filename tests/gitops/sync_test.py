#!/usr/bin/env python3
"""What Argo CD and Flux do all day: apply, compare, prune. On the real API server. Needs `make build` first."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

import yaml

from client import LOCAL, REPOSITORY, SECONDS, LocalStack, eventually
from verdict import CUSTOMIZATIONS, KINDS, script

MANAGER = "--field-manager=argocd-controller"
TRACKED = {"argocd.argoproj.io/tracking-id": "genai:privategenai.dev/PrivateGenAIApp:team-a/support-bot"}


class SyncTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.stack = cls.enterClassContext(LocalStack())
        cls.stack.install_crds()
        for namespace in ("team-a", "team-b", "argocd"):
            cls.stack.kubectl("create", "namespace", namespace)
        cls.enterClassContext(cls.stack.operator(cls.folder / "operator.log"))

    def manifests(self) -> list[dict[str, Any]]:
        """A network that somebody wrote, the examples, and what a tool writes down of whose they are."""
        found = []
        for file in ("network.yaml", "app.yaml", "tuned.yaml"):
            vpc = self.stack.aws("POST", "vpc", {"route": "isolated"}) if file != "app.yaml" else vpc
            text = (REPOSITORY / "examples" / file).read_text().replace("vpc-0abc1234", vpc["vpcId"])
            for placeholder, subnet in zip(("subnet-0abc1234", "subnet-0def5678"), vpc["subnetIds"], strict=True):
                text = text.replace(placeholder, subnet)
            found.append(yaml.safe_load(text))
        for manifest in found:
            manifest["metadata"] |= {"annotations": TRACKED, "labels": {"app.kubernetes.io/instance": "genai"}}
        return found

    def test_a_reconciled_object_is_as_it_was_applied_and_pruning_it_leaves_nothing(self) -> None:
        stack, manifests = self.stack, self.manifests()
        text = yaml.safe_dump_all(manifests)
        stack.kubectl("apply", "--server-side", MANAGER, "-f", "-", text=text)
        stack.kubectl("wait", "--for=condition=Ready", "pgai", "--all", "-A", "--timeout=40s")
        stack.kubectl("wait", "--for=condition=Ready", "pgain", "--all", "--timeout=40s")
        self.at_rest()

        before = self.versions()
        difference = stack.kubectl("diff", "--server-side", MANAGER, "-f", "-", text=text, check=False)
        self.assertEqual((difference.returncode, difference.stdout), (0, ""), difference.stderr)
        for manifest in manifests:
            live = stack.get("-n", manifest["metadata"].get("namespace", "default"), manifest["kind"],
                manifest["metadata"]["name"], "--show-managed-fields")
            self.assertEqual(live["spec"], manifest["spec"], "nobody but the user writes spec")
            for field in ("labels", "annotations"):
                self.assertEqual(live["metadata"][field], manifest["metadata"][field])
            self.assertNotIn("ownerReferences", live["metadata"])
            writers = {each["manager"] for each in live["metadata"]["managedFields"] if "f:spec" in each.get("fieldsV1", {})}
            self.assertEqual(writers, {"argocd-controller"})
        stack.kubectl("apply", "--server-side", MANAGER, "-f", "-", text=text)
        self.assertEqual(self.versions(), before, "a second sync writes nothing")
        time.sleep(12)  # longer than the operator's resync
        self.assertEqual(self.versions(), before, "and nobody writes because of it")

        # What was changed by hand is seen as a difference, and put back by the next sync.
        stack.kubectl("-n", "team-a", "patch", "pgai/support-bot", "--type=merge",
            "--patch", '{"spec": {"models": ["amazon.nova-pro-v1:0"]}}')
        difference = stack.kubectl("diff", "--server-side", "--force-conflicts", MANAGER, "-f", "-", text=text, check=False)
        self.assertEqual(difference.returncode, 1, difference.stderr)
        self.assertIn("amazon.nova-lite-v1:0", difference.stdout)
        stack.kubectl("apply", "--server-side", "--force-conflicts", MANAGER, "-f", "-", text=text)
        stack.kubectl("-n", "team-a", "wait", "--for=condition=Ready", "pgai/support-bot", "--timeout=40s")

        # As Argo CD prunes: in the background, or in the foreground where the user says so. The network before its apps,
        # so that the order is nobody's to know.
        network, app, tuned = manifests
        stack.kubectl("delete", "pgain", network["metadata"]["name"], "--cascade=foreground", "--wait=false")
        stack.kubectl("-n", "team-a", "delete", "pgai", app["metadata"]["name"], "--cascade=foreground", "--wait=false")
        stack.kubectl("-n", "team-b", "delete", "pgai", tuned["metadata"]["name"], "--cascade=background", "--wait=false")
        eventually(lambda: not stack.kubectl("get", "pgai,pgain", "-A", "-o", "name").stdout)
        self.assertTrue(stack.aws_is_empty())

    def at_rest(self) -> None:
        def same() -> bool:
            before = self.versions()
            time.sleep(2)
            return self.versions() == before

        eventually(same)

    def versions(self) -> dict[str, str]:
        items = self.stack.get("pgai,pgain", "-A")["items"]
        return {f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"] for each in items}

    def test_helm_and_kubectl_wait_until_ready_and_report_a_stalled_app(self) -> None:
        chart = self.folder / "chart"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text("{apiVersion: v2, name: app, version: 1.0.0}")
        app = (REPOSITORY / "examples/app.yaml").read_text().replace("vpc-0abc1234", "{{ .Values.vpc }}")
        (chart / "templates/app.yaml").write_text(app.replace("support-bot", "{{ .Release.Name }}"))
        vpc = self.stack.aws("POST", "vpc", {"route": "isolated"})["vpcId"]
        self.stack.aws("PUT", "delays", {"endpointAvailable": 4})

        # By kstatus, as Flux does.
        installed = self.helm("install", "awaited", str(chart), f"--set=vpc={vpc}", "--wait", "--timeout=60s")
        self.assertEqual(installed.returncode, 0, installed.stderr)
        ready = self.stack.kubectl("-n", "team-a", "get", "pgai/awaited", "-o",
            "jsonpath={.status.conditions[?(@.type=='Ready')].status}").stdout
        self.assertEqual(ready, "True", "helm said so no earlier than it was")
        self.stack.aws("PUT", "delays", {"endpointAvailable": 0})

        failed = self.helm("install", "lost", str(chart), "--set=vpc=vpc-0123456789abcdef0", "--wait", "--timeout=20s")
        self.assertNotEqual(failed.returncode, 0)
        self.assertRegex(failed.stderr, "PrivateGenAIApp/team-a/lost not ready. status: Failed")
        self.stack.kubectl("-n", "team-a", "wait", "--for=condition=Stalled", "pgai/lost", "--timeout=1s")
        for release in ("awaited", "lost"):
            gone = self.helm("uninstall", release, "--wait", "--timeout=60s")
            self.assertEqual(gone.returncode, 0, gone.stderr)
        eventually(lambda: not self.stack.kubectl("get", "pgai,pgain", "-A", "-o", "name").stdout)
        self.assertTrue(self.stack.aws_is_empty())

    def helm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        homes = {f"HELM_{kind}_HOME": str(self.folder / "helm") for kind in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run([LOCAL / "bin/helm", *arguments, "--namespace", "team-a"], capture_output=True, text=True,
            env={**os.environ, **homes, "KUBECONFIG": self.stack.facts["kubeconfig"]}, timeout=2 * SECONDS, check=False)

    def test_the_health_checks_get_into_argo_cds_configmap_and_the_rest_stays(self) -> None:
        stack = self.stack
        stack.kubectl("-n", "argocd", "create", "configmap", "argocd-cm", "--from-literal=url=https://argocd.example")
        page = (REPOSITORY / "docs/gitops.md").read_text()
        block = next(each for each in page.split("```sh\n")[1:] if "create configmap argocd-cm" in each).split("```")[0]
        first, second = (part.replace("\\\n", " ").split() for part in block.split("|"))
        self.assertEqual((first[0], second[0]), ("kubectl", "kubectl"))
        for _ in range(2):
            made = stack.kubectl(*[word.replace("resource_customizations", str(CUSTOMIZATIONS.parent)) if "=" in word and ".lua" in word
                else word for word in first[1:]])
            stack.kubectl(*second[1:], text=made.stdout)
        data = stack.get("-n", "argocd", "configmap", "argocd-cm")["data"]
        lua = {f"resource.customizations.health.privategenai.dev_{kind}": script(kind).read_text() for kind in KINDS}
        self.assertEqual(data, {"url": "https://argocd.example", **lua})


if __name__ == "__main__":
    unittest.main(verbosity=2)
