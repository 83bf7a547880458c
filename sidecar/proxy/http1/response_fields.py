"""What the field lines of an answer tell a proxy, and which of them go on. Rules: RFC 9110 §7, RFC 9112 §6."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Final

from sidecar.proxy.http1.message import (
    OUR_PREFIX,
    PROTOCOL,
    REMEMBERED,
    TOKEN,
    BadMessage,
    is_length,
    members,
    noting,
    parted,
    removable,
    strict_block,
    without,
    worth_remembering,
)

_CODING: Final = re.compile(TOKEN + rb"++").fullmatch


class ResponseFields:
    """What the noted lines of one answer say; shared by all answers with the same lines, so never changed."""

    __slots__ = (
        "chunked",
        "codings",
        "connection",
        "cut",
        "keep_alive_timeout",
        "length",
        "lengths",
        "mixed",
        "named",
        "restated",
        "trailers_declared",
        "upgrade",
    )

    chunked: bool
    """The payload ends with the last chunk; it wins over any length."""
    codings: list[bytes]
    """Transfer codings besides chunked that the payload carries; `identity` means none and is left out."""
    connection: list[bytes]
    """Options of `Connection`, lower case."""
    cut: list[bytes]
    """The lines that end here."""
    keep_alive_timeout: int | None
    length: int | None
    """What every Content-Length says."""
    mixed: bool
    """Both framings came: the codings win, and the connection is not trusted again (RFC 9112 §6.3)."""
    named: set[bytes]
    """Further fields that end here, for `Connection` names them, or that another framing replaces."""
    restated: bytes
    """The one Content-Length for several equal ones."""
    trailers_declared: bool
    upgrade: bytes | None

    def __init__(self, lines: tuple[bytes, ...]) -> None:
        self.chunked = False
        self.codings = []
        self.connection = []
        self.cut = []
        self.keep_alive_timeout = None
        self.lengths: list[bytes] = []
        self.restated = b""
        self.trailers_declared = False
        self.upgrade = None
        for line in lines:
            name, value = parted(line)
            if _RULES.get(name, _cut)(self, value):
                self.cut.append(line)
        self.named = removable(self.connection)
        self.length = self._agreed_length()
        self.mixed = bool(self.codings and self.lengths)
        self._frame()

    def _agreed_length(self) -> int | None:
        lengths = self.lengths
        if not lengths:
            return None
        if not all(map(is_length, lengths)):
            raise BadMessage(PROTOCOL, "invalid Content-Length")
        if len(set(lengths)) > 1:
            raise BadMessage(PROTOCOL, "differing Content-Length")
        return int(lengths[0])

    def _frame(self) -> None:
        """Leave one framing at most."""
        if self.codings:
            self.chunked = self.codings[-1] == b"chunked"
            self.codings = [coding for coding in self.codings if coding != b"chunked"]
            self.named.add(b"content-length")
        elif len(self.lengths) > 1:
            self.named.add(b"content-length")
            self.restated = b"Content-Length: %b\r\n" % self.lengths[0]


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

_noted: Final = noting(_RULES, prefix=OUR_PREFIX).findall

_meaning: Final = functools.lru_cache(REMEMBERED)(ResponseFields)


def response_fields(block: bytes) -> tuple[ResponseFields, bytes] | None:
    """What `block` says in an answer, and the block of fields that go on, with the length if that is the framing.

    None: the block breaks the grammar. Raises BadMessage.
    """
    if not strict_block(block):
        return None
    lines = tuple(_noted(block))
    fields = (_meaning if worth_remembering(block, lines) else ResponseFields)(lines)
    for line in fields.cut:
        block = block.replace(line, b"", 1)
    if fields.named:
        block = without(block, fields.named)
    return fields, block + fields.restated
