#!/usr/bin/env python3
"""What the documents name is there: links, commands, manifests, values, reasons. Needs `make build` first."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml

from client import LOCAL, OPERATOR, REPOSITORY, LocalStack, names_of_conditions

PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
# These list all others.
INDEXES = [REPOSITORY / "README.md", REPOSITORY / "docs/README.md"]
EXAMPLES = [*REPOSITORY.glob("examples/argocd/**/*.yaml"), *REPOSITORY.glob("examples/flux/*.yaml")]
WORKFLOWS = sorted(REPOSITORY.glob(".github/workflows/*.yml"))
KINDS = {"pgai": "privategenaiapps", "pgain": "privategenainetworks"}
# Resources of Kubernetes itself that commands in the documents name.
OTHERS = {"namespace", "application", "deployment", "configmap", "crd", "events", "nodes", "lease", "secret", "pods"}


class Block(NamedTuple):
    page: str
    language: str
    text: str


class DocsTest(unittest.TestCase):
    def test_every_link_leads_somewhere(self) -> None:
        checked = 0
        for page in PAGES:
            for target in targets_of_links(page):
                with self.subTest(page=shown(page), target=target):
                    checked += 1
                    parts = urlsplit(target)
                    if parts.scheme:
                        self.assertEqual(parts.scheme, "https")
                        self.assertRegex(parts.netloc, r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")
                        continue
                    file = (page.parent / parts.path).resolve() if parts.path else page
                    self.assertTrue(file.exists(), "no such file")
                    self.assertTrue(file.is_relative_to(REPOSITORY))
                    if parts.fragment:
                        self.assertIn(parts.fragment, anchors(file))
        self.assertGreater(checked, 40)

    def test_every_page_is_found_from_the_readme_or_from_the_index_that_it_links(self) -> None:
        found = {(index.parent / target.split("#")[0]).resolve() for index in INDEXES for target in targets_of_links(index)}
        self.assertIn(REPOSITORY / "docs/README.md", {(REPOSITORY / target.split("#")[0]).resolve() for target in targets_of_links(INDEXES[0])})
        self.assertEqual(set(PAGES) - found, {REPOSITORY / "README.md"})

    def test_the_readme_has_at_most_150_lines(self) -> None:
        self.assertLessEqual(len((REPOSITORY / "README.md").read_text().splitlines()), 150)

    def test_every_file_and_folder_that_is_named_exists(self) -> None:
        checked = 0
        for page in PAGES:
            for place in re.findall(r"`((?:src|tests|docs|charts|crds|examples)/[a-z_./-]*)`", page.read_text()):
                with self.subTest(page=shown(page), place=place):
                    checked += 1
                    self.assertTrue((REPOSITORY / place).exists())
        self.assertGreater(checked, 60)

    def test_every_make_target_exists(self) -> None:
        named = {target for page in PAGES for target in re.findall(r"`make ([a-z-]+)", page.read_text())}
        named |= {words[1] for _, words in commands() if words[0] == "make"}
        workflows = {target for file in WORKFLOWS for target in re.findall(r"run: make ([a-z-]+)", file.read_text())}
        self.assertGreater(len(named), 10)
        self.assertGreaterEqual(workflows, {"test", "test-full", "advisories", "image", "sbom"})
        self.assertEqual((named | workflows) - targets(), set())
        phony = set(re.findall(r"^\.PHONY: ([a-z-]+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
        self.assertEqual(targets(), phony)

    def test_every_command_of_the_operator_is_one_that_it_takes(self) -> None:
        checked = 0
        for page, words in commands():
            if Path(words[0]).name == "private-genai-operator":
                with self.subTest(page=page, command=words):
                    checked += 1
                    known = flags(words[1])
                    for flag in (word.split("=")[0] for word in words[2:] if word.startswith("-")):
                        self.assertIn(flag, known)
        self.assertGreaterEqual(checked, 6)
        for page in PAGES:
            for subcommand in re.findall(r"`private-genai-operator ([a-z-]+)", page.read_text()):
                self.assertTrue(flags(subcommand), f"{shown(page)}: {subcommand}")

    def test_the_page_of_flags_has_those_of_each_subcommand_and_no_others(self) -> None:
        page = (REPOSITORY / "docs/reference/flags.md").read_text()
        sections = dict(re.findall(r"^## ([a-z-]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
        self.assertGreaterEqual(set(sections), {"run", "teardown", "orphan", "take-over", "crd", "iam-policy"})
        for subcommand, section in sections.items():
            described = set(re.findall(r"^\| `(--[a-z-]+)`", section, re.MULTILINE))
            self.assertEqual(described, flags(subcommand) - {"--help"}, subcommand)

    def test_every_command_of_kubectl_and_helm_is_one_that_they_take(self) -> None:
        checked = 0
        for page, words in commands():
            with self.subTest(page=page, command=words):
                if words[0] == "kubectl":
                    self.kubectl(words[1:])
                    checked += 1
                if words[0] == "helm":
                    self.helm(words[1:])
                    checked += 1
        self.assertGreater(checked, 25)

    def test_a_variable_is_set_on_its_page_before_use_and_reads_the_same_in_each_shell(self) -> None:
        """An empty one may mean less safety and no error: no boundary. zsh takes what follows a colon for modifiers."""
        elsewhere = {"AWS_ENDPOINT_URL"}  # by `make up`
        checked = 0
        for page in PAGES:
            known = set(elsewhere)
            for line in "".join(block.text for block in blocks() if block.page == shown(page) and block.language == "sh").splitlines():
                with self.subTest(page=shown(page), line=line):
                    self.assertNotRegex(line, r"\$[A-Za-z_]\w*:", "write ${NAME}:")
                    used = set(re.findall(r"\$\{?([A-Za-z_]\w*)", line))
                    self.assertLessEqual(used, known, "set nowhere on this page before")
                    checked += len(used)
                known |= set(re.findall(r"^([A-Za-z_]\w*)=", line))
        self.assertGreaterEqual(checked, 4)

    def test_pages_about_stopping_the_operator_link_what_argo_cd_and_flux_would_do(self) -> None:
        for page in ("uninstall.md", "backup-and-restore.md", "runbook.md"):
            self.assertIn("(gitops.md#remove-it-or-stop-the-operator)", (REPOSITORY / "docs" / page).read_text(), page)

    def kubectl(self, words: list[str]) -> None:
        options, plain = split(words, {"-n", "--namespace", "-f", "-o", "--output", "--type", "--patch"})
        subcommand = plain[0]
        known = kubectl_flags(" ".join(plain[:2])) if subcommand in ("create", "rollout") else kubectl_flags(subcommand)
        for option in options:
            self.assertIn(option, known, f"kubectl {subcommand}")
        if subcommand in ("get", "wait", "describe", "delete", "annotate", "scale") and len(plain) > 1:
            for resource in plain[1].split("/")[0].split(","):
                self.assertIn(resource, {*KINDS, *KINDS.values(), *OTHERS})
        for file in values_of(words, "-f"):
            if file != "-":
                self.assertTrue((REPOSITORY / file).exists(), file)

    def helm(self, words: list[str]) -> None:
        options, plain = split(words, {"--namespace", "--set", "--values", "--destination"})
        known = set(re.findall(r"--[a-z][a-z-]+", run(LOCAL / "bin/helm", plain[0], "--help")))
        for option in options:
            self.assertIn(option, known)
        for chart in plain[2:]:
            self.assertTrue((REPOSITORY / chart / "Chart.yaml").exists(), chart)
        for setting in values_of(words, "--set"):
            assert_values(self, as_values(setting))

    def test_every_chart_value_that_is_named_exists(self) -> None:
        top = set(schema()["properties"])
        checked = 0
        for page in PAGES:
            for name in re.findall(r"`([a-z][A-Za-z]+(?:\.[a-z][A-Za-z]+)+)`", page.read_text()):
                if name.split(".")[0] in top:
                    with self.subTest(page=shown(page), value=name):
                        checked += 1
                        self.assertTrue(in_schema(schema(), name.split(".")))
        for block in blocks():
            if "installationId:" in block.text and block.language == "sh":
                for document in re.findall(r"<<'?END'?\n(.*?)\nEND\n", block.text, re.DOTALL):
                    if document.startswith("installationId:"):
                        checked += 1
                        assert_values(self, yaml.safe_load(document))
        self.assertGreater(checked, 3)

    def test_every_condition_and_reason_that_is_named_exists(self) -> None:
        events = re.findall(
            r'^pub const [A-Z_]+: &str = "([A-Z][A-Za-z]+)";', (REPOSITORY / "src/engine/events.rs").read_text(), re.MULTILINE)
        self.assertIn("DriftRepaired", events)
        known = {*names_of_conditions("Reasons"), *names_of_conditions("Conditions"), *events, "True", "False", "Unknown"}
        checked = 0
        for page in PAGES:
            named = re.findall(r"(?:reasons?|says|say|(?<!such )as|is) `([A-Z][A-Za-z]+)`", page.read_text())
            named += re.findall(r"`([A-Z][A-Za-z]+)` at the next probe", page.read_text())
            for name in named:
                with self.subTest(page=shown(page), reason=name):
                    checked += 1
                    self.assertIn(name, known)
        self.assertGreaterEqual(checked, 4)

    def test_every_manifest_of_our_kinds_is_one_that_the_api_server_takes(self) -> None:
        manifests = [document for block in blocks() if block.language in ("yaml", "sh")
            for document in re.split(r"^---$", block.text, flags=re.MULTILINE)
            if document.lstrip().startswith("apiVersion: privategenai.dev/")]
        self.assertGreater(len(manifests), 1)
        with LocalStack() as stack:
            stack.install_crds()
            for namespace in ("team-a", "team-b"):
                stack.kubectl("create", "namespace", namespace)
            for manifest in manifests:
                stack.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", text=manifest)
            for file in REPOSITORY.glob("examples/*.yaml"):
                stack.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(file))


class WorkflowsTest(unittest.TestCase):
    def test_actionlint_finds_nothing_wrong(self) -> None:
        self.assertEqual({file.name for file in WORKFLOWS}, {"ci.yml", "full.yml", "release.yml"})
        answer = subprocess.run([LOCAL / "bin/actionlint", "-no-color", "-shellcheck=", "-pyflakes=", *WORKFLOWS],
            capture_output=True, text=True, check=False)
        self.assertEqual((answer.returncode, answer.stdout), (0, ""), answer.stderr)

    def test_each_function_of_the_trace_is_in_its_file(self) -> None:
        rows = re.findall(r"^\| \d+ \| `([\w:]+)` \| (\S+) \|$", (REPOSITORY / "docs/trace.md").read_text(), re.MULTILINE)
        self.assertGreater(len(rows), 20)
        for function, file in rows:
            with self.subTest(function=function, file=file):
                text = (REPOSITORY / file).read_text()
                *owner, name = function.split("::")
                self.assertRegex(text, rf"\bfn {name}\b")
                for type_ in owner:
                    self.assertRegex(text, rf"(?m)^impl\b.*\b{type_}\b")

    def test_actions_are_pinned_and_permissions_are_few(self) -> None:
        for file in WORKFLOWS:
            for action in re.findall(r"uses: (.+)", file.read_text()):
                if not action.startswith("./"):
                    self.assertRegex(action, r"^[a-z-]+/[a-z-]+@[0-9a-f]{40} # v[0-9.]+$")
            workflow = yaml.safe_load(file.read_text())
            self.assertEqual(workflow["permissions"], {}, "none but what a job names")
            for job in workflow["jobs"].values():
                self.assertIn("permissions", job)
                if file.name == "ci.yml":
                    self.assertEqual(job["permissions"], {"contents": "read"})


    def test_each_change_builds_an_image_and_a_released_one_is_attested_by_its_digest(self) -> None:
        ci, release = (yaml.safe_load((REPOSITORY / f".github/workflows/{name}.yml").read_text())["jobs"] for name in ("ci", "release"))
        self.assertIn("make image sbom", [step.get("run") for step in ci["image"]["steps"]])
        publish = release["publish"]
        self.assertEqual(publish["permissions"],
            {"contents": "write", "packages": "write", "id-token": "write", "attestations": "write"})
        [pushed] = [step["run"] for step in publish["steps"] if step.get("run", "").startswith("make image ")]
        self.assertIn('SOURCE="https://github.com/$GITHUB_REPOSITORY"', pushed)
        attested = [step["with"] for step in publish["steps"] if step.get("uses", "").startswith("actions/attest@")]
        self.assertEqual([step.pop("sbom-path", None) for step in attested], [None, "target/image-sbom/private-genai-operator.cdx.json"])
        for step in attested:
            self.assertEqual(step["subject-digest"], "${{ steps.image.outputs.digest }}")


class GitOpsExamplesTest(unittest.TestCase):
    """Whole schemas of Argo CD and Flux would be their own code: these are the fields and rules that the examples rest on."""

    def documents(self, kind: str) -> dict[str, dict[str, Any]]:
        found = [each for file in EXAMPLES for each in yaml.safe_load_all(file.read_text()) if each["kind"] == kind]
        self.assertTrue(found)
        return {each["metadata"]["name"]: each for each in found}

    def test_applications_come_in_waves_by_server_side_apply_and_never_prune_definitions(self) -> None:
        applications = self.documents("Application")
        root = applications.pop("private-genai")
        folder = REPOSITORY / "examples" / root["spec"]["source"]["path"]
        self.assertEqual({file.parent for file in EXAMPLES if "applications" in file.parts}, {folder})
        waves = {name.removeprefix("private-genai-"): int(each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
            for name, each in applications.items()}
        self.assertEqual(waves, {"definitions": 0, "operator": 1, "networks": 2, "apps": 3})
        for name, each in [("private-genai", root), *applications.items()]:
            self.assertEqual(each["apiVersion"], "argoproj.io/v1alpha1")
            self.assertLessEqual(set(each["spec"]), {"project", "source", "destination", "syncPolicy"})
            self.assertLessEqual(set(each["spec"]["source"]), {"repoURL", "targetRevision", "path", "helm"})
            self.assertLessEqual(set(each["spec"]["destination"]), {"name", "namespace"})
            policy = each["spec"]["syncPolicy"]
            self.assertEqual(set(policy["automated"]), {"prune", "selfHeal"})
            self.assertIs(policy["automated"]["prune"], name != "private-genai-definitions")
            if name != "private-genai":
                self.assertIn("ServerSideApply=true", policy["syncOptions"])
        for name in ("definitions", "operator"):
            self.assertTrue((REPOSITORY / applications[f"private-genai-{name}"]["spec"]["source"]["path"]).is_dir())
        helm = applications["private-genai-operator"]["spec"]["source"]["helm"]
        self.assertEqual(set(helm), {"releaseName", "valuesObject"})
        assert_values(self, helm["valuesObject"])
        # docs/gitops.md: with the root nothing else goes.
        self.assertNotIn("finalizers", root["metadata"])
        # Whoever deletes these is to wait for AWS, and to find the operator there that does the work.
        for name in ("networks", "apps"):
            finalizers = applications[f"private-genai-{name}"]["metadata"]["finalizers"]
            self.assertEqual(finalizers, ["resources-finalizer.argocd.argoproj.io"])

    def test_kustomizations_wait_for_each_other_and_for_all_that_they_apply(self) -> None:
        kustomizations = self.documents("Kustomization")
        order = ["definitions", "operator", "networks", "apps"]
        self.assertEqual(list(kustomizations), [f"private-genai-{name}" for name in order])
        before: list[dict[str, str]] | None = None
        for name, each in kustomizations.items():
            spec = each["spec"]
            self.assertEqual(each["apiVersion"], "kustomize.toolkit.fluxcd.io/v1")
            self.assertLessEqual(set(spec), {"dependsOn", "interval", "timeout", "sourceRef", "path", "prune", "wait"})
            self.assertIs(spec["wait"], True)
            self.assertEqual(spec.get("dependsOn"), before)
            self.assertIs(spec["prune"], name != "private-genai-definitions")
            before = [{"name": name}]
        [release] = self.documents("HelmRelease").values()
        self.assertEqual(release["apiVersion"], "helm.toolkit.fluxcd.io/v2")
        self.assertEqual(set(release["spec"]), {"interval", "chart", "values"})
        self.assertTrue((REPOSITORY / release["spec"]["chart"]["spec"]["chart"]).is_dir())
        assert_values(self, release["spec"]["values"])

    def test_the_operator_gets_the_values_that_its_installation_on_eks_describes(self) -> None:
        page = (REPOSITORY / "docs/install-eks.md").read_text()
        [described] = [yaml.safe_load(text) for text in re.findall(r"<<'END'\n(.*?)\nEND\n", page, re.DOTALL) if "installationId" in text]
        [boundary] = re.findall(r"^BOUNDARY=(.*)$", page, re.MULTILINE)
        self.assertEqual(described["permissionsBoundaryArn"], boundary)
        [release] = self.documents("HelmRelease").values()
        application = self.documents("Application")["private-genai-operator"]
        for values in (release["spec"]["values"], application["spec"]["source"]["helm"]["valuesObject"]):
            # The printed policy demands the boundary: without the value every role is denied.
            for name in ("installationId", "region", "image", "permissionsBoundaryArn"):
                self.assertEqual(values.get(name), described[name], name)


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for language, text in re.findall(r"^```([a-z]*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
            yield Block(shown(page), language, text)


def commands() -> list[tuple[str, list[str]]]:
    """Each simple command of the shell blocks, also those in a pipe or in $(…), without here-documents and redirections."""
    found = []
    for block in blocks():
        if block.language != "sh":
            continue
        text = re.sub(r"<<'?END'?.*?\nEND\n", "\n", block.text, flags=re.DOTALL).replace("\\\n", " ")
        inner = re.findall(r"\$\(([^()]*)\)", text)
        for line in [*re.sub(r"\$\([^()]*\)", "SUBSTITUTED", text).splitlines(), *inner]:
            words = shlex.split(line, comments=True)
            command: list[str] = []
            for word in [*words, "|"]:
                if word in ("|", "&", "&&", ";", ">", "<<"):
                    if command and re.fullmatch(r"[a-z./-]+", command[0]):
                        found.append((block.page, command))
                    command = []
                else:
                    command.append(word)
    return found


def shown(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def targets_of_links(page: Path) -> list[str]:
    return re.findall(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)", without_blocks(page.read_text()))


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(file: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(file.read_text()), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):(?!=)", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def run(*command: str | Path) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if answer.returncode != 0:
        raise AssertionError(f"{command}: {answer.stderr}")
    return answer.stdout


@functools.cache
def flags(subcommand: str) -> set[str]:
    return set(re.findall(r"(?<![`\w])--[a-z][a-z-]*", run(OPERATOR, subcommand, "--help")))


@functools.cache
def kubectl_flags(subcommand: str) -> set[str]:
    kubectl = Path(os.environ.get("KUBEBUILDER_ASSETS") or LOCAL / "bin") / "kubectl"
    text = run(kubectl, *subcommand.split(), "--help")
    if not re.search(rf"^Usage:\n +kubectl {subcommand}\b", text, re.MULTILINE):
        raise AssertionError(f"no kubectl {subcommand}")
    text += run(kubectl, "options")
    return set(re.findall(r"(--[a-z][a-z-]+)=?", text)) | set(re.findall(r"^ +(-[a-zA-Z]), ", text, re.MULTILINE))


def split(words: list[str], with_value: set[str]) -> tuple[list[str], list[str]]:
    """The options, without their values, and the rest."""
    options, plain, rest = [], [], iter(words)
    for word in rest:
        if word.startswith("-") and word != "-":
            option = word.split("=")[0]
            options.append(option)
            if option in with_value and "=" not in word:
                next(rest, None)
        else:
            plain.append(word)
    return options, plain


def values_of(words: list[str], option: str) -> list[str]:
    return [after for word, after in zip(words, words[1:], strict=False) if word == option]


@functools.cache
def schema() -> dict[str, Any]:
    return dict(json.loads((REPOSITORY / "charts/private-genai-operator/values.schema.json").read_text()))


def in_schema(part: dict[str, Any], names: list[str]) -> bool:
    if not names:
        return True
    known = part.get("properties", {})
    if names[0] in known:
        return in_schema(known[names[0]], names[1:])
    return bool(part.get("additionalProperties", True))


def as_values(setting: str) -> dict[str, Any]:
    """What `helm --set` makes of a=b, a.b=c and a={b,c}."""
    path, _, text = setting.partition("=")
    value: Any = text.strip("{}").split(",") if text.startswith("{") else text
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def assert_values(test: unittest.TestCase, values: dict[str, Any]) -> None:
    """By the real helm, where all that the chart requires is there; else by name."""
    def names(part: Any, path: list[str]) -> Iterator[list[str]]:
        if isinstance(part, dict) and part:
            for name, each in part.items():
                yield from names(each, [*path, name])
        else:
            yield path

    for path in names(values, []):
        test.assertTrue(in_schema(schema(), path), f"no value {'.'.join(path)}")
    if {"installationId", "region", "image"} <= set(values):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "values.yaml"
            file.write_text(yaml.safe_dump(values))
            run(LOCAL / "bin/helm", "template", "release", REPOSITORY / "charts/private-genai-operator", "--values", file)


if __name__ == "__main__":
    unittest.main(verbosity=2)
