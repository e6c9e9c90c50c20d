"""The commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from . import background
from .build import build
from .parts import PARTS
from .places import Local, StackError
from .run import Options, run

Command = Callable[[Local, argparse.Namespace], int]


def main(arguments: list[str]) -> int:
    parsed = _parser().parse_args(arguments)
    try:
        command: Command = parsed.command
        return command(Local.from_environment(), parsed)
    except StackError as error:
        print(f"stack.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stack.py", description="The local stack: Kubernetes and a simulated AWS.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _command(commands, "build", _build, "build missing and outdated parts into .local")
    command.add_argument("--only", choices=list(PARTS), action="append", help="this part (repeatable; default: all)")

    command = _command(commands, "run", _run, "run a stack until SIGTERM, SIGINT or the end of standard input; "
        "a line there such as `restart kube-apiserver` kills that part and starts it again")
    _add_stack_options(command)
    command.add_argument("--dir", type=Path, help="keep the stack's files there (default: a folder that is removed with the stack)")
    command.add_argument("--ignore-stdin", action="store_true", help="go on after the end of standard input")

    command = _command(commands, "up", _up, "build, run a stack in the background, print its exports")
    _add_stack_options(command)
    _command(commands, "exports", _exports, "print the shell lines that point at the stack that is up")
    _command(commands, "down", _down, "stop the stack that is up")
    _command(commands, "clean", _clean, "stop the stack that is up and remove .local")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, function: Command, text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(command=function)
    return command


def _add_stack_options(command: argparse.ArgumentParser) -> None:
    halves = command.add_mutually_exclusive_group()
    halves.add_argument("--without-kubernetes", action="store_true", help="AWS alone")
    halves.add_argument("--without-aws", action="store_true", help="Kubernetes alone")
    command.add_argument(
        "--existing-cluster", action="store_true", default=os.environ.get("PGAI_USE_EXISTING_CLUSTER") == "1",
        help="use the cluster of KUBECONFIG (also: PGAI_USE_EXISTING_CLUSTER=1)")
    command.add_argument("--audit", action="store_true", help="write logs/audit.log: every request to Kubernetes")


def _build(local: Local, parsed: argparse.Namespace) -> int:
    build(local, parsed.only or list(PARTS))
    return 0


def _run(local: Local, parsed: argparse.Namespace) -> int:
    return run(local, _options(parsed))


def _up(local: Local, parsed: argparse.Namespace) -> int:
    build(local, _options(parsed).parts())
    background.up(local, _run_arguments(parsed))
    return _exports(local, parsed)


def _exports(local: Local, _: argparse.Namespace) -> int:
    print(background.exports(local))
    return 0


def _down(local: Local, _: argparse.Namespace) -> int:
    background.down(local)
    return 0


def _clean(local: Local, _: argparse.Namespace) -> int:
    background.clean(local)
    return 0


def _options(parsed: argparse.Namespace) -> Options:
    return Options(
        directory=getattr(parsed, "dir", None),
        kubernetes=not parsed.without_kubernetes,
        aws=not parsed.without_aws,
        existing_cluster=parsed.existing_cluster,
        audit=parsed.audit,
        ignore_stdin=getattr(parsed, "ignore_stdin", False),
    )


def _run_arguments(parsed: argparse.Namespace) -> list[str]:
    flags = ("without_kubernetes", "without_aws", "existing_cluster", "audit")
    return [f"--{flag.replace('_', '-')}" for flag in flags if getattr(parsed, flag)]
