#!/usr/bin/env python3
"""The demo: from `kubectl apply` of examples/app.yaml to text from a model over a private path, and back to nothing.

`make demo` builds what this needs and runs it with .local/venv, where AWS's own SDK is. Nothing outlives it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3

REPOSITORY = Path(__file__).resolve().parents[2]
STACK = REPOSITORY / "tests/local/stack.py"
LOCAL = Path(os.environ.get("PGAI_LOCAL_DIR") or REPOSITORY / ".local").resolve()
OPERATOR = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target") / "debug/private-genai-operator"
LOG = LOCAL / "demo/operator.log"
EXAMPLE = REPOSITORY / "examples/app.yaml"
NAMESPACE, APP, EXAMPLE_VPC = "team-a", "pgai/support-bot", "vpc-0abc1234"
INSTALLATION = "demo"
READY_SECONDS, GONE_SECONDS, START_SECONDS, CRD_SECONDS = 90, 90, 30, 3
PROMPT = "Why should a prompt not cross the internet?"

_began = time.monotonic()
_took: dict[str, float] = {}


class Failed(Exception):
    """A failure, in words for the person at the terminal."""


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all processes are stopped
    sys.stdout.reconfigure(line_buffering=True)  # in order with the output of the started programs
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.unlink(missing_ok=True)
    try:
        with ExitStack() as stopped_at_the_end:
            demonstrate(stopped_at_the_end)
        say("stopped everything")
    except (Failed, subprocess.SubprocessError, OSError) as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        if LOG.exists():
            print(f"\nThe end of {LOG}:\n{tail(LOG, 40)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    summarise()
    return 0


def demonstrate(stopped_at_the_end: ExitStack) -> None:
    with step("the local stack starts (Kubernetes and a simulated AWS, on this machine)"):
        stack = stopped_at_the_end.enter_context(running_stack())
    kubectl, aws = Kubectl(stack), Aws(stack)
    vpc = aws.admin("POST", "vpc", {"route": "isolated", "azs": ["a", "b"]})
    say(f"the VPC {vpc['vpcId']} exists, with two private subnets and no way out: {', '.join(vpc['subnetIds'])}")

    with step("the operator starts"):
        kubectl.show("apply", "--server-side", "-f", REPOSITORY / "crds")
        kubectl.wait("--for=condition=Established", *(f"crd/{file.stem}" for file in (REPOSITORY / "crds").iterdir()))
        established = time.monotonic()
        kubectl.show("create", "namespace", NAMESPACE)
        operator = stopped_at_the_end.enter_context(running_operator(stack))
        kubectl.operator = operator
        # The API server holds objects of a kind back in the first two seconds of that kind.
        time.sleep(max(0.0, established + CRD_SECONDS - time.monotonic()))

    manifest = EXAMPLE.read_text().replace(EXAMPLE_VPC, vpc["vpcId"])
    heading(f"{EXAMPLE.relative_to(REPOSITORY)}, with the id of that VPC")
    print(manifest.rstrip())
    with step("apply → Ready"):
        kubectl.show("apply", "-f", "-", text=manifest)
        kubectl.wait("-n", NAMESPACE, "--for=condition=Ready", APP, f"--timeout={READY_SECONDS}s")

    kubectl.show("-n", NAMESPACE, "get", "pgai", "-o", "wide")
    status = kubectl.get("-n", NAMESPACE, APP)["status"]
    heading("the endpoint in the app's status")
    print(json.dumps(status["endpoints"], indent=2))
    heading("the conditions")
    for condition in status["conditions"]:
        print(f"{condition['type']:20} {condition['status']:6} {condition['reason']:10} {condition['message']}")
    heading("the events")
    for event in kubectl.get("-n", NAMESPACE, "events")["items"]:
        print(f"{event['type']:8} {event['reason']:14} {event.get('note') or event.get('message', '')}")

    function = status["function"]["name"]
    with step("the function answers"):
        invoke(aws, function)
    with step("the function streams"):
        stream(aws, function)
    with step("the probe follows the private path"):
        probe(aws, function, status["endpoints"][0])

    with step("somebody deletes the endpoint and opens a group → all as it was"):
        repair(kubectl, aws, status)

    heading("the operator's resources in AWS")
    print_inventory(aws.inventory())
    with step("delete → AWS empty again"):
        network = status["network"]["name"]
        kubectl.show("-n", NAMESPACE, "delete", APP, "--wait=false")
        kubectl.wait("-n", NAMESPACE, "--for=delete", APP, f"--timeout={GONE_SECONDS}s")
        kubectl.wait("--for=delete", f"pgain/{network}", f"--timeout={GONE_SECONDS}s")
        left = aws.inventory()
        print_inventory(left)
        if any(left.values()):
            raise Failed("resources are left in AWS")


def invoke(aws: Aws, function: str) -> None:
    answer = aws.functions.invoke(FunctionName=function, Payload=json.dumps({"prompt": PROMPT}))
    document = json.load(answer["Payload"])
    print(f'{{"prompt": "{PROMPT}"}}\n→ {json.dumps(document)}')
    if not document.get("text") or "error" in document or "FunctionError" in answer:
        raise Failed(f"the function gave no text: {document}")


def stream(aws: Aws, function: str) -> None:
    # On request, the stand-in model takes a tenth of a second for each piece.
    payload = json.dumps({"prompt": f"[[slow]] {PROMPT}"})
    began, pieces = time.monotonic(), []
    for event in aws.functions.invoke_with_response_stream(FunctionName=function, Payload=payload)["EventStream"]:
        if piece := event.get("PayloadChunk", {}).get("Payload"):
            pieces.append(piece)
            print(f"  after {time.monotonic() - began:4.1f} s  {piece.decode()}")
        if error := event.get("InvokeComplete", {}).get("ErrorCode"):
            raise Failed(f"the function failed while it streamed: {error}")
    document = json.loads(b"".join(pieces))
    if not document.get("text") or "error" in document or len(pieces) < 3:
        raise Failed(f"the function did not stream: {pieces}")


def probe(aws: Aws, function: str, endpoint: dict[str, Any]) -> None:
    document = json.load(aws.functions.invoke(FunctionName=function, Payload='{"probe": true}')["Payload"])
    print(json.dumps(document, indent=2))
    seen, known = set(document["probe"].get("addresses", [])), set(endpoint["privateIpAddresses"])
    if not seen or not seen <= known:
        raise Failed(f"the function saw {seen or 'no addresses'}, and the endpoint has {known}")
    print(f"The function saw {', '.join(sorted(seen))}: private addresses of {endpoint['vpcEndpointId']}, and no others.")


def repair(kubectl: Kubectl, aws: Aws, status: dict[str, Any]) -> None:
    """Two changes by hand, without the operator. The operator finds both by comparing AWS with the desired state."""
    network, endpoint = f"pgain/{status['network']['name']}", status["endpoints"][0]["vpcEndpointId"]
    group = kubectl.get(network)["status"]["securityGroups"]["functions"]
    everywhere = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    heading(f"somebody deletes {endpoint}, and lets {group} send everything everywhere")
    aws.network.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    aws.network.authorize_security_group_egress(GroupId=group, IpPermissions=[everywhere])
    print_rules(aws, group)
    print("Within five minutes the operator reads AWS by itself. A touched object makes it read AWS now:")
    kubectl.show("annotate", network, "look=now")
    kubectl.until("another endpoint, and the app ready with it", lambda: repaired(kubectl, aws, endpoint, group))
    print_rules(aws, group)
    for event in kubectl.get("-A", "events", "--field-selector", "reason=DriftRepaired")["items"]:
        print(f"{event['type']:8} {event['reason']:14} {event.get('note') or event.get('message', '')}")
    probe(aws, status["function"]["name"], kubectl.get("-n", NAMESPACE, APP)["status"]["endpoints"][0])


def repaired(kubectl: Kubectl, aws: Aws, endpoint: str, group: str) -> bool:
    status = kubectl.get("-n", NAMESPACE, APP)["status"]
    ready = next(condition for condition in status["conditions"] if condition["type"] == "Ready")
    another = [each["vpcEndpointId"] for each in status["endpoints"] if each["state"] == "available"]
    return ready["status"] == "True" and another not in ([], [endpoint]) and len(rules(aws, group)) == 1


def rules(aws: Aws, group: str) -> list[dict[str, Any]]:
    return list(aws.network.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"])


def print_rules(aws: Aws, group: str) -> None:
    for rule in rules(aws, group):
        peers = [peer["CidrIp"] for peer in rule["IpRanges"]] + [peer["GroupId"] for peer in rule["UserIdGroupPairs"]]
        ports = f"port {rule['FromPort']}" if "FromPort" in rule else "all ports"
        print(f"  {group} may send to {', '.join(peers)}, {ports}")


def print_inventory(inventory: dict[str, list[dict[str, Any]]]) -> None:
    for kind, things in inventory.items():
        print(f"  {kind:15} {len(things)}  {', '.join(thing['id'] for thing in things)}".rstrip())


class Aws:
    """The simulated AWS, through the AWS SDK and through the simulation's own API."""

    def __init__(self, stack: dict[str, str]) -> None:
        self._admin_url = stack["adminUrl"]
        local = {
            "region_name": stack["region"], "endpoint_url": stack["awsEndpointUrl"],
            "aws_access_key_id": "local", "aws_secret_access_key": "local",
        }
        self.functions, self.network = boto3.client("lambda", **local), boto3.client("ec2", **local)

    def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._admin_url}/{path}", method=method, data=data)
        # No proxy of the environment: a proxy cannot reach this machine's loopback address.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)

    def inventory(self) -> dict[str, list[dict[str, Any]]]:
        return dict(self.admin("GET", "inventory"))


