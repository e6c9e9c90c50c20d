"""Alerts and dashboard are about metrics that the running operator exports, each alert fires when it should and has a runbook."""

from __future__ import annotations

import json
import re
import subprocess
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from harness import LOCAL, MINIMAL, REPOSITORY, SECONDS, eventually, folder, kinds, only, rendered, stack

PREFIX = "private_genai_operator_"
# What Prometheus adds to every series that it scrapes from a pod or a Service.
TARGET_LABELS = {"namespace", "job"}
# What people with several clusters add; without it, by (cluster) changes nothing.
EXTERNAL_LABELS = {"cluster"}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
ON = {**MINIMAL, "metrics": {"prometheusRule": {"enabled": True}}}


def alerts() -> list[dict[str, Any]]:
    """As Prometheus gets them."""
    return [rule for group in only(rendered(ON), "PrometheusRule")["spec"]["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    values = {**MINIMAL, "metrics": {"dashboard": {"enabled": True}}}
    return json.loads(only(rendered(values), "ConfigMap")["data"]["private-genai-operator.json"])


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def parse(expression: str) -> Any:
    """With Grafana's own variables as it fills them in."""
    return promql_parser.parse(expression.replace("$__rate_interval", "5m"))


def nodes(expression: Any) -> Iterator[Any]:
    """An expression and all that it is made of."""
    yield expression
    for name in ("lhs", "rhs", "expr", "param", "vector_selector"):
        if (deeper := getattr(expression, name, None)) is not None:
            yield from nodes(deeper)
    for argument in getattr(expression, "args", None) or []:
        yield from nodes(argument)


class Exported:
    """The metrics that an operator exports after a life with apps, by what it says of them itself."""

    def __init__(self, text: str) -> None:
        self.types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        self.helped = set(re.findall(r"^# HELP (\S+) .+$", text, re.MULTILINE))
        self.labels: dict[str, set[str]] = {}
        self.values: dict[tuple[str, str], set[str]] = {}
        for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
            pairs = re.findall(r'([a-z_]+)="([^"]*)"', labels)
            self.labels.setdefault(name, set()).update(label for label, _ in pairs)
            for label, value in pairs:
                self.values.setdefault((name, label), set()).add(value)
        # A family without a series has no labels to compare: it is not among them.
        self.names = set(self.labels)


class MonitoringTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.exported = Exported(life())

    def expressions(self) -> Iterator[tuple[str, str]]:
        for alert in alerts():
            yield alert["alert"], alert["expr"]
        for panel in panels():
            for target in panel["targets"]:
                yield panel["title"], target["expr"]
        for variable in dashboard()["templating"]["list"]:
            if variable["type"] == "query":
                [selector] = re.fullmatch(r"label_values\((.*), [a-z]+\)", variable["definition"]).groups()
                yield f"${variable['name']}", selector

    def test_the_operator_describes_every_metric_that_it_exports(self) -> None:
        self.assertEqual(self.exported.helped, set(self.exported.types))
        self.assertTrue(all(name.startswith(PREFIX) for name in self.exported.types))
        self.assertGreater(len(self.exported.types), 12)
        table = set(re.findall(rf"^\| `({PREFIX}[a-z_]+)`", (REPOSITORY / "docs/reference/metrics.md").read_text(), re.MULTILINE))
        self.assertEqual(table, {f"{name}_total" if kind == "counter" else name for name, kind in self.exported.types.items()})

    def test_every_expression_selects_metrics_and_labels_that_the_operator_exports(self) -> None:
        for where, expression in self.expressions():
            with self.subTest(where):
                selectors = [node for node in nodes(parse(expression)) if isinstance(node, promql_parser.VectorSelector)]
                self.assertTrue(selectors, "an expression about nothing")
                for selector in selectors:
                    self.assertIn(selector.name, self.exported.names)
                    for matcher in selector.matchers.matchers:
                        if matcher.name in TARGET_LABELS:
                            continue
                        self.assertIn(matcher.name, self.exported.labels[selector.name], f"label of {selector.name}")
                        self.assert_can_match(selector.name, matcher)

    def assert_can_match(self, metric: str, matcher: Any) -> None:
        """Where all values are known: conditions, kinds, results, tables. Codes and operations are AWS's."""
        seen = self.exported.values[metric, matcher.name]
        if matcher.op not in (promql_parser.MatchOp.Equal, promql_parser.MatchOp.Re) or matcher.name in ("code", "operation", "service"):
            return
        wanted = matcher.value.split("|") if matcher.op == promql_parser.MatchOp.Re else [matcher.value]
        for value in wanted:
            self.assertIn(value, seen, f"{metric}{{{matcher.name}}}")

    def test_every_sum_is_by_labels_that_its_metrics_have(self) -> None:
        known = TARGET_LABELS | EXTERNAL_LABELS
        for where, expression in self.expressions():
            with self.subTest(where):
                for node in nodes(parse(expression)):
                    labels: list[str] = []
                    if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
                        labels = node.modifier.labels
                    elif isinstance(node, promql_parser.BinaryExpr) and node.modifier and node.modifier.matching:
                        labels = node.modifier.matching.labels
                    for selector in nodes(node):
                        if isinstance(selector, promql_parser.VectorSelector):
                            self.assertLessEqual(set(labels), known | self.exported.labels[selector.name], selector.name)

    def test_rates_are_taken_of_counters_and_quantiles_of_buckets(self) -> None:
        rated = {f"{name}{suffix}" for name, kind in self.exported.types.items() if kind != "gauge" for suffix in SUFFIXES[kind]}
        for where, expression in self.expressions():
            with self.subTest(where):
                of_rates = set()
                for node in nodes(parse(expression)):
                    if isinstance(node, promql_parser.Call) and node.func.name in ("rate", "increase"):
                        [selected] = node.args
                        of_rates.add(selected.vector_selector.name)
                    if isinstance(node, promql_parser.Call) and node.func.name == "histogram_quantile":
                        under = [each for each in nodes(node.args[1])]
                        self.assertTrue(all(each.name.endswith("_bucket") for each in under if isinstance(each, promql_parser.VectorSelector)))
                        self.assertTrue(any("le" in each.modifier.labels for each in under if isinstance(each, promql_parser.AggregateExpr)))
                selected = {node.name for node in nodes(parse(expression)) if isinstance(node, promql_parser.VectorSelector)}
                self.assertEqual(of_rates, selected & rated)

    def test_the_dashboard_shows_every_metric(self) -> None:
        shown = {node.name for panel in panels() for target in panel["targets"] for node in nodes(parse(target["expr"]))
            if isinstance(node, promql_parser.VectorSelector)}
        for name, kind in self.exported.types.items():
            with self.subTest(name):
                self.assertTrue(shown & {f"{name}{suffix}" for suffix in SUFFIXES[kind]})

    def test_the_dashboard_is_one_that_grafana_shows_whole(self) -> None:
        board = dashboard()
        rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
        self.assertEqual(rows, ["Fleet", "Health", "AWS calls", "Drift", "Latency of the operator"])
        self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]))
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(taken & cells, f"{panel['title']} lies over another panel")
            self.assertLessEqual(place["x"] + place["w"], 24)
            taken |= cells
        known = {variable["name"] for variable in board["templating"]["list"]}
        used = set(re.findall(r"\$\{?([a-z]+)", json.dumps(board)))
        self.assertEqual(used, known)
        for panel in panels():
            self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${datasource}"})
            self.assertTrue(panel["description"], panel["title"])
            self.assertEqual(len({target["refId"] for target in panel["targets"]}), len(panel["targets"]))
            for target in panel["targets"]:
                legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                kept = set(getattr(outermost_sum(parse(target["expr"])).modifier, "labels", []))
                self.assertLessEqual(legend, kept, panel["title"])

    def test_every_alert_says_what_it_means_and_has_a_runbook(self) -> None:
        runbook = (REPOSITORY / "docs/runbook.md").read_text()
        sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", runbook, re.MULTILINE | re.DOTALL))
        names = [alert["alert"] for alert in alerts()]
        self.assertEqual(list(sections), names, "one entry for each alert, in the order of the alerts")
        for alert in alerts():
            name = alert["alert"]
            with self.subTest(name):
                self.assertEqual(alert["annotations"]["runbook_url"], f"docs/runbook.md#{name.lower()}")
                self.assertTrue(alert["annotations"]["summary"].endswith("."))
                self.assertTrue(alert["annotations"]["description"].endswith("."))
                self.assertIn(alert["labels"]["severity"], ("critical", "warning"))
                for part in ("Meaning", "Impact", "Diagnosis", "Mitigation"):
                    self.assertRegex(sections[name], rf"(?m)^\*\*{part}\.\*\* \S")
                kept = set(outermost_sum(parse(alert["expr"])).modifier.labels) if name != "PrivateGenAIOperatorAbsent" else set()
                said = set(re.findall(r"\$labels\.(\w+)", json.dumps(alert["annotations"])))
                self.assertLessEqual(said, kept, "labels that the alert has")
        for link in re.findall(r"\]\(#([a-z-]+)\)", runbook):
            self.assertIn(link, [name.lower() for name in names])
        for metric in re.findall(rf"`({PREFIX}[a-z_]+)`", runbook):
            self.assertIn(metric.removesuffix("_total"), self.exported.types)

    def test_the_codes_in_alerts_are_those_by_which_the_operator_itself_judges(self) -> None:
        source = (REPOSITORY / "src/aws/error.rs").read_text()
        classified = source[source.index("match code {"):source.index("fn by_message")]
        for name, failures in (("PrivateGenAIOperatorCredentialsInvalid", {"Credentials"}),
                ("PrivateGenAIAwsAccessDenied", {"AccessDenied"}), ("PrivateGenAIAwsUnavailable", {"Unavailable"})):
            [alert] = [alert for alert in alerts() if alert["alert"] == name]
            [pattern] = {matcher.value for node in nodes(parse(alert["expr"])) if isinstance(node, promql_parser.VectorSelector)
                for matcher in node.matchers.matchers if matcher.name == "code"}
            matched, others = set(), set()
            for codes, failure in re.findall(r"((?:\"\w+\"\s*\|?\s*)+)=> (?:\{\s*)?Self::(\w+)", classified):
                for code in re.findall(r'"(\w+)"', codes):
                    (matched if failure in failures else others).add(code)
            self.assertGreater(len(matched), 3)
            self.assertEqual({code for code in matched if not re.fullmatch(pattern, code)}, set(), name)
            self.assertEqual({code for code in others if re.fullmatch(pattern, code)}, set(), name)

    def test_the_values_change_what_prometheus_gets(self) -> None:
        def rules(values: dict[str, Any]) -> dict[str, Any]:
            rule = only(rendered({**MINIMAL, **values}), "PrometheusRule")
            return {rule["alert"]: rule for group in rule["spec"]["groups"] for rule in group["rules"]}

        usual = rules({"metrics": {"prometheusRule": {"enabled": True}}})
        changed = rules({"resyncSeconds": 3600, "metrics": {"prometheusRule": {"enabled": True, "runbookUrl": "https://runbooks.example/x",
            "disabled": ["PrivateGenAIQueueNotEmptied"], "alertLabels": {"team": "platform"},
            "severities": {"PrivateGenAIPathNotPrivate": "page"}}}})
        self.assertEqual(set(usual) - set(changed), {"PrivateGenAIQueueNotEmptied"})
        self.assertEqual(changed["PrivateGenAIPathNotPrivate"]["labels"], {"severity": "page", "team": "platform"})
        self.assertEqual(changed["PrivateGenAIPathNotPrivate"]["annotations"]["runbook_url"],
            "https://runbooks.example/x#privategenaipathnotprivate")
        self.assertIn("> 3600", usual["PrivateGenAIAwsNotLookedAt"]["expr"])
        self.assertIn("> 43200", changed["PrivateGenAIAwsNotLookedAt"]["expr"])
        for name, rule in usual.items():
            self.assertNotRegex(json.dumps(rule), "NAMESPACE_OF|SECONDS_WITHOUT", name)
        self.assertIn('{namespace="operator"}', usual["PrivateGenAIOperatorAbsent"]["expr"])

    def test_each_alert_fires_when_it_should_and_only_then(self) -> None:
        """By Prometheus's own promtool: its rule linter, and its unit tests of rules."""
        place = folder() / "promtool"
        place.mkdir(exist_ok=True)
        groups = only(rendered(ON), "PrometheusRule")["spec"]
        (place / "alerts.yaml").write_text(yaml.safe_dump(groups))
        checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(place / "alerts.yaml"))
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        # The tests are about when, not about the words.
        for rule in groups["groups"][0]["rules"]:
            del rule["annotations"]
        (place / "alerts.yaml").write_text(yaml.safe_dump(groups))
        tests = Path(__file__).with_name("alerts_test.yaml").read_text()
        (place / "alerts_test.yaml").write_text(tests)
        tried = promtool("test", "rules", str(place / "alerts_test.yaml"))
        self.assertEqual(tried.returncode, 0, (tried.stdout + tried.stderr)[-4000:])
        for name in [alert["alert"] for alert in alerts()]:
            cases = [case for test in yaml.safe_load(tests)["tests"] for case in test["alert_rule_test"] if case["alertname"] == name]
            self.assertTrue([case for case in cases if case.get("exp_alerts")], f"{name} fires nowhere")
            self.assertTrue([case for case in cases if not case.get("exp_alerts")], f"{name} fires everywhere")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LOCAL / "bin/promtool", *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)


