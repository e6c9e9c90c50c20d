"""Both charts are installed, upgraded and uninstalled by Helm on the real API server, and the operator lives with the
permissions that it then has, no others.

There is no kubelet here: the operator is run by hand, with the arguments of the Deployment as the API server has it, and with the
token of its ServiceAccount.
"""

from __future__ import annotations

import json
import os
import subprocess
import unittest
from typing import Any

import boto3
from harness import CHART, CRDS, CRDS_CHART, EXAMPLES, MINIMAL, OPERATOR, SECONDS, Operator, eventually, objects, rendered, stack

VALUES = {**MINIMAL, "implicitNetworks": {"vpcIds": ["vpc-*"]}, "log": {"filter": "info,kube_runtime=debug"}}
ACCOUNT = "system:serviceaccount:genai:pgai-private-genai-operator"
TEARDOWN = [f"--{name}" for name in ("installation-id=prod", "region=us-east-1", "lease-name=pgai-private-genai-operator",
    "lease-namespace=genai")]


class InstallTest(unittest.TestCase):
    """One life, from `helm install` to `helm uninstall`."""

    def test_the_operator_needs_exactly_the_permissions_that_the_chart_gives(self) -> None:
        it = stack()
        # What other tests have left.
        it.kubectl("delete", "--ignore-not-found", "-f", CRDS)
        said = it.helm("install", "pgai", CHART, "--namespace", "genai", "--create-namespace", values=VALUES)
        self.assertIn("install charts/private-genai-operator-crds", said)
        self.kubeconfig = it.token_of("genai", "pgai-private-genai-operator")
        for namespace in ("team-a", "team-b"):
            it.kubectl("create", "namespace", namespace, check=False)

        self.vpcs: dict[str, str] = {}
        self.manifests = [self.example(name) for name in ("app.yaml", "tuned.yaml")]
        with it.operator(self.arguments(), self.kubeconfig) as operator:
            self.definitions_are_waited_for(operator)
            self.apps_become_ready()
            self.drift_is_put_right()
            self.a_suspended_app_says_what_is_to_be_done()
            self.assertIn("DriftRepaired", it.kubectl("get", "events", "-A").stdout)
            logs = [operator.said()]
        logs.append(self.an_upgrade_writes_nothing_to_aws())
        with it.operator(self.arguments(), self.kubeconfig) as operator:
            eventually("it leads", operator.leads)
            self.an_explicit_network_takes_over_and_is_kept_while_it_is_used()
            self.an_object_that_cannot_be_read_is_told_so_and_can_be_deleted(operator)
            # In other VPCs: the client tokens of endpoints that were deleted just now are spent, and an operator finds that in a minute.
            self.manifests = [self.example(name) for name in ("app.yaml", "tuned.yaml")]
            self.apps_become_ready()
            logs.append(operator.said())
        self.orphan_and_teardown_go_by_the_chart_s_lease()
        self.what_is_uninstalled_goes_and_the_definitions_stay()
        for said in logs:
            self.assertNotRegex(said.lower(), "forbidden|cannot (get|list|watch|create|patch|update|delete)")
        self.every_permission_was_used_and_no_other_was_missing()

    def example(self, name: str) -> str:
        """An example for a VPC of its own, with the ids of that VPC."""
        vpc = stack().aws("POST", "vpc", {"route": "isolated"})
        self.vpcs[name] = vpc["vpcId"]
        manifest = (EXAMPLES / name).read_text().replace("vpc-0abc1234", vpc["vpcId"])
        for placeholder, subnet in zip(("subnet-0abc1234", "subnet-0def5678"), vpc["subnetIds"], strict=True):
            manifest = manifest.replace(placeholder, subnet)
        return manifest

    def arguments(self) -> list[str]:
        deployment = stack().get("deployment", "pgai-private-genai-operator", "-n", "genai")
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual([each["name"] for each in container["env"]], ["POD_NAME"])
        return [argument for argument in container["args"] if not argument.startswith("--listen=")]

    # ---- what the operator does

    def definitions_are_waited_for(self, operator: Operator) -> None:
        eventually("it leads", operator.leads)
        self.assertIn("the objects are not listed yet", operator.readiness())
        said = stack().helm("install", "pgai-crds", CRDS_CHART, "--namespace", "genai", values={})
        self.assertIn("STATUS: deployed", said)
        eventually("it is ready", lambda: operator.readiness() == "ok\n")

    def apps_become_ready(self) -> None:
        it = stack()
        for manifest in self.manifests:
            it.kubectl("apply", "-f", "-", text=manifest)
        self.until_ready()
        self.assertEqual(len(it.get("pgain")["items"]), 2)
        self.assertIn("Ready", it.kubectl("get", "events", "-A").stdout)

    def drift_is_put_right(self) -> None:
        it = stack()
        [endpoint, *_] = it.get("pgai/support-bot", "-n", "team-a")["status"]["endpoints"]
        ec2 = boto3.client("ec2", region_name="us-east-1", endpoint_url=it.said["awsEndpointUrl"],
            aws_access_key_id="local", aws_secret_access_key="local")
        before = ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint["vpcEndpointId"]])["VpcEndpoints"][0]["PolicyDocument"]
        everybody = json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]})
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint["vpcEndpointId"], PolicyDocument=everybody)
        it.kubectl("annotate", "--overwrite", "pgain", "--all", "look=1")
        eventually("the endpoint's policy is what it was", lambda: json.loads(before) == json.loads(
            ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint["vpcEndpointId"]])["VpcEndpoints"][0]["PolicyDocument"]))
        self.until_ready()

    def a_suspended_app_says_what_is_to_be_done(self) -> None:
        change = {"suspend": True, "function": {"memoryMiB": 2048}}
        stack().kubectl("-n", "team-a", "patch", "pgai/support-bot", "--type=merge", "-p", json.dumps({"spec": change}))
        self.until_reason(["-n", "team-a", "pgai/support-bot"], "Ready", "Suspended")
        stack().kubectl("-n", "team-a", "patch", "pgai/support-bot", "--type=merge", "-p", '{"spec": {"suspend": false}}')
        self.until_ready()

    def an_explicit_network_takes_over_and_is_kept_while_it_is_used(self) -> None:
        it, vpc = stack(), self.vpcs["app.yaml"]
        network = {"apiVersion": "privategenai.dev/v1alpha1", "kind": "PrivateGenAINetwork", "metadata": {"name": "prod"},
            "spec": {"vpcId": vpc, "region": "us-east-1"}}
        it.kubectl("apply", "-f", "-", text=json.dumps(network))
        implicit = f"{vpc}-us-east-1"
        eventually("the implicit network makes way", lambda: implicit not in it.kubectl("get", "pgain", "-o", "name").stdout)
        it.kubectl("delete", "pgain/prod", "--wait=false")
        eventually("it is held", lambda: "InUse" in it.kubectl("get", "pgain/prod", "-o", "jsonpath={.status.conditions[*].reason}").stdout)
        it.kubectl("-n", "team-a", "delete", "pgai/support-bot", "--wait=false")
        eventually("it goes with its last app", lambda: "prod" not in it.kubectl("get", "pgain", "-o", "name").stdout)

    def an_object_that_cannot_be_read_is_told_so_and_can_be_deleted(self, operator: Operator) -> None:
        """As after a downgrade: what is stored, this version's definition would refuse."""
        it, network = stack(), f"{self.vpcs['tuned.yaml']}-us-east-1"
        for file in CRDS.iterdir():
            definition = it.get(f"crd/{file.stem}")
            properties = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
            properties["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            it.kubectl("replace", "-f", "-", text=json.dumps(definition))
        for of, change in ((["-n", "team-b", "pgai/contract-reader"], {"models": "a string"}), ([f"pgain/{network}"], {"vpcId": {"later": "form"}})):
            *namespace, name = of
            eventually("the laxer definition is in force", lambda: it.kubectl(*namespace, "patch", name, "--type=merge",
                "-p", json.dumps({"spec": change}), check=False).returncode == 0)
            self.until_reason(of, "Accepted", "InvalidSpec")
        for of in (["-n", "team-b", "pgai/contract-reader"], [f"pgain/{network}"]):
            it.kubectl("delete", "--wait=false", "--ignore-not-found", *of)
            try:
                # What was made for an app that is younger than a minute may not be listed yet, so it is waited for.
                eventually(f"{of} goes", lambda of=of: not it.kubectl("get", "--ignore-not-found", *of, "-o", "name").stdout,
                    seconds=2 * SECONDS)
            except AssertionError as late:
                raise AssertionError(f"{late}\n{it.kubectl('get', *of, '-o', 'yaml').stdout}\n{operator.said()[-6000:]}") from late
        # Helm puts right what somebody changed by hand.
        it.helm("upgrade", "pgai-crds", CRDS_CHART, "--namespace", "genai", "--force-conflicts", values={})
        for file in CRDS.iterdir():
            restored = it.get(f"crd/{file.stem}")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            self.assertNotIn("x-kubernetes-preserve-unknown-fields", restored)
        eventually("AWS is empty", lambda: not it.left_of("prod"))

    def an_upgrade_writes_nothing_to_aws(self) -> str:
        it = stack()
        at_rest, inventory = it.aws("GET", "journal")["next"], it.aws("GET", "inventory")
        before = self.arguments()
        it.helm("upgrade", "pgai-crds", CRDS_CHART, "--namespace", "genai", values={"labels": {"team": "platform"}})
        it.helm("upgrade", "pgai", CHART, "--namespace", "genai", values={**VALUES, "resyncSeconds": 10, "replicas": 3})
        self.assertNotEqual(self.arguments(), before)
        # As a rolling update does it: another one starts, and takes over when the first has gone.
        with it.operator(self.arguments(), self.kubeconfig) as second:
            eventually("an operator leads", second.leads)
            with it.operator(before, self.kubeconfig) as third:
                eventually("another stands by", lambda: "private_genai_operator_leader 0" in third.metrics())
                looks = it.aws("GET", "journal")["next"]
                eventually("AWS was looked at for two resyncs", lambda: 2 <= sum(call["operation"] == "DescribeVpcEndpoints"
                    for call in it.aws("GET", f"journal?since={looks}")["calls"]))
                said = second.said() + third.said()
        written = [call for call in it.aws("GET", f"journal?since={at_rest}")["calls"] if call["write"]]
        self.assertEqual(written, [])
        self.assertEqual(it.aws("GET", "inventory"), inventory)
        self.assertEqual(len(it.get("pgai", "-A")["items"]), 2)
        return said

    # ---- uninstalling

    def orphan_and_teardown_go_by_the_chart_s_lease(self) -> None:
        """As docs/uninstall.md has it; people run these, with permissions of their own."""
        it = stack()
        said = self.by_hand("orphan", *[flag for flag in TEARDOWN if "region" not in flag])
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        inventory = it.aws("GET", "inventory")
        it.kubectl("delete", "pgai", "--all", "-A")
        it.kubectl("delete", "pgain", "--all")
        self.assertEqual(it.aws("GET", "inventory"), inventory)
        with it.operator(self.arguments(), self.kubeconfig) as operator:
            eventually("an operator leads", operator.leads)
            self.apps_become_ready()
            self.assertEqual(it.aws("GET", "inventory"), inventory, "it takes over what is there, and makes nothing")
            it.kubectl("-n", "team-a", "patch", "pgai/support-bot", "--type=merge", "-p", '{"spec": {"deletionPolicy": "Retain"}}')
            self.until_ready()
            said = self.by_hand("teardown", "--yes", "--timeout=2", *TEARDOWN)
            self.assertIn("scale the operator to zero", said.stderr)
        said = self.by_hand("teardown", "--yes", *TEARDOWN)
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        self.assertFalse(it.get("pgai", "-A")["items"] + it.get("pgain")["items"])
        left = it.aws("GET", "inventory")
        self.assertIn(left["functions"][0]["id"], said.stdout, "what was retained is named")

    def by_hand(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        it = stack()
        environment = {**os.environ, "KUBECONFIG": it.kubeconfig, "AWS_ENDPOINT_URL": it.said["awsEndpointUrl"],
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        return subprocess.run([OPERATOR, *arguments], env=environment, capture_output=True, text=True, timeout=2 * SECONDS, check=False)

    def what_is_uninstalled_goes_and_the_definitions_stay(self) -> None:
        it = stack()
        it.helm("uninstall", "pgai", "--namespace", "genai")
        it.helm("uninstall", "pgai-crds", "--namespace", "genai")
        self.assertEqual(it.kubectl("-n", "genai", "get", "deployments,serviceaccounts,roles,pdb", "-o", "name",
            "-l", "app.kubernetes.io/instance=pgai").stdout, "")
        for file in CRDS.iterdir():
            it.kubectl("get", f"crd/{file.stem}")

    # ---- permissions

    def every_permission_was_used_and_no_other_was_missing(self) -> None:
        requests = stack().audit(ACCOUNT)
        self.assertGreater(len(requests), 50)
        denied = [request for request in requests if request["responseStatus"]["code"] in (401, 403)
            # What a namespace or an object that is going refuses is no missing permission.
            and request.get("annotations", {}).get("authorization.k8s.io/decision") != "allow"]
        self.assertEqual([(request["verb"], request["requestURI"]) for request in denied], [])
        used = {asked_for(request) for request in requests if "objectRef" in request}
        granted = set()
        for role in objects(rendered(VALUES, release="pgai")):
            if role["kind"] in ("Role", "ClusterRole") and role["metadata"]["name"] == "pgai-private-genai-operator":
                granted |= {(group, resource, verb) for rule in role["rules"] for group in rule["apiGroups"]
                    for resource in rule["resources"] for verb in rule["verbs"]}
        self.assertEqual(granted - used, set(), "granted and not used")
        self.assertEqual(used - granted, set(), "used by a role that is not the chart's")
        elsewhere = [request["requestURI"] for request in requests if "objectRef" not in request]
        self.assertEqual(elsewhere, [], "every request is about an object")
        leases = {request["objectRef"].get("namespace") for request in requests if request["objectRef"]["resource"] == "leases"}
        self.assertEqual(leases, {"genai"})

    # ---- waiting

    def until_ready(self) -> None:
        answer = stack().kubectl("wait", "--for=condition=Ready", "pgai", "--all", "-A", "--timeout=50s", check=False)
        if answer.returncode != 0:
            legs = stack().kubectl("get", "pgain,pgai", "-A", "-o", "jsonpath={.items[*].status.conditions}").stdout
            self.fail(f"{answer.stderr}{legs}")
        eventually("what was written last is what is ready", lambda: all(
            app["metadata"]["generation"] == app["status"].get("observedGeneration")
            and any(each["type"] == "Ready" and each["status"] == "True" for each in app["status"]["conditions"])
            for app in stack().get("pgai", "-A")["items"]))

    def until_reason(self, of: list[str], condition: str, reason: str) -> None:
        path = f'jsonpath={{.status.conditions[?(@.type=="{condition}")].reason}}'
        eventually(f"{of} says {reason}", lambda: reason == stack().kubectl("get", *of, "-o", path).stdout)


def asked_for(request: dict[str, Any]) -> tuple[str, str, str]:
    about = request["objectRef"]
    resource = about["resource"] + (f"/{about['subresource']}" if "subresource" in about else "")
    return about.get("apiGroup", ""), resource, request["verb"]
