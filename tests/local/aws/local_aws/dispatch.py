"""One call from start to end: its operation, its fault, its handler, its entry in the journal."""

import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.utils import get_service_model

from . import logs, roles
from .admin import Admin
from .authorization import Authorization
from .children import Children
from .ec2 import HANDLERS as EC2
from .errors import AwsError
from .faults import Fault, Faults
from .functions import operations
from .functions.invoke import OPERATIONS as INVOCATIONS
from .functions.invoke import Invoker
from .journal import Journal
from .moto_app import Moto
from .wire import Call, Request, Response, failure, identify, read_parameters, success
from .world import World

Handler = Callable[[World, Call], dict[str, Any] | Response]

_HANDLERS: dict[str, dict[str, Handler]] = {
    "ec2": EC2,
    "iam": roles.HANDLERS,
    "sts": {"GetCallerIdentity": roles.get_caller_identity},
    "logs": logs.HANDLERS,
    "lambda": operations.HANDLERS,
}
# moto has no part in these: an operation without a handler does not exist.
_OURS_ALONE = ("lambda", "logs")

_ERROR_CODE = re.compile(rb"<Code>([^<]+)</Code>|\"__type\": ?\"(?:[^\"#]*#)?([^\"]+)\"")
# moto's name is "request-id".
_REQUEST_ID = re.compile(rb"(<requestId>|<RequestId>|<RequestID>)(request-id)(<)", re.IGNORECASE)


class ConnectionLost(Exception):
    """The answer is not sent: the connection is reset instead."""


class Dispatcher:
    def __init__(self, directory: Path, children: Children) -> None:
        self.world = World()
        self.journal = Journal()
        self.faults = Faults()
        self._authorization = Authorization()
        self._admin = Admin(self.world, self.journal, self.faults, self._authorization)
        self._moto = Moto()
        self._invoker = Invoker(self.world, directory, children)
        self._warm_up()

    def _warm_up(self) -> None:
        """The first call should not wait for service models and backends."""
        self.world.region("us-east-1")
        for service in ("ec2", "iam", "sts"):
            get_service_model(service)
        _ = self.world.iam

    def handle(self, request: Request) -> Response:
        if request.path.startswith("/_local/"):
            return self._admin.handle(request)
        if request.path.startswith("/moto-api"):
            return self._moto.answer(request)
        call = identify(request)
        fault = self.faults.take(call.service, call.operation)
        if fault and fault.when == "before":
            return self._failed_by(fault, call)
        response = self._answer(call)
        if fault:
            if not isinstance(response.body, bytes):
                list(response.body)  # a stream's work is done while it is read
            return self._failed_by(fault, call)
        self._record(call, response.status, response.error_code)
        return response

    def _answer(self, call: Call) -> Response:
        try:
            read_parameters(call)
            with self.world.lock:
                self._authorization.check(self.world, call)
            if call.service == "lambda" and call.operation in INVOCATIONS:
                self._run_due()
                return self._invoker.handle(call)
            with self.world.lock:
                self._run_due()
                return self._handled(call)
        except AwsError as error:
            return failure(call, error)
        except ServiceException as error:  # a refusal by moto's backend
            return failure(call, AwsError(error.code, error.message))
        except Exception:  # a mistake of the local AWS: shown, and answered like AWS's own failures
            traceback.print_exc(file=sys.stderr)
            return failure(call, AwsError("InternalFailure", traceback.format_exc(limit=-1), 500))

    def _run_due(self) -> None:
        with self.world.lock:
            self.world.clock.run_due()

    def _handled(self, call: Call) -> Response:
        handler = _HANDLERS.get(call.service, {}).get(call.operation)
        if handler is None:
            if call.service in _OURS_ALONE:
                raise AwsError(
                    "UnknownOperationException", f"the local AWS has no {call.service} {call.operation}", 404
                )
            return self._by_moto(call)
        result = handler(self.world, call)
        return result if isinstance(result, Response) else success(call, result)

    def _by_moto(self, call: Call) -> Response:
        response = self._moto.answer(call.request)
        if response.status >= 400 and isinstance(response.body, bytes):
            found = _ERROR_CODE.search(response.body)
            response.error_code = (found[1] or found[2]).decode() if found else "Unknown"
        response.headers.setdefault("x-amzn-requestid", call.request_id)
        if isinstance(response.body, bytes):
            response.body = _REQUEST_ID.sub(rb"\g<1>" + call.request_id.encode() + rb"\g<3>", response.body)
        return response

    def _failed_by(self, fault: Fault, call: Call) -> Response:
        if not call.params:
            read_parameters(call)  # for the journal
        if fault.resets:
            self._record(call, 0, fault.errorCode)
            raise ConnectionLost
        self._record(call, fault.status, fault.errorCode)
        return failure(call, AwsError(fault.errorCode, fault.message, fault.status))

    def _record(self, call: Call, status: int, error_code: str | None) -> None:
        self.journal.record(call.service, call.operation, call.region, call.params, status, error_code)