def outermost_sum(expression: Any) -> Any:
    return next(node for node in nodes(expression) if isinstance(node, promql_parser.AggregateExpr))


def life() -> str:
    """What an operator exports that has had apps, more of them at once than AWS's rates allow, calls that were throttled, and an
    app that waits for somebody."""
    it = stack()
    kinds()
    it.kubectl("create", "namespace", "monitored")
    vpcs = [it.aws("POST", "vpc", {"route": "isolated"})["vpcId"] for _ in range(8)]
    it.aws("POST", "faults", {"service": "logs", "operation": "CreateLogGroup", "errorCode": "ThrottlingException", "status": 400})
    apps = {f"app-{number}": vpc for number, vpc in enumerate([*vpcs, "vpc-0000000000000000f"])}
    arguments = ["run", "--installation-id=monitored", "--region=us-east-1", "--implicit-network-vpc-ids=vpc-*",
        "--lease-namespace=monitored"]
    with it.operator(arguments, Path(it.kubeconfig)) as operator:
        eventually("it leads", operator.leads)
        it.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "privategenai.dev/v1alpha1", "kind": "PrivateGenAIApp", "metadata": {"name": name, "namespace": "monitored"},
                "spec": {"network": {"vpcId": vpc}, "models": ["amazon.nova-lite-v1:0"]}} for name, vpc in apps.items()]}))
        it.kubectl("-n", "monitored", "wait", "--for=condition=Ready", "--timeout=50s", *(f"pgai/app-{number}" for number in range(8)))
        it.kubectl("-n", "monitored", "wait", "--for=condition=Stalled", "--timeout=50s", "pgai/app-8")
        text = operator.metrics()
        if not it.left_of("monitored"):
            raise AssertionError("what it makes is found by its tag")
        it.kubectl("-n", "monitored", "delete", "pgai", "--all")
        eventually("AWS is empty", lambda: not it.left_of("monitored"))
    return text
