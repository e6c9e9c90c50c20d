"""What the charts render: valid everywhere, no value without effect, no wrong value taken."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path
from typing import Any

import yaml
from harness import (
    CHART, CRDS, CRDS_CHART, EXAMPLES, FULL, LOCAL, MINIMAL, OPERATOR, OTHERWISE, REPOSITORY, SECONDS, VALUES, eventually, folder, helm, kinds,
    objects, only, rendered, stack,
)


def setUpModule() -> None:
    kinds()
    write_schemas(json.loads(stack().kubectl("get", "--raw", "/openapi/v2").stdout), folder())


class RenderTest(unittest.TestCase):
    def assert_valid(self, manifests: str) -> None:
        """By kubeconform, which finds unknown fields without a server, and by the server itself."""
        location = str(folder() / "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json")
        answer = subprocess.run([LOCAL / "bin/kubeconform", "-strict", "-summary", "-schema-location", location],
            input=manifests, capture_output=True, text=True, timeout=SECONDS, check=False)
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        self.assertIn("Skipped: 0", answer.stdout)
        dry = stack().kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", text=manifests)
        self.assertEqual(len(dry.stdout.splitlines()), len(objects(manifests)))

    def test_the_charts_are_valid_with_few_values_with_all_and_with_others(self) -> None:
        for what, values in VALUES.items():
            with self.subTest(what):
                lint = helm("lint", "--strict", CHART, values=values)
                self.assertEqual(lint.returncode, 0, lint.stdout + lint.stderr)
                self.assert_valid(rendered(values))
        lint = helm("lint", "--strict", CRDS_CHART)
        self.assertEqual(lint.returncode, 0, lint.stdout + lint.stderr)
        self.assert_valid(rendered({}, CRDS_CHART))

    def test_each_kind_of_object_is_rendered_by_some_values(self) -> None:
        kinds = {what: {each["kind"] for each in objects(rendered(values))} for what, values in VALUES.items()}
        always = {"Deployment", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
        self.assertEqual(kinds["few values"], {*always, "ServiceAccount", "PodDisruptionBudget"})
        self.assertEqual(kinds["all values"], {*always, "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy", "Service",
            "ServiceMonitor", "PrometheusRule", "ConfigMap"})
        self.assertEqual(kinds["other values"], {*always, "NetworkPolicy", "PodMonitor", "PrometheusRule"})

    def test_the_examples_are_valid(self) -> None:
        for example in sorted(EXAMPLES.glob("*.yaml")):
            with self.subTest(example.name):
                self.assert_valid(example.read_text())

    def test_every_value_has_an_effect(self) -> None:
        """Each value alone is set to what FULL or OTHERWISE say: what is rendered must differ."""
        whole = yaml.safe_load((CHART / "values.yaml").read_text())
        tried = set()
        for other in (FULL, OTHERWISE):
            for path in paths(other):
                if path in tried or at(other, path) == at(whole, path):
                    continue
                tried.add(path)
                with self.subTest(".".join(path)):
                    # Where a value refines something that is off by default, that is on before and after.
                    before = copy.deepcopy(MINIMAL)
                    for name, needed in NEEDED.get(path[:-1], {}).items():
                        put(before, (*path[:-1], name), needed)
                    before = {**before, **SET_BEFORE.get(path, {})}
                    after = copy.deepcopy(before)
                    put(after, path, at(other, path))
                    if before != after:
                        self.assertTrue(rendered(before) != rendered(after), f"{before} and {after} render the same")
        untried = [path for path in paths(whole)
            if not any(it[: len(path)] == path or path[: len(it)] == it for it in tried)]
        self.assertEqual(untried, [], "values that no set of values here sets")

    def test_the_commands_of_the_readme_install_both_charts(self) -> None:
        text = (REPOSITORY / "README.md").read_text().replace("\\\n", " ")
        commands = [shlex.split(line) for line in text.splitlines() if line.startswith("helm install ")]
        self.assertEqual([command[3] for command in commands], [str(chart.relative_to(REPOSITORY)) for chart in (CRDS_CHART, CHART)])
        for command in commands:
            self.assertIn("STATUS: pending-install", stack().helm(*command[1:], "--take-ownership", "--dry-run=server"))
        page = (REPOSITORY / "docs/configuration.md").read_text()
        table = page[page.index("| value | default | |"):page.index("The chart of the definitions has")]
        whole = yaml.safe_load((CHART / "values.yaml").read_text())
        named = {name.split(".")[0] for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([a-zA-Z.]+)`", row)}
        self.assertEqual({name for name in named if name}, {*whole, "installationId", "region"})

    def test_the_schema_knows_the_values_that_the_chart_has_and_no_others(self) -> None:
        whole = yaml.safe_load((CHART / "values.yaml").read_text())
        schema = json.loads((CHART / "values.schema.json").read_text())
        self.assertEqual(set(schema["properties"]), {*whole, "installationId", "region", "global", "enabled"})
        closed(self, schema, "values")

    def test_a_wrong_value_is_refused_with_its_name(self) -> None:
        for path, wrong in (
            ("installationId", "Not this"), ("installationId", "-a"), ("installationId", "a" * 33),
            ("region", "Virginia"), ("region", ""), ("enabled", "yes"),
            # The program knows the partitions aws, aws-cn and aws-us-gov.
            *(("region", region) for region in ("eusc-de-east-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1")),
            ("replicas", -1), ("replicas", "2"), ("replicas", 1.5),
            ("resyncSeconds", 9), ("resyncSeconds", 86401), ("concurrency", 0), ("concurrency", 1001),
            ("pacing.awsRatePercent", 0), ("pacing.awsRatePercent", 101), ("pacing.awsRatePercent", "50"),
            ("pacing.exploreIamRates", "yes"),
            ("regions", "us-east-1"), ("regions.0", "Virginia"), ("regions.0", "us-east-1,eu-*"), ("regions.0", ""),
            ("implicitNetworks.vpcIds", "vpc-1"), ("implicitNetworks.vpcIds.0", "subnet-0abc"), ("implicitNetworks.vpcIds.0", "vpc-XYZ"),
            ("implicitNetworks.enabled", "yes"), ("implicitNetworks.allow.namespaces", "team-a"),
            ("implicitNetworks.allow.namespaces.0", "Team"), ("implicitNetworks.allow.namespaces.0", "a,b"),
            ("implicitNetworks.allow.namespaces.0", ""), ("implicitNetworks.allow.models.0", "nova lite"),
            ("implicitNetworks.allow.models.0", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"),
            ("tags.a", "b,c"), ("tags.a", "b=c"), ("tags.a", 1), ("tags.a", " b"), ("tags.a", "x" * 257),
            ("tags.a", "aws:b"), ("tags.a", "Aws:b"),
            ("tags", {f"k{n}": "v" for n in range(41)}),
            ("permissionsBoundaryArn", "boundary"), ("permissionsBoundaryArn", "arn:aws:iam::123456789012:role/boundary"),
            ("permissionsBoundaryArn", "arn:aws:iam::123456789012:policy/*"),
            ("log.format", "xml"), ("log.filter", ""),
            ("image.repository", "registry.example/operator:tag"), ("image.tag", "a b"), ("image.digest", "sha256:12"),
            ("image.pullPolicy", "Sometimes"), ("imagePullSecrets.0", "registry"),
            ("serviceAccount.name", "Not This"), ("serviceAccount.annotations", {"a": 1}),
            ("proxy.https", "proxy.example:3128"), ("proxy.except", "10.0.0.0/8"), ("proxy.except.0", "a,b"),
            ("caBundle.key", "a/b"),
            ("env.0", {"name": "PGAI_RESYNC_SECONDS", "value": "60"}), ("env.0", {"name": "HTTPS_PROXY", "value": "http://p"}),
            ("env.0", {"name": "A", "value": 1}), ("env.0", {"name": "A"}),
            ("resources.limits.memory", "much"), ("resources.limits.cpu", -0.5), ("podLabels", {"a": "b c"}),
            ("tolerations.0", {"effect": "Never"}), ("affinity", {"nodeaffinity": {}}),
            ("topologySpread.0", {"maxSkew": 1}), ("topologySpread.0", {"topologyKey": "zone", "whenUnsatisfiable": "Never"}),
            ("topologySpread.0", {"topologyKey": "zone", "minDomains": 2}),
            ("topologySpread.0", {"topologyKey": "zone", "nodeTaintsPolicy": "Never"}),
            ("networkPolicy.metricsFrom.0", {"namespace": "monitoring"}), ("networkPolicy.apiServerPorts.0", 0),
            ("metrics.serviceMonitor.interval", "often"), ("metrics.serviceMonitor.interval", "30s1m"), ("metrics.prometheusRule.disabled.0", "Absent"),
            ("metrics.prometheusRule.runbookUrl", "https://runbooks.example/#genai"),
            ("metrics.dashboard.labels", {"a": True}),
        ):
            with self.subTest(f"{path}={wrong}"):
                values = copy.deepcopy(FULL)
                put(values, tuple(path.split(".")), wrong)
                answer = helm("template", "pgai", CHART, values=values)
                self.assertNotEqual(answer.returncode, 0)
                self.assertIn(f"at '/{path.replace('.', '/')}", answer.stderr)

    def test_what_kubernetes_and_helm_take_is_taken(self) -> None:
        for path, right in (
            # Of an umbrella chart whose dependency has a condition.
            ("enabled", True),
            *(("region", region) for region in ("cn-north-1", "us-gov-west-1", "il-central-1", "mx-central-1", "ap-southeast-7")),
            ("tags.a", "saws:b"),
            ("resources.requests.cpu", 0.5), ("resources.requests.cpu", "0.5"), ("resources.requests.memory", "1Ti"),
            ("metrics.serviceMonitor.interval", "1m30s"), ("metrics.serviceMonitor.interval", "1d"),
            ("metrics.serviceMonitor.interval", "500ms"), ("metrics.serviceMonitor.interval", ""),
        ):
            with self.subTest(f"{path}={right}"):
                values = copy.deepcopy(FULL)
                put(values, tuple(path.split(".")), right)
                rendered(values)

    def test_spread_is_as_it_is_written(self) -> None:
        [spread] = only(rendered(FULL), "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]
        self.assertLessEqual(FULL["topologySpread"][0].items(), spread.items())

    def test_helm_warns_of_a_network_policy_that_cuts_off_prometheus_or_the_proxy(self) -> None:
        def said(**values: Any) -> str:
            answer = helm("install", "pgai", CHART, "--dry-run=client", values={**MINIMAL, **values})
            self.assertEqual(answer.returncode, 0, answer.stderr)
            return answer.stdout.split("NOTES:")[1]

        policy = {"enabled": True}
        scraped = {**policy, "metricsFrom": FULL["networkPolicy"]["metricsFrom"]}
        for monitor in ("serviceMonitor", "podMonitor"):
            on = {monitor: {"enabled": True}}
            self.assertIn("networkPolicy.metricsFrom", said(networkPolicy=policy, metrics=on))
            self.assertNotIn("networkPolicy.metricsFrom", said(networkPolicy=scraped, metrics=on))
            self.assertNotIn("networkPolicy.metricsFrom", said(metrics=on))
        self.assertNotIn("networkPolicy.metricsFrom", said(networkPolicy=policy))

        further = {**policy, "furtherEgress": FULL["networkPolicy"]["furtherEgress"]}
        for url, policy_, warned in (
            ("http://proxy.example:3128", policy, True), ("http://user:a:443@proxy.example", policy, True), ("http://proxy.example/", policy, True),
            ("http://proxy.example:443", policy, False), ("https://user:secret@proxy.example/", policy, False),
            ("http://proxy.example:6443", policy, False), ("http://[fd00::443]:3128", policy, True),
            ("http://proxy.example:3128", further, False), ("http://proxy.example:3128", {}, False), ("", policy, False),
        ):
            with self.subTest(url=url, policy=policy_):
                self.assertEqual("networkPolicy.furtherEgress" in said(proxy={"https": url}, networkPolicy=policy_), warned)

    def test_an_unknown_value_is_refused_wherever_it_stands(self) -> None:
        for path in [(), *sorted({path[:-1] for path in paths(FULL) if len(path) > 1 and path[:-1] not in FREE})]:
            with self.subTest(".".join(path)):
                values = copy.deepcopy(FULL)
                put(values, (*path, "unheardOf"), True)
                answer = helm("template", "pgai", CHART, values=values)
                self.assertNotEqual(answer.returncode, 0)
                self.assertIn("'unheardOf' not allowed", answer.stderr)

    def test_the_chart_says_what_is_missing_or_does_not_go_together(self) -> None:
        for values, expected in (
            ({}, "installationId is required: whose resources these are"),
            ({"installationId": "prod"}, "region is required: the AWS region"),
            ({"installationId": "prod", "region": "us-east-1"}, "image.repository is required: where the operator's image is"),
            ({**MINIMAL, "podLabels": {"app.kubernetes.io/name": "other"}}, "invalid propertyName 'app.kubernetes.io/name'"),
            ({**MINIMAL, "serviceAccount": {"create": False}}, "serviceAccount.name is required with serviceAccount.create=false"),
            *(({**MINIMAL, "tags": {key: "a"}}, f"invalid propertyName '{key}'")
                for key in ("a,b", "a=b", " a", "k" * 129, "Name", "aws:a", "AWS:a", "privategenai.dev/vpc", "PrivateGenAI.dev/vpc")),
            ({**MINIMAL, "tags": {"Team": "a", "team": "b"}}, "tags: Team and team differ in upper and lower case only"),
            ({**MINIMAL, "metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}}, "are both enabled"),
            ({**MINIMAL, "metrics": {"prometheusRule": {"enabled": True, "disabled": ["PrivateGenAIUnheardOf"]}}},
                "disabled: there is no alert PrivateGenAIUnheardOf; there are PrivateGenAIOperatorAbsent, "),
            ({**MINIMAL, "metrics": {"prometheusRule": {"enabled": True, "severities": {"PrivateGenAIPathNotPrivat": "page"}}}},
                "severities: there is no alert PrivateGenAIPathNotPrivat; there are PrivateGenAIOperatorAbsent, "),
            ({**MINIMAL, "metrics": {"prometheusRule": {"enabled": True, "alertLabels": {"severity": "page"}}}},
                "invalid propertyName 'severity'"),
        ):
            answer = helm("template", "pgai", CHART, values=values)
            self.assertNotEqual(answer.returncode, 0)
            self.assertIn(expected, answer.stderr)

    def test_the_operator_takes_the_arguments_that_the_chart_writes(self) -> None:
        arguments = container(rendered(FULL))["args"]
        self.assertEqual(len(arguments), 18)
        self.assert_taken(arguments)
        self.assert_taken(container(rendered(OTHERWISE))["args"])

    def test_the_operator_takes_a_variable_that_says_nothing_or_ends_in_a_comma(self) -> None:
        lists = ("IMPLICIT_NETWORK_VPC_IDS", "IMPLICIT_NETWORK_ALLOW_NAMESPACES", "IMPLICIT_NETWORK_ALLOW_MODELS", "REGIONS")
        arguments = [it for it in container(rendered(MINIMAL))["args"] if not it.startswith("--implicit-network")]
        for text in ("", ",", "*,"):
            with self.subTest(text):
                self.assert_taken(arguments, **{f"PGAI_{name}": text for name in lists})

    def assert_taken(self, arguments: list[str], **environment: str) -> None:
        """Parsed, and then stopped by the missing cluster."""
        arguments = [argument for argument in arguments if not argument.startswith("--listen")]
        answer = subprocess.run([OPERATOR, *arguments, "--listen=127.0.0.1:0"], capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], "KUBECONFIG": "/nowhere", **environment}, timeout=SECONDS, check=False)
        self.assertIn("no Kubernetes API", answer.stderr)

    def test_the_pod_may_do_nothing_that_the_operator_does_not_need(self) -> None:
        for what, values in VALUES.items():
            with self.subTest(what):
                pod = only(rendered(values), "Deployment")["spec"]["template"]["spec"]
                self.assertEqual(pod["securityContext"], {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532,
                    "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}})
                self.assertEqual(pod["containers"][0]["securityContext"], {"allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
                self.assertTrue(all(mount["readOnly"] for mount in pod["containers"][0].get("volumeMounts", [])))
                for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
                    self.assertNotIn(forbidden, pod)
                self.assertEqual(len(pod["containers"]), 1)

    def test_a_stopping_pod_has_the_time_that_the_operator_takes(self) -> None:
        # A write may wait five seconds for its turn and take 25.
        sources = (CHART.parents[1] / "src/aws/sdk/mod.rs").read_text() + (CHART.parents[1] / "src/aws/pacing.rs").read_text()
        needed = sum(int(re.search(rf"{name}: Duration = Duration::from_secs\((\d+)\)", sources)[1])
            for name in ("CALL_TIMEOUT", "LONGEST_HOLD"))
        spec = only(rendered(MINIMAL), "Deployment")["spec"]["template"]["spec"]
        self.assertGreater(spec["terminationGracePeriodSeconds"], needed + 10)

    def test_proxy_and_authorities_are_what_the_libraries_read(self) -> None:
        environment = {each["name"]: each.get("value") for each in container(rendered(FULL))["env"]}
        self.assertEqual(environment["HTTPS_PROXY"], "http://user:secret@proxy.example:3128")
        self.assertEqual(environment["NO_PROXY"], "10.0.0.0/8,.amazonaws.com")
        [mount] = container(rendered(FULL))["volumeMounts"]
        self.assertEqual(environment["SSL_CERT_FILE"], f"{mount['mountPath']}/ca.pem")
        self.assertEqual({each["name"] for each in container(rendered(MINIMAL))["env"]}, {"POD_NAME"})

    def test_no_vpc_is_allowed_but_those_that_are_listed(self) -> None:
        flags = {what: [it for it in container(rendered(values))["args"] if "vpc" in it] for what, values in VALUES.items()}
        self.assertEqual(flags, {"few values": [], "all values": ["--implicit-network-vpc-ids=vpc-0abc*,vpc-0def5678"],
            "other values": []})

    def test_no_region_is_allowed_but_the_operator_s_own_or_those_that_are_listed(self) -> None:
        flags = {what: [it for it in container(rendered(values))["args"] if it.startswith("--regions")] for what, values in VALUES.items()}
        self.assertEqual(flags, {"few values": [], "all values": ["--regions=us-east-1,eu-*"], "other values": []})

    def test_the_network_policy_allows_only_the_pod_identity_agent_of_the_node(self) -> None:
        # "Understand how EKS Pod Identity works", Amazon EKS user guide: where the agent listens. The instance metadata
        # service is a neighbour (169.254.169.254:80): what the node may do is nothing that the operator needs.
        for values in (FULL, OTHERWISE):
            rules = only(rendered(values), "NetworkPolicy")["spec"]["egress"]
            [rule] = [it for it in rules if any(port["port"] == 80 for port in it["ports"])]
            self.assertEqual(rule, {"ports": [{"port": 80, "protocol": "TCP"}],
                "to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}, {"ipBlock": {"cidr": "fd00:ec2::23/128"}}]})

    def test_no_list_allows_every_namespace_and_model_and_an_empty_list_none(self) -> None:
        def flags(values: dict[str, Any]) -> list[str]:
            prefix = "--implicit-network-allow-"
            return [it.removeprefix(prefix) for it in container(rendered(values))["args"] if it.startswith(prefix)]

        self.assertEqual({what: flags(values) for what, values in VALUES.items()}, {
            "few values": ["namespaces=*", "models=*"],
            "all values": ["namespaces=prod,team-?", "models=amazon.nova-*"],
            "other values": ["namespaces=", "models="]})
        self.assertEqual(flags({**MINIMAL, "implicitNetworks": {"allow": None}}), ["namespaces=", "models="])
    def test_a_permissions_boundary_is_told_only_where_there_is_one(self) -> None:
        flags = {what: [it for it in container(rendered(values))["args"] if "boundary" in it] for what, values in VALUES.items()}
        arn = FULL["permissionsBoundaryArn"]
        self.assertEqual(flags, {"few values": [], "all values": [f"--permissions-boundary-arn={arn}"], "other values": []})

    def test_tags_are_told_in_the_order_of_their_keys_and_only_where_there_are_some(self) -> None:
        flags = {what: [it for it in container(rendered(values))["args"] if "--tags" in it] for what, values in VALUES.items()}
        self.assertEqual(flags, {"few values": [], "all values": ["--tags=cost center=a/b:4711,empty=,team=ai"], "other values": []})
        backwards = {**FULL, "tags": dict(reversed(FULL["tags"].items()))}
        self.assertEqual(rendered(backwards), rendered(FULL))

    def test_selectors_select_the_pods_and_nothing_of_another_release(self) -> None:
        manifests = rendered(FULL)
        deployment = only(manifests, "Deployment")
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        selectors = [deployment["spec"]["selector"]["matchLabels"], only(manifests, "Service")["spec"]["selector"],
            only(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
            only(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
            only(rendered(OTHERWISE), "PodMonitor")["spec"]["selector"]["matchLabels"],
            *(each["labelSelector"]["matchLabels"] for each in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"])]
        for selector in selectors:
            self.assertLessEqual(selector.items(), labels.items())
            self.assertEqual(selector["app.kubernetes.io/instance"], "pgai")
        monitor = only(manifests, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
        self.assertLessEqual(monitor.items(), only(manifests, "Service")["metadata"]["labels"].items())

    def test_two_releases_share_no_object(self) -> None:
        values = {**FULL, "serviceAccount": {}, "rbac": {}}
        names = [{(each["kind"], each["metadata"]["name"]) for each in objects(rendered(values, release=release))}
            for release in ("one", "private-genai-operator")]
        self.assertFalse(names[0] & names[1])
        self.assertIn(("Deployment", "private-genai-operator"), names[1])

    def test_names_stay_within_what_kubernetes_takes(self) -> None:
        manifests = rendered(FULL, release="a" * 53)
        self.assert_valid(manifests)


class CrdsTest(unittest.TestCase):
    def definitions(self, manifests: str) -> dict[str, Any]:
        return {each["metadata"]["name"]: each for each in objects(manifests, "CustomResourceDefinition")}

    def written(self) -> dict[str, Any]:
        return {file.stem: yaml.safe_load(file.read_text()) for file in CRDS.glob("*.yaml")}

    def test_what_is_rendered_is_what_lies_in_crds_and_is_kept_on_uninstall(self) -> None:
        rendered_ones, written = self.definitions(rendered({}, CRDS_CHART)), self.written()
        self.assertEqual(set(rendered_ones), set(written))
        self.assertEqual(len(objects(rendered({}, CRDS_CHART))), len(written))
        for name, definition in rendered_ones.items():
            self.assertEqual(definition["metadata"].pop("annotations"), {"helm.sh/resource-policy": "keep"})
            definition["metadata"].pop("labels")
            self.assertEqual(definition, written[name])

    def test_annotations_labels_and_that_they_are_kept_can_be_chosen(self) -> None:
        values = {"keep": False, "annotations": {"argocd.argoproj.io/sync-wave": "-1"}, "labels": {"team": "platform"}}
        for definition in self.definitions(rendered(values, CRDS_CHART)).values():
            self.assertEqual(definition["metadata"]["annotations"], values["annotations"])
            self.assertEqual(definition["metadata"]["labels"]["team"], "platform")
        for definition in self.definitions(rendered({"keep": False}, CRDS_CHART)).values():
            self.assertNotIn("annotations", definition["metadata"])

    def test_a_wrong_value_is_refused(self) -> None:
        self.assertEqual(rendered({"enabled": True}, CRDS_CHART), rendered({}, CRDS_CHART), "of an umbrella chart")
        for values in ({"keep": "yes"}, {"kept": True}, {"enabled": "yes"}, {"annotations": {"a": 1}}, {"labels": {"a": "b c"}}):
            answer = helm("template", "crds", CRDS_CHART, values=values)
            self.assertNotEqual(answer.returncode, 0)
            self.assertIn("values don't meet the specifications", answer.stderr)

    def test_a_package_has_the_definitions_themselves(self) -> None:
        with tempfile.TemporaryDirectory() as place:
            for chart in (CRDS_CHART, CHART):
                answer = helm("package", chart, "--destination", place)
                self.assertEqual(answer.returncode, 0, answer.stderr)
            [package] = Path(place).glob("private-genai-operator-crds-*.tgz")
            with tarfile.open(package) as archive:
                self.assertTrue(all(member.isfile() for member in archive.getmembers()))
                files = {name: archive.extractfile(name).read() for name in archive.getnames() if "/files/" in name}
            self.assertEqual({Path(name).name: content for name, content in files.items()},
                {file.name: file.read_bytes() for file in CRDS.glob("*.yaml")})
            self.assertEqual(rendered({}, package), rendered({}, CRDS_CHART))
            [package] = set(Path(place).glob("*.tgz")) - {package}
            self.assertEqual(rendered(FULL, package), rendered(FULL))

    def test_both_charts_have_one_version(self) -> None:
        ours, crds = (yaml.safe_load((chart / "Chart.yaml").read_text()) for chart in (CHART, CRDS_CHART))
        for field in ("version", "appVersion", "kubeVersion"):
            self.assertEqual(ours[field], crds[field])
        said = subprocess.run([OPERATOR, "--version"], capture_output=True, text=True, timeout=SECONDS, check=True).stdout
        self.assertEqual(said.split()[-1], ours["appVersion"])


class ArtifactHubTest(unittest.TestCase):
    """The annotations are what https://artifacthub.io/docs/topics/annotations/helm takes, and agree with what they are about."""

    STRINGS = {
        "license": {"Apache-2.0"}, "prerelease": {"true", "false"}, "operator": {"true", "false"},
        "category": {"ai-machine-learning", "database", "integration-delivery", "monitoring-logging", "networking", "security",
            "storage", "streaming-messaging", "skip-prediction"},
        "operatorCapabilities": {"Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot"},
    }
    # The fields of each entry: those that it must have, and those that it may have.
    LISTS = {
        "crds": ({"kind", "version", "name", "displayName", "description"}, set()),
        "crdsExamples": ({"apiVersion", "kind", "metadata", "spec"}, set()),
        "links": ({"name", "url"}, set()),
        "changes": ({"kind", "description"}, {"links"}),
    }

    def annotations(self, chart: Path) -> dict[str, Any]:
        found = {}
        for name, text in yaml.safe_load((chart / "Chart.yaml").read_text())["annotations"].items():
            self.assertIsInstance(text, str, name)
            domain, _, name = name.partition("/")
            self.assertEqual(domain, "artifacthub.io")
            found[name] = yaml.safe_load(text) if name in self.LISTS else text
        return found

    def test_each_annotation_is_known_and_of_its_form(self) -> None:
        whole = {*self.STRINGS, *self.LISTS}
        for chart, expected in ((CHART, whole), (CRDS_CHART, {"license", "prerelease", "crds", "links"})):
            annotations = self.annotations(chart)
            self.assertEqual(set(annotations), expected)
            for name, value in annotations.items():
                with self.subTest(chart=chart.name, annotation=name):
                    if name in self.STRINGS:
                        self.assertIn(value, self.STRINGS[name])
                        continue
                    needed, allowed = self.LISTS[name]
                    self.assertTrue(isinstance(value, list) and value)
                    for entry in value:
                        self.assertLessEqual(needed, set(entry))
                        self.assertLessEqual(set(entry), needed | allowed)
            self.assertTrue(all(link["url"].startswith("https://") for link in annotations["links"]))

    def test_the_definitions_are_those_of_crds_and_the_examples_are_the_examples(self) -> None:
        written = [yaml.safe_load(file.read_text()) for file in sorted(CRDS.glob("*.yaml"))]
        expected = [(it["spec"]["names"]["kind"], it["spec"]["versions"][-1]["name"], it["metadata"]["name"]) for it in written]
        for chart in (CHART, CRDS_CHART):
            crds = self.annotations(chart)["crds"]
            self.assertEqual([(it["kind"], it["version"], it["name"]) for it in crds], expected)
        examples = self.annotations(CHART)["crdsExamples"]
        self.assertEqual(examples, [yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text()) for name in ("app", "network")])
        self.assertEqual([it["kind"] for it in examples], [it["kind"] for it in self.annotations(CHART)["crds"]])
        dry = stack().kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", text=yaml.safe_dump_all(examples))
        self.assertEqual(len(dry.stdout.splitlines()), len(examples))

    def test_license_version_and_changes_are_those_of_the_program_and_its_changelog(self) -> None:
        cargo = (REPOSITORY / "Cargo.toml").read_text()
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
        for chart in (CHART, CRDS_CHART):
            annotations = self.annotations(chart)
            self.assertIn(f'\nlicense = "{annotations["license"]}"\n', cargo)
            self.assertEqual(annotations["prerelease"], str(version.startswith("0.") or "-" in version).lower())
        newest = re.split(r"^## ", (REPOSITORY / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1]
        name, _, text = newest.partition("\n")
        if name == "[Unreleased]":
            self.assertIn(f"This is what {version} will have.", text)
        else:
            self.assertIn(f"[{version}]", name)
        # Without links and code.
        plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text).replace("`", "")
        told = {(heading.lower(), line) for heading, lines in re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", plain, re.MULTILINE | re.DOTALL)
            for line in re.findall(r"^- (.*)$", lines, re.MULTILINE)}
        for change in self.annotations(CHART)["changes"]:
            self.assertIn(change["kind"], {"added", "changed", "deprecated", "removed", "fixed", "security"})
            self.assertIn((change["kind"], change["description"]), told)


