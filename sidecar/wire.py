"""The protobuf envelope of Nacos gRPC, by hand: three message types, all fields length-delimited. Pure.

`Payload {Metadata metadata = 2; Any body = 3}`, `Metadata {string type = 3; map<string,string> headers = 7;
string clientIp = 8}`, `Any {bytes value = 2}`. The body is JSON. Unknown fields are skipped, as protobuf asks.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_LENGTH_DELIMITED = 2
_FIXED_WIDTHS = {1: 8, 5: 4}


class WireError(ValueError):
    """The bytes are no such message."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One message: `type` is the simple Java class name, `body` its JSON in UTF-8."""

    type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    client_ip: str = ""


def dump(value: Any) -> bytes:
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":")).encode()


def encode(payload: Payload) -> bytes:
    metadata = _text(3, payload.type)
    metadata += b"".join(_field(7, _text(1, k) + _text(2, v)) for k, v in payload.headers.items())
    metadata += _text(8, payload.client_ip)
    value = _head(2, len(payload.body))
    body = _head(3, len(value) + len(payload.body))
    return b"".join((_field(2, metadata), body, value, payload.body))  # a body has megabytes: copied once


def decode(data: bytes) -> Payload:
    """Raises `WireError` on bytes that are cut short or of another shape."""
    kind = client_ip = ""
    headers: dict[str, str] = {}
    body = b""
    try:
        for number, value in _fields(memoryview(data)):
            if number == 2:
                kind, client_ip = _metadata(value, headers, kind, client_ip)
            elif number == 3:
                body = next((bytes(inner) for n, inner in _fields(value) if n == 2), b"")
    except (IndexError, UnicodeDecodeError) as error:
        raise WireError(str(error)) from error
    return Payload(kind, body, headers, client_ip)


def kind_of(data: bytes) -> str:
    """The type alone, without a copy of the body; raises `WireError` as `decode` does."""
    kind = ""
    try:
        for number, value in _fields(memoryview(data)):
            if number == 2:
                kind, _ = _metadata(value, {}, kind, "")
    except (IndexError, UnicodeDecodeError) as error:
        raise WireError(str(error)) from error
    return kind


def with_body(data: bytes, body: bytes) -> bytes:
    """The same message with another body; every other byte stays, of fields unknown here, too."""
    view, kept, at = memoryview(data), [], 0
    while at < len(data):
        field = _next(view, at)
        if field.number != 3:
            kept.append(view[at : field.end])
        at = field.end
    return b"".join((*kept, _head(3, len(_head(2, len(body))) + len(body)), _head(2, len(body)), body))


def _metadata(data: memoryview, headers: dict[str, str], kind: str, client_ip: str) -> tuple[str, str]:
    for number, value in _fields(data):
        if number == 3:
            kind = str(value, "utf-8")
        elif number == 7:
            entry = {n: str(text, "utf-8") for n, text in _fields(value)}
            headers[entry.get(1, "")] = entry.get(2, "")
        elif number == 8:
            client_ip = str(value, "utf-8")
    return kind, client_ip


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Length-delimited fields in order; others are skipped."""
    at = 0
    while at < len(data):
        field = _next(data, at)
        at = field.end
        if field.delimited:
            yield field.number, data[field.start : field.end]


class _Field(NamedTuple):
    """Where one field stands: its value from `start` to `end`."""

    number: int
    delimited: bool
    start: int
    end: int


def _next(data: memoryview, at: int) -> _Field:
    """The field that begins there."""
    tag, at = _varint(data, at)
    number, wire_type = tag >> 3, tag & 7
    if wire_type == 0:
        return _Field(number, delimited=False, start=at, end=_varint(data, at)[1])
    if wire_type in _FIXED_WIDTHS:
        return _Field(number, delimited=False, start=at, end=at + _FIXED_WIDTHS[wire_type])
    if wire_type != _LENGTH_DELIMITED:
        raise WireError(f"wire type {wire_type}")
    length, at = _varint(data, at)
    if at + length > len(data):
        raise WireError(f"field {number} is cut short")
    return _Field(number, delimited=True, start=at, end=at + length)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise WireError("varint of more than 64 bits")


def _field(number: int, value: bytes) -> bytes:
    return _head(number, len(value)) + value


def _head(number: int, length: int) -> bytes:
    return _to_varint(number << 3 | _LENGTH_DELIMITED) + _to_varint(length)


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode()) if value else b""


def _to_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
