"""Requests in, responses out, in the protocol of each service, by botocore's service models."""

import json
import re
import urllib.parse
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.utils import get_service_model

from . import xml
from .errors import AwsError


@dataclass
class Request:
    method: str
    target: str  # path and query as sent
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass
class Response:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Generator[bytes, None, None] = b""
    error_code: str | None = None  # for the journal


@dataclass
class Call:
    """One API call: its operation, service and region."""

    service: str
    operation: str
    region: str
    params: dict[str, Any]
    request: Request
    request_id: str


_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_LAMBDA = "lambda"
_QUERY_SERVICES = ("ec2", "iam", "sts")

# Lambda's operations, by method and path. `{}` stands for a function's name or ARN.
_LAMBDA_ROUTES = [
    (method, re.compile("/" + path.replace("{}", "(?P<FunctionName>[^/]+)") + "/?"), operation)
    for method, path, operation in [
        ("GET", "2015-03-31/functions", "ListFunctions"),
        ("POST", "2015-03-31/functions", "CreateFunction"),
        ("GET", "2015-03-31/functions/{}", "GetFunction"),
        ("DELETE", "2015-03-31/functions/{}", "DeleteFunction"),
        ("GET", "2015-03-31/functions/{}/configuration", "GetFunctionConfiguration"),
        ("PUT", "2015-03-31/functions/{}/configuration", "UpdateFunctionConfiguration"),
        ("PUT", "2015-03-31/functions/{}/code", "UpdateFunctionCode"),
        ("POST", "2015-03-31/functions/{}/invocations", "Invoke"),
        ("POST", "2021-11-15/functions/{}/response-streaming-invocations", "InvokeWithResponseStream"),
        ("POST", "2015-03-31/functions/{}/versions", "PublishVersion"),
        ("GET", "2015-03-31/functions/{}/versions", "ListVersionsByFunction"),
        ("PUT", "2017-10-31/functions/{}/concurrency", "PutFunctionConcurrency"),
        ("DELETE", "2017-10-31/functions/{}/concurrency", "DeleteFunctionConcurrency"),
        ("GET", "2019-09-30/functions/{}/concurrency", "GetFunctionConcurrency"),
        ("GET", "2017-03-31/tags/(?P<Resource>.+)", "ListTags"),
        ("POST", "2017-03-31/tags/(?P<Resource>.+)", "TagResource"),
        ("DELETE", "2017-03-31/tags/(?P<Resource>.+)", "UntagResource"),
    ]
]


def identify(request: Request) -> Call:
    """Reads a call. The signature's scope names service and region; any credentials are valid."""
    scope = _CREDENTIAL_SCOPE.search(request.headers.get("authorization", ""))
    region, service = scope.groups() if scope else ("us-east-1", _service_of_unsigned(request))
    if service in _QUERY_SERVICES:
        operation = _form(request).get("Action", "")
    elif service == "logs":
        operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
    elif service == _LAMBDA:
        operation = _lambda_route(request)[0]
    else:
        operation = f"{request.method} {request.path}"
    return Call(service, operation, region, {}, request, str(uuid.uuid4()))


def read_parameters(call: Call) -> None:
    try:
        if call.service in _QUERY_SERVICES:
            call.params = _query_parameters(call)
        elif call.service == "logs":
            call.params = _json_body(call.request)
        elif call.service == _LAMBDA:
            call.params = _lambda_parameters(call)
    except ValueError as error:
        raise AwsError("SerializationException", f"the request cannot be read: {error}") from error


def _form(request: Request) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(request.body.decode() or request.query, keep_blank_values=True))


def _service_of_unsigned(request: Request) -> str:
    if "x-amz-target" in request.headers:
        return "logs"
    if any(pattern.fullmatch(request.path) for _, pattern, _ in _LAMBDA_ROUTES):
        return _LAMBDA
    body = request.body.decode(errors="replace")
    for version, service in (("2016-11-15", "ec2"), ("2010-05-08", "iam"), ("2011-06-15", "sts")):
        if f"Version={version}" in body:
            return service
    return "s3"


@cache
def operation_model(service: str, operation: str) -> Any:
    return get_service_model(service).operation_model(operation)


@cache
def _parser(service: str, operation: str) -> Any:
    return PROTOCOL_PARSERS[get_service_model(service).protocol](operation_model(service, operation))


def _query_parameters(call: Call) -> dict[str, Any]:
    if call.operation not in get_service_model(call.service).operation_names:
        raise AwsError("InvalidAction", f"The action {call.operation} is not valid for this web service.")
    return _parser(call.service, call.operation).parse({"values": _form(call.request)})


def _json_body(request: Request) -> dict[str, Any]:
    return json.loads(request.body) if request.body else {}


def _lambda_route(request: Request) -> tuple[str, dict[str, str]]:
    """The operation, and the parameters of its path."""
    for method, pattern, operation in _LAMBDA_ROUTES:
        match = pattern.fullmatch(request.path)
        if match and method == request.method:
            return operation, {name: urllib.parse.unquote(value) for name, value in match.groupdict().items()}
    return f"{request.method} {request.path}", {}


def _lambda_parameters(call: Call) -> dict[str, Any]:
    request = call.request
    query = urllib.parse.parse_qsl(request.query)
    in_query: dict[str, Any] = dict(query)
    if call.operation == "UntagResource":
        in_query = {"TagKeys": [value for name, value in query if name == "tagKeys"]}
    in_body = {"Payload": request.body} if call.operation.startswith("Invoke") else _json_body(request)
    return {**in_body, **in_query, **_lambda_route(request)[1]}


def success(call: Call, result: dict[str, Any], status: int = 200) -> Response:
    if call.service in _QUERY_SERVICES:
        body = xml.result(operation_model(call.service, call.operation), result, call.request_id)
        return Response(status, {"content-type": "text/xml;charset=UTF-8", **_request_id(call)}, body)
    kind = "application/json" if call.service == _LAMBDA else "application/x-amz-json-1.1"
    body = b"" if status == 204 else json.dumps(result).encode()
    return Response(status, {"content-type": kind, **_request_id(call)}, body)


def failure(call: Call, error: AwsError) -> Response:
    if call.service in _QUERY_SERVICES:
        body = xml.error(call.service, error, call.request_id)
        headers = {"content-type": "text/xml;charset=UTF-8"}
    elif call.service == _LAMBDA:
        kind = "User" if error.status < 500 else "Service"
        body = json.dumps({"Type": kind, "Message": error.message, "message": error.message}).encode()
        headers = {"content-type": "application/json", "x-amzn-errortype": error.code}
    else:
        body = json.dumps({"__type": error.code, "message": error.message}).encode()
        headers = {"content-type": "application/x-amz-json-1.1", "x-amzn-errortype": error.code}
    return Response(error.status, {**headers, **_request_id(call)}, body, error.code)


def _request_id(call: Call) -> dict[str, str]:
    return {"x-amzn-requestid": call.request_id}