class PeopleTest(unittest.TestCase):
    """Who may do what by the roles of Kubernetes itself, in the judgement of the API server."""

    @classmethod
    def setUpClass(cls) -> None:
        it = stack()
        roles = [each for each in objects(rendered(MINIMAL, release="people")) if each["kind"] == "ClusterRole"]
        it.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(roles))
        for role in ("view", "edit", "admin"):
            it.kubectl("-n", "operator", "create", "rolebinding", f"{role}s", f"--clusterrole={role}", f"--user={role}er")
            it.kubectl("create", "clusterrolebinding", f"all-{role}s", f"--clusterrole={role}", f"--user=all-{role}er")
        it.kubectl("create", "clusterrolebinding", "platform", "--user=platform",
            "--clusterrole=people-private-genai-operator-networks-admin")
        eventually("the roles are aggregated", lambda: cls.may("admin", "delete", "privategenaiapps"))

    @staticmethod
    def may(role: str, verb: str, resource: str, user: str | None = None) -> bool:
        kind, _, part = resource.partition("/")
        answer = stack().kubectl("auth", "can-i", verb, f"{kind}.privategenai.dev", f"--subresource={part}",
            f"--as={user or f'{role}er'}", "-n", "operator", check=False)
        return answer.stdout.strip() == "yes"

    def test_who_views_edits_or_administers_a_namespace_does_so_with_its_apps(self) -> None:
        reads, writes = ("get", "list", "watch"), ("create", "update", "patch", "delete", "deletecollection")
        for role, verbs in (("view", reads), ("edit", reads + writes), ("admin", reads + writes)):
            for verb in reads + writes:
                with self.subTest(f"{role} {verb}"):
                    self.assertEqual(self.may(role, verb, "privategenaiapps"), verb in verbs)
            for verb in ("update", "patch"):
                self.assertFalse(self.may(role, verb, "privategenaiapps/status"), f"{role} {verb} status")

    def test_networks_are_for_the_platform_team_alone(self) -> None:
        for verb in ("get", "list", "create", "patch", "delete"):
            for role in ("view", "edit", "admin"):
                self.assertFalse(self.may(role, verb, "privategenainetworks"), f"{role} {verb}")
                self.assertFalse(self.may(role, verb, "privategenainetworks", user=f"all-{role}er"), f"everywhere: {role} {verb}")
            self.assertTrue(self.may("", verb, "privategenainetworks", user="platform"), verb)
        self.assertFalse(self.may("", "patch", "privategenainetworks/status", user="platform"))


