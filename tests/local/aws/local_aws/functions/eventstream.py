"""application/vnd.amazon.eventstream: length, headers, payload, each guarded by a CRC."""

import struct
import zlib

_STRING = 7


def message(event_type: str, content_type: str, payload: bytes) -> bytes:
    headers = b"".join(
        _header(name, value)
        for name, value in (
            (":event-type", event_type),
            (":content-type", content_type),
            (":message-type", "event"),
        )
    )
    total = 4 + 4 + 4 + len(headers) + len(payload) + 4
    prelude = struct.pack(">II", total, len(headers))
    guarded = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return guarded + struct.pack(">I", zlib.crc32(guarded))


def _header(name: str, value: str) -> bytes:
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _STRING, len(value)) + value.encode()
