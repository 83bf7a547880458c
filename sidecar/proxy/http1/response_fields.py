"""What the field lines of an answer tell a proxy, and which of them go on. Rules: RFC 9110 §7, RFC 9112 §6."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Final

from sidecar.proxy.http1.message import (
    OUR_PREFIX,
    PROTOCOL,
    REMEMBERED,
    REMEMBERED_BYTES,
    TOKEN,
    BadMessage,
    is_length,
    members,
    noting,
    strict_block,
    without,
    without_connection_options,
)

_CODING: Final = re.compile(TOKEN + rb"++").fullmatch


class ResponseFields:
    """One understood block; shared by all answers that carry the same bytes, so never changed once it is out."""

    __slots__ = (
        "block",
        "chunked",
        "codings",
        "connection",
        "count",
        "keep_alive_timeout",
        "length",
        "lengths",
        "mixed",
        "trailers_declared",
        "upgrade",
    )

    block: bytes
    """The fields that go on: end-to-end ones, with Content-Length when that is the framing."""
    chunked: bool
    """The payload ends with the last chunk; it wins over any length."""
    codings: list[bytes]
    """Transfer codings besides chunked that the payload carries; `identity` means none and is left out."""
    connection: list[bytes]
    """Options of `Connection`, lower case."""
    count: int
    """Fields received."""
    keep_alive_timeout: int | None
    length: int | None
    """What every Content-Length says."""
    mixed: bool
    """Both framings came: the codings win, and the connection is not trusted again (RFC 9112 §6.3)."""
    trailers_declared: bool
    upgrade: bytes | None

    def __init__(self, block: bytes) -> None:
        self.count = block.count(b"\n") - 1
        self.chunked = False
        self.codings = []
        self.connection = []
        self.keep_alive_timeout = None
        self.lengths: list[bytes] = []
        self.trailers_declared = False
        self.upgrade = None
        for line, name, value in _NOTED(block):
            if _RULES.get(name.lower(), _cut)(self, value.rstrip(b" \t")):
                block = block.replace(line, b"", 1)
        self.length = self._agreed_length()
        self.mixed = bool(self.codings and self.lengths)
        self.block = self._frame(without_connection_options(block, self.connection))

    def _agreed_length(self) -> int | None:
        lengths = self.lengths
        if not lengths:
            return None
        if not all(map(is_length, lengths)):
            raise BadMessage(PROTOCOL, "invalid Content-Length")
        if len(set(lengths)) > 1:
            raise BadMessage(PROTOCOL, "differing Content-Length")
        return int(lengths[0])

    def _frame(self, block: bytes) -> bytes:
        """Leave one framing in the block at most."""
        if self.codings:
            self.chunked = self.codings[-1] == b"chunked"
            self.codings = [coding for coding in self.codings if coding != b"chunked"]
            return without(block, b"content-length")
        if len(self.lengths) > 1:
            return without(block, b"content-length") + b"Content-Length: %b\r\n" % self.lengths[0]
        return block


def _content_length(seen: ResponseFields, value: bytes) -> bool:
    seen.lengths += [part.strip(b" \t") for part in value.split(b",")]
    return False


def _transfer_encoding(seen: ResponseFields, value: bytes) -> bool:
    for coding in members(value):
        if not _CODING(coding) or (b"chunked" in seen.codings and coding != b"chunked"):
            raise BadMessage(PROTOCOL, "invalid transfer coding, or chunked is not the last")
        if coding != b"identity":
            seen.codings.append(coding)
    return True


def _connection(seen: ResponseFields, value: bytes) -> bool:
    seen.connection += members(value)
    return True


def _keep_alive(seen: ResponseFields, value: bytes) -> bool:
    for parameter in members(value):
        name, _, number = parameter.partition(b"=")
        number = number.strip(b' \t"')
        if name.strip(b" \t") == b"timeout" and is_length(number):
            seen.keep_alive_timeout = int(number)
    return True


def _trailer(seen: ResponseFields, _value: bytes) -> bool:
    seen.trailers_declared = True
    return False


def _upgrade(seen: ResponseFields, value: bytes) -> bool:
    seen.upgrade = b"%b, %b" % (seen.upgrade, value) if seen.upgrade else value or None
    return True


def _cut(_seen: ResponseFields, _value: bytes) -> bool:
    return True


_RULES: Final[Mapping[bytes, Callable[[ResponseFields, bytes], bool]]] = {
    b"content-length": _content_length,
    b"connection": _connection,
    b"transfer-encoding": _transfer_encoding,
    b"keep-alive": _keep_alive,
    b"trailer": _trailer,
    b"upgrade": _upgrade,
    b"proxy-connection": _cut,
    b"te": _cut,
}
"""Field → what it means; the rule returns whether the line ends here. Any name of ours ends here too."""

_NOTED: Final = noting(*_RULES, prefix=OUR_PREFIX).findall


def _understand(block: bytes) -> ResponseFields | None:
    return ResponseFields(block) if strict_block(block) else None


_remembered: Final = functools.lru_cache(REMEMBERED)(_understand)


def response_fields(block: bytes) -> ResponseFields | None:
    """What `block` means in an answer; None: it breaks the grammar. Raises BadMessage."""
    return (_remembered if len(block) <= REMEMBERED_BYTES else _understand)(block)