# What must be on for a value beside it to matter.
NEEDED: dict[tuple[str, ...], dict[str, Any]] = {
    ("networkPolicy",): {"enabled": True},
    ("metrics", "serviceMonitor"): {"enabled": True}, ("metrics", "podMonitor"): {"enabled": True},
    ("metrics", "prometheusRule"): {"enabled": True}, ("metrics", "dashboard"): {"enabled": True},
    ("caBundle",): {"configMap": "authorities"},
}
SET_BEFORE: dict[tuple[str, ...], dict[str, Any]] = {
    ("implicitNetworks", "enabled"): {"implicitNetworks": {"enabled": True, "vpcIds": ["vpc-0abc*"]}},
    ("serviceAccount", "create"): {"serviceAccount": {"create": True, "name": "there-already"}},
}
# Where people choose the names themselves.
FREE = {
    ("tags",), ("serviceAccount", "annotations"), ("podAnnotations",), ("podLabels",), ("nodeSelector",), ("resources", "limits"),
    ("resources", "requests"), ("metrics", "serviceMonitor", "labels"), ("metrics", "podMonitor", "labels"),
    ("metrics", "prometheusRule", "labels"), ("metrics", "prometheusRule", "alertLabels"), ("metrics", "dashboard", "labels"),
    ("metrics", "dashboard", "annotations"), ("metrics", "prometheusRule", "severities"), ("affinity", "podAntiAffinity"),
}


