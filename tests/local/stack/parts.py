"""The parts of the stack: their inputs, tool chains, results and recipes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .places import CONTROL_PLANE_PROGRAMS, SOURCES, Local, StackError
from .steps import Log, replace

KUBERNETES = SOURCES / "kubernetes"
TOOLS = SOURCES / "tools"
PROMTOOL = SOURCES / "promtool"
GITOPS = SOURCES / "gitops"
REQUIREMENTS = SOURCES / "aws" / "requirements.txt"
NODE = SOURCES / "node"


@dataclass(frozen=True)
class Tool:
    name: str
    folder: Path
    module: str
    package: str
    version_variable: str
    tags: str = ""


TOOLS_BUILT = (
    Tool("helm", TOOLS, "helm.sh/helm/v4", "helm.sh/helm/v4/cmd/helm", "helm.sh/helm/v4/internal/version.version"),
    Tool("kubeconform", TOOLS, "github.com/yannh/kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", "main.version"),
)
# Without the clients of Prometheus's service discovery, which are most of its code.
PROMTOOL_BUILT = (
    Tool(
        "promtool", PROMTOOL, "github.com/prometheus/prometheus", "github.com/prometheus/prometheus/cmd/promtool",
        "github.com/prometheus/common/version.Version", "remove_all_sd",
    ),
)
ACTIONLINT = Tool(
    "actionlint", GITOPS, "github.com/rhysd/actionlint", "github.com/rhysd/actionlint/cmd/actionlint",
    "github.com/rhysd/actionlint.version",
)


@dataclass(frozen=True)
class Part:
    """A part to build: its files, its tool chain (the version counts too), its result."""

    name: str
    inputs: list[Path]
    toolchain: list[str]
    outputs: Callable[[Local], list[Path]]
    make: Callable[[Local, Log], None]


def _make_kubernetes(local: Local, log: Log) -> None:
    version = _required(KUBERNETES, "k8s.io/kubernetes")
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamps = {
        "k8s.io/component-base/version.gitVersion": version,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "k8s.io/component-base/version.gitTreeState": "archive",
        "k8s.io/client-go/pkg/version.gitVersion": version,  # the user agent
    }
    _go_build(log, KUBERNETES, ".", local.bin / "controlplane", stamps)
    for name in CONTROL_PLANE_PROGRAMS:
        replace(local.bin / name, lambda new: new.symlink_to("controlplane"))


def _make_tools(local: Local, log: Log) -> None:
    for tool in TOOLS_BUILT:
        _make_tool(local, log, tool)


def _make_promtool(local: Local, log: Log) -> None:
    for tool in PROMTOOL_BUILT:
        _make_tool(local, log, tool)


def _make_tool(local: Local, log: Log, tool: Tool) -> None:
    stamps = {tool.version_variable: _required(tool.folder, tool.module)}
    _go_build(log, tool.folder, tool.package, local.bin / tool.name, stamps, tool.tags)


def _make_gitops(local: Local, log: Log) -> None:
    _go_build(log, GITOPS, ".", local.bin / "gitops-health", {})
    _make_tool(local, log, ACTIONLINT)


def _required(folder: Path, module: str) -> str:
    """The version in go.mod, which the built program reports as its own."""
    for line in (folder / "go.mod").read_text().splitlines():
        words = line.removeprefix("require").split()
        if words[:1] == [module]:
            return words[1]
    raise StackError(f"{folder / 'go.mod'} does not require {module}")


def _go_build(log: Log, folder: Path, package: str, output: Path, stamps: dict[str, str], tags: str = "") -> None:
    # Without debugging information, a first build takes a sixth less time and a fifth
    # less disk. -trimpath lets a checkout elsewhere use the same compiled packages.
    lean = ["-trimpath", "-gcflags=all=-dwarf=false"]
    link = " ".join(["-s -w", *(f"-X {variable}={value}" for variable, value in stamps.items())])

    def compile_to(new: Path) -> None:
        what = f"go build {output.name} (the first time takes minutes)"
        log.run(what, ["go", "build", *lean, "-tags", tags, "-ldflags", link, "-o", new, package], folder)

    replace(output, compile_to)


def _make_aws(local: Local, log: Log) -> None:
    log.run("python venv", [sys.executable, "-m", "venv", "--clear", local.venv], SOURCES)
    pip: list[str | Path] = [local.venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install"]
    log.run("pip install", [*pip, "--requirement", REQUIREMENTS], SOURCES)


def _make_node(local: Local, log: Log) -> None:
    local.node.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(NODE / name, local.node / name)
    log.run("npm ci", ["npm", "ci", "--no-audit", "--no-fund", "--omit=dev"], local.node)


PARTS = {
    part.name: part
    for part in (
        Part(
            "kubernetes", [KUBERNETES / name for name in ("go.mod", "go.sum", "main.go")], ["go", "version"],
            lambda local: [local.bin / name for name in CONTROL_PLANE_PROGRAMS], _make_kubernetes,
        ),
        Part(
            "tools", [TOOLS / "go.mod", TOOLS / "go.sum"], ["go", "version"],
            lambda local: [local.bin / tool.name for tool in TOOLS_BUILT], _make_tools,
        ),
        Part(
            "promtool", [PROMTOOL / "go.mod", PROMTOOL / "go.sum"], ["go", "version"],
            lambda local: [local.bin / tool.name for tool in PROMTOOL_BUILT], _make_promtool,
        ),
        Part(
            "gitops", [GITOPS / name for name in ("go.mod", "go.sum", "main.go")], ["go", "version"],
            lambda local: [local.bin / name for name in ("gitops-health", ACTIONLINT.name)], _make_gitops,
        ),
        Part(
            "aws", [REQUIREMENTS], [sys.executable, "--version"],
            lambda local: [local.venv / "bin" / "python"], _make_aws,
        ),
        Part(
            "node", [NODE / "package.json", NODE / "package-lock.json"], ["node", "--version"],
            lambda local: [local.node / "node_modules"], _make_node,
        ),
    )
}
GO_PARTS = ("kubernetes", "tools", "promtool", "gitops")