class Kubectl:
    def __init__(self, stack: dict[str, str]) -> None:
        self._program = stack["kubectl"]
        self._environment = {
            **os.environ, "KUBECONFIG": stack["kubeconfig"], "KUBECACHEDIR": f"{stack['dir']}/kubectl-cache",
        }
        self.operator: subprocess.Popen[bytes] | None = None

    def show(self, *arguments: str | Path, text: str | None = None) -> None:
        """Runs a command and shows it with its output, as a person would type and see it."""
        shown = [str(part.relative_to(REPOSITORY)) if isinstance(part, Path) else part for part in arguments]
        heading(f"kubectl {' '.join(shown)}")
        answer = subprocess.run(
            [self._program, *map(str, arguments)], env=self._environment, input=text, text=True, check=False)
        if answer.returncode != 0:
            raise Failed(f"kubectl {' '.join(shown)} failed")

    def wait(self, *arguments: str) -> None:
        """kubectl wait, ended when the operator dies. A resource that is gone already counts as waited for."""
        heading(f"kubectl wait {' '.join(arguments)}")
        command = [self._program, "wait", *arguments]
        with subprocess.Popen(command, env=self._environment, stderr=subprocess.PIPE, text=True) as waiting:
            while waiting.poll() is None:
                if self.operator and self.operator.poll() is not None:
                    waiting.kill()
                    raise Failed(f"the operator ended with status {self.operator.returncode}")
                time.sleep(0.02)
            errors = waiting.stderr.read() if waiting.stderr else ""
        if waiting.returncode != 0 and not ("--for=delete" in arguments and "NotFound" in errors):
            subprocess.run([self._program, "describe", "pgai,pgain", "-A"], env=self._environment, check=False)
            raise Failed(errors.strip())

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not holds():
            if self.operator and self.operator.poll() is not None:
                raise Failed(f"the operator ended with status {self.operator.returncode}")
            if time.monotonic() > deadline:
                raise Failed(f"not so after {READY_SECONDS} s: {what}")
            time.sleep(0.1)

    def get(self, *arguments: str) -> Any:
        answer = subprocess.run(
            [self._program, "get", *arguments, "-o", "json"],
            env=self._environment, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise Failed(answer.stderr.strip())
        return json.loads(answer.stdout)


@contextmanager
def running_stack() -> Iterator[dict[str, str]]:
    with subprocess.Popen([sys.executable, STACK, "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            line = process.stdout.readline() if process.stdout else b""  # empty when the stack exits, which explains why
            if not line:
                raise Failed("the local stack did not start")
            yield json.loads(line)
        finally:
            process.terminate()


@contextmanager
def running_operator(stack: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        OPERATOR, "run", "--installation-id", INSTALLATION, "--region", stack["region"],
        "--implicit-network-vpc-ids", "vpc-*", "--listen", "127.0.0.1:0", "--log-format", "text",
    ]
    environment = {
        **os.environ, "KUBECONFIG": stack["kubeconfig"], "AWS_ENDPOINT_URL": stack["awsEndpointUrl"],
        "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "NO_COLOR": "1",
    }
    heading(" ".join(["private-genai-operator", *command[1:]]))
    with open(LOG, "wb") as log, subprocess.Popen(command, env=environment, stderr=log) as process:
        try:
            wait_ready(process)
            yield process
            process.terminate()
            if process.wait(timeout=10) != 0:
                raise Failed(f"after the stop signal, the operator ended with status {process.returncode}")
        finally:
            process.kill()


def wait_ready(operator: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if operator.poll() is not None:
            raise Failed(f"the operator ended with status {operator.returncode}")
        if address := re.search(r"address=([0-9.:]+)", LOG.read_text()):
            try:
                with urllib.request.urlopen(f"http://{address[1]}/readyz", timeout=2):
                    return
            except OSError:
                pass  # not listening, or not ready yet
        time.sleep(0.05)
    raise Failed(f"the operator is not ready after {START_SECONDS} s")


@contextmanager
def step(name: str) -> Iterator[None]:
    say(f"{name} …")
    began = time.monotonic()
    yield
    _took[name] = time.monotonic() - began
    say(f"{name}: {_took[name]:.1f} s")


def say(text: str) -> None:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}[{time.monotonic() - _began:5.1f}s] {text}{plain}", flush=True)


def heading(text: str) -> None:
    print(f"\n$ {text}" if text.startswith(("kubectl", "private-genai")) else f"\n{text}:", flush=True)


def summarise() -> None:
    width = max(map(len, _took))
    print("\n" + "\n".join(f"{name:{width}}  {seconds:5.1f} s" for name, seconds in _took.items()))
    print(f"{'all of the demo':{width}}  {time.monotonic() - _began:5.1f} s\n")
    print("The demo worked: text came back over the private path, and AWS is empty again.")
    print("(The simulated AWS makes an endpoint and attaches a function at once. AWS takes minutes for the first app of a VPC.)")


def tail(path: Path, lines: int) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


if __name__ == "__main__":
    sys.exit(main())
