"""The places of files. All generated files are below one folder, `.local`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent  # tests/local
REPOSITORY = SOURCES.parent.parent

CONTROL_PLANE_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


class StackError(Exception):
    """A failure with its remedy, in words for the person at the terminal."""


@dataclass(frozen=True)
class Local:
    """The folder of generated files."""

    root: Path

    @staticmethod
    def from_environment() -> Local:
        return Local(Path(os.environ.get("PGAI_LOCAL_DIR") or REPOSITORY / ".local").resolve())

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def venv(self) -> Path:
        return self.root / "venv"

    @property
    def node(self) -> Path:
        return self.root / "node"

    @property
    def stamps(self) -> Path:
        return self.root / "stamps"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def runs(self) -> Path:
        return self.root / "run"

    @property
    def up(self) -> Path:
        return self.root / "up"


def given_assets() -> Path | None:
    """The folder of ready-made programs that controller-runtime's envtest uses as well."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    return Path(folder).resolve() if folder else None


def missing_from_assets() -> list[str]:
    """The control-plane programs to build: envtest's own set has no controller manager."""
    assets = given_assets()
    if assets is None:
        return list(CONTROL_PLANE_PROGRAMS)
    missing = [name for name in CONTROL_PLANE_PROGRAMS if not (assets / name).exists()]
    if unusable := [name for name in missing if name != "kube-controller-manager"]:
        raise StackError(f"KUBEBUILDER_ASSETS={assets} lacks {', '.join(unusable)}: complete it, or unset it")
    return missing


def program(local: Local, name: str) -> Path:
    """The control-plane program of that name, given or built."""
    assets = given_assets()
    folder = local.bin if assets is None or name in missing_from_assets() else assets
    return folder / name
