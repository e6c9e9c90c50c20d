"""Invoke and InvokeWithResponseStream: the state decides whether the code runs, the data path what the code can reach."""

import base64
import contextlib
import json
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

from ..children import Children
from ..errors import AwsError
from ..ids import ACCOUNT
from ..wire import Call, Response
from ..world import Region, World
from . import eventstream
from .checks import CANNOT_BE_ASSUMED, assumable
from .datapath import HTTPS, reachable
from .model import Function
from .models import ModelServer, wildcard
from .operations import find
from .runtime import Invocation, Runtime

OPERATIONS = ("Invoke", "InvokeWithResponseStream")
PAYLOAD_LIMIT = 6 * 1024 * 1024


class Invoker:
    def __init__(self, world: World, directory: Path, children: Children):
        self._world = world
        self._models = ModelServer(directory, children)
        self._runtime = Runtime(directory, children)

    def handle(self, call: Call) -> Response:
        """Called without the world's lock, which is held only for reads; the code runs without the lock."""
        with self._world.lock:
            region = self._world.region(call.region)
            function = find(region, call.params["FunctionName"])
            self._check_state(function)
            event = _event(call)
            kind = call.request.headers.get("x-amz-invocation-type", "RequestResponse")
            if kind == "DryRun":
                return Response(204, _headers(call))
            if function.zip_bytes is None or not function.config["Runtime"].startswith("nodejs"):
                raise AwsError("InvalidRuntimeException", "the local AWS runs Node.js functions only", 502)
            document = _document(call, region, function, event)
            code, timeout = function.zip_bytes, float(function.config["Timeout"])
            paths = reachable(region, function)
        document["network"] = self._network(call.region, paths)
        document["taskDir"] = str(self._runtime.unpacked(code))
        invocation = self._runtime.run(document, timeout)
        if call.operation == "InvokeWithResponseStream":
            return _streamed(call, invocation)
        if kind == "Event":
            threading.Thread(target=lambda: list(invocation.chunks), daemon=True).start()
            return Response(202, _headers(call))
        return _buffered(call, invocation)

    def _check_state(self, function: Function) -> None:
        if function.state == "Inactive":
            # "The function is idle": this call fails, and wakes the function.
            function.state = "Pending"
            function.state_reason = ("Restoring", "The function is being restored.")
            self._world.clock.after("functionActive", function.become_active)
            raise AwsError(
                "ResourceNotReadyException",
                "The function is inactive and its VPC connection is no longer available. Wait for the VPC connection "
                "to reestablish and try again.",
                502,
            )
        if function.state != "Active":
            raise AwsError(
                "ResourceConflictException",
                "The operation cannot be performed at this time. The function is currently in the following state: "
                f"{function.state}",
                409,
            )
        if assumable(self._world, function.config["Role"]) is None:
            raise AwsError("AccessDeniedException", CANNOT_BE_ASSUMED, 403)
        if function.concurrency == 0:
            raise AwsError("TooManyRequestsException", "Rate Exceeded.", 429)

    def _network(self, region: str, paths: dict[str, Any]) -> dict[str, Any]:
        """Names and routes for the runtime; every open address leads to the stand-in model."""
        routes = {}
        if paths["open"]:
            names = {wildcard(name) for name in paths["hosts"]} | {f"bedrock-runtime.{region}.amazonaws.com"}
            server = f"127.0.0.1:{self._models.port(names)}"
            routes = {f"{address}:{HTTPS}": server for address in paths["open"]}
        return {"hosts": paths["hosts"], "routes": routes, "caFile": str(self._models.ca_file)}


def _event(call: Call) -> Any:
    body = call.request.body
    if len(body) > PAYLOAD_LIMIT:
        raise AwsError("RequestTooLargeException", "Request must be smaller than 6291456 bytes", 413)
    if not body:
        return {}
    try:
        return json.loads(body)
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise AwsError("InvalidRequestContentException", message) from error


def _document(call: Call, region: Region, function: Function, event: Any) -> dict[str, Any]:
    return {
        "handler": function.config["Handler"],
        "event": event,
        "runtime": function.config["Runtime"],
        "env": function.config.get("Environment", {}).get("Variables", {}),
        "context": {
            "functionName": function.name,
            "functionArn": f"arn:aws:lambda:{region.name}:{ACCOUNT}:function:{function.name}",
            "requestId": call.request_id,
            "timeoutMs": function.config["Timeout"] * 1000,
            "memoryMiB": function.config["MemorySize"],
            "logGroup": function.log_group,
        },
    }


def _headers(call: Call) -> dict[str, str]:
    return {"x-amzn-requestid": call.request_id, "x-amz-executed-version": "$LATEST"}


def _log_wanted(call: Call) -> bool:
    return call.request.headers.get("x-amz-log-type", "None") == "Tail"


def _log_result(call: Call, invocation: Invocation) -> str:
    start = f"START RequestId: {call.request_id} Version: $LATEST\n".encode()
    end = f"END RequestId: {call.request_id}\n".encode()
    return base64.b64encode((start + invocation.outcome.log + end)[-4096:]).decode()


def _buffered(call: Call, invocation: Invocation) -> Response:
    payload = b"".join(invocation.chunks)
    headers = {**_headers(call), "content-type": "application/json"}
    if invocation.outcome.error is not None:
        headers["x-amz-function-error"] = "Unhandled"
        payload = json.dumps(invocation.outcome.error).encode()
    elif len(payload) > PAYLOAD_LIMIT:
        headers["x-amz-function-error"] = "Unhandled"
        error = {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded 6291556 bytes.",
        }
        payload = json.dumps(error).encode()
    if _log_wanted(call):
        headers["x-amz-log-result"] = _log_result(call, invocation)
    return Response(200, headers, payload or b"null")


def _streamed(call: Call, invocation: Invocation) -> Response:
    def events() -> Generator[bytes, None, None]:
        with contextlib.closing(invocation.chunks) as chunks:
            for chunk in chunks:
                yield eventstream.message("PayloadChunk", "application/octet-stream", chunk)
        complete: dict[str, Any] = {}
        if invocation.outcome.error is not None:
            complete = {"ErrorCode": "Unhandled", "ErrorDetails": json.dumps(invocation.outcome.error)}
        if _log_wanted(call):
            complete["LogResult"] = _log_result(call, invocation)
        yield eventstream.message("InvokeComplete", "application/json", json.dumps(complete).encode())

    headers = {
        **_headers(call),
        "content-type": "application/vnd.amazon.eventstream",
        "x-amzn-lambda-response-stream-content-type": "application/octet-stream",
    }
    return Response(200, headers, events())