def container(manifests: str) -> dict[str, Any]:
    return only(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def paths(values: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every value, but for those below names that people choose."""
    found = []
    for name, value in values.items():
        path = (*above, name)
        deeper = isinstance(value, dict) and value and path not in FREE and path != ("affinity",)
        found += paths(value, path) if deeper else [path]
    return found


def at(values: dict[str, Any], path: tuple[str, ...]) -> Any:
    for name in path:
        values = values.get(name, {}) if isinstance(values, dict) else {}
    return values


def put(values: Any, path: tuple[str, ...], value: Any) -> None:
    *above, last = path
    for name in above:
        values = values.setdefault(name, {}) if isinstance(values, dict) else values[int(name)]
    if isinstance(values, list):
        values[int(last):int(last) + 1] = [value]
    else:
        values[last] = value


def closed(test: unittest.TestCase, schema: dict[str, Any], where: str) -> None:
    """No object of the schema takes names that it does not know, but where people choose them."""
    if "properties" in schema:
        test.assertIs(schema.get("additionalProperties"), False, where)
    for name, deeper in schema.get("properties", {}).items():
        closed(test, deeper, f"{where}.{name}")
        if isinstance(deeper.get("items"), dict):
            closed(test, deeper["items"], f"{where}.{name}[]")


def write_schemas(openapi: dict[str, Any], place: Path) -> None:
    """One file a kind for kubeconform, from what the API server says itself. Unknown fields are errors."""
    definitions = openapi["definitions"]
    for schema in list(definitions.values()):
        forbid_unknown(schema)
    for name, schema in definitions.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            file = place / f"{kind['group'] or kind['version']}_{kind['version']}_{kind['kind'].lower()}.json"
            file.write_text(json.dumps({"$ref": f"#/definitions/{name}", "definitions": definitions}))


def forbid_unknown(schema: Any) -> None:
    if isinstance(schema, dict):
        # What the API takes as a number too is written as a string in OpenAPI's second version.
        if schema.get("type") == "string" and (schema.get("format") == "int-or-string" or "Quantity" in schema.get("description", "")[:9]):
            schema["type"] = ["string", "number"]
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        for each in list(schema.values()):
            forbid_unknown(each)
