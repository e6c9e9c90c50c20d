"""Results and errors of the two XML protocols (EC2's own; Query for IAM and STS), written along botocore's shapes.

moto has a serializer of its own; this one takes plain dictionaries only, which makes it several times faster.
"""

from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from .errors import AwsError

_HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n'


def result(model: Any, value: dict[str, Any], request_id: str) -> bytes:
    service, name = model.service_model, model.name
    namespace = service.metadata.get("xmlNamespace", "http://ec2.amazonaws.com/doc/2016-11-15/")
    members = _members(model.output_shape, value) if model.output_shape else ""
    if service.protocol == "ec2":
        inner = f"<requestId>{request_id}</requestId>{members}"
        if model.output_shape is None:
            inner += "<return>true</return>"
    else:
        inner = f"<{name}Result>{members}</{name}Result>" if model.output_shape else ""
        inner += f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    return f'{_HEADER}<{name}Response xmlns="{namespace}">{inner}</{name}Response>'.encode()


def error(service: str, failed: AwsError, request_id: str) -> bytes:
    code, message = escape(failed.code), escape(failed.message)
    if service == "ec2":
        return (
            f"{_HEADER}<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        ).encode()
    side = "Sender" if failed.status < 500 else "Receiver"
    return (
        f"{_HEADER}<ErrorResponse><Error><Type>{side}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def _members(shape: Any, value: dict[str, Any]) -> str:
    out = []
    for name, member in shape.members.items():
        item = value.get(name)
        if item is not None:
            out.append(_element(member, member.serialization.get("name", name), item))
    unknown = value.keys() - shape.members.keys()
    if unknown:
        raise KeyError(f"{shape.name} has no members {sorted(unknown)}")
    return "".join(out)


def _element(shape: Any, tag: str, value: Any) -> str:
    kind = shape.type_name
    if kind == "structure":
        return f"<{tag}>{_members(shape, value)}</{tag}>"
    if kind == "list":
        item_tag = shape.member.serialization.get("name", "member")
        return f"<{tag}>{''.join(_element(shape.member, item_tag, item) for item in value)}</{tag}>"
    return f"<{tag}>{_text(kind, value)}</{tag}>"


def _text(kind: str, value: Any) -> str:
    if kind == "boolean":
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return escape(str(value))
