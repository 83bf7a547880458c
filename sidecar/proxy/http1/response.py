"""Answer heads: read leniently, framed by the rules, made anew and cleanly for the app.

Two readers stand behind `read_response`: the strict grammar, and for what it does not accept `repair`, whose
result is read by the strict grammar again. So whatever is passed on has met it.

Endpoints say the same again and again: within a second, the same heads to the byte. What a head means is therefore
remembered, and a `ResponseHead` never changes once it was read.
"""

import functools
import re
from typing import Final

from sidecar.cluster.policy import Limits
from sidecar.proxy.http1.message import (
    PROTOCOL,
    REMEMBERED,
    REMEMBERED_BYTES,
    VALUE,
    BadMessage,
    Framing,
    first_value,
    members,
    without,
)
from sidecar.proxy.http1.repair import repair
from sidecar.proxy.http1.request import RequestHead
from sidecar.proxy.http1.response_fields import ResponseFields, response_fields

_NONE, _LENGTH, _CHUNKED, _UNTIL_CLOSE = Framing.NONE, Framing.LENGTH, Framing.CHUNKED, Framing.UNTIL_CLOSE

_LINE: Final = re.compile(rb"HTTP/1\.([01]) (([1-9][0-9]{2})(?: " + VALUE + rb"*+)?)\r\n").match

_CHUNKED_LINE: Final = b"Transfer-Encoding: chunked\r\n"

_BODILESS: Final = frozenset({204, 304})

_BLANK_LINE: Final = re.compile(rb"\n\r?\n").search


class ResponseHead:
    """One answer, interim or final, as the instance meant it; shared by all equal ones, so never changed."""

    __slots__ = (
        "_plain",
        "_start",
        "_tail",
        "block",
        "closes",
        "framing",
        "keep_alive_timeout",
        "length",
        "lines",
        "minor",
        "repaired",
        "reusable",
        "size",
        "status",
        "trailers_declared",
        "upgrade",
    )

    block: bytes
    """The fields that go on, with a Content-Length that is right."""
    closes: bool
    """It said `Connection: close`: twice in a row on keep-alive traffic, and the endpoint is leaving."""
    framing: Framing
    """Of the payload that follows: NONE for HEAD, 1xx, 204 and 304, whatever the fields say."""
    keep_alive_timeout: int | None
    """Seconds of `Keep-Alive: timeout=N`."""
    length: int
    """Body bytes with Framing.LENGTH (then more than none), else 0."""
    lines: int
    """How many field lines came."""
    minor: int
    """Of the instance's HTTP/1.x."""
    repaired: bool
    """It took `repair` to read it."""
    reusable: bool
    """The instance's connection may serve again once the body is complete."""
    size: int
    """Bytes that the head took of the buffer: the body starts there."""
    status: int
    trailers_declared: bool
    upgrade: bytes | None
    """The protocol that both sides switch to, with status 101."""

    def __init__(
        self,
        line: re.Match[bytes],
        understood: tuple[ResponseFields, bytes],
        size: int,
        *,
        lines: int,
        bodiless: bool,
    ) -> None:
        fields, self.block = understood
        minor, start, status = line.groups()
        self.minor = 1 if minor == b"1" else 0
        self.status = int(status)
        self.lines = lines
        self.size = size
        self.keep_alive_timeout = fields.keep_alive_timeout
        self.length = 0
        self.repaired = False
        self.trailers_declared = fields.trailers_declared
        self.upgrade = None
        self._tail = b""
        self.closes = b"close" in fields.connection
        self.reusable = not self.closes and (self.minor == 1 or b"keep-alive" in fields.connection)
        if bodiless or self.status < 200 or self.status in _BODILESS:
            self._frame_bodiless(fields)
        elif fields.chunked or fields.codings or fields.length is None:
            self._frame_open(fields)
        else:
            self.framing = _LENGTH if fields.length else _NONE
            self.length = fields.length
        reason = b"" if len(start) > len(status) else b" "
        self._start = b"HTTP/1.1 %b%b%b" % (start, reason, self.block)
        self._plain = b"%b%b\r\n" % (self._start, self._tail)

    def __repr__(self) -> str:
        body = f"{self.length} bytes" if self.length else self.framing.value
        return f"<{self.status} {body}>"

    @property
    def interim(self) -> bool:
        """A 1xx that another answer follows; 101 is final."""
        return self.status < 200 and self.status != 101

    def has(self, name: bytes) -> bool:
        """Whether the end-to-end field `name` is there, of any value."""
        return first_value(self.block, name) is not None

    def leaving(self, marker: bytes | None) -> bool:
        """It announces the end of its endpoint: 503 with Retry-After, or the configured field."""
        return (self.status == 503 and self.has(b"retry-after")) or (marker is not None and self.has(marker))

    def chunked_to(self, request: RequestHead) -> bool:
        """The body goes to the app in chunks."""
        return request.minor == 1 and (self.framing is _CHUNKED or self.framing is _UNTIL_CLOSE)

    def keeps_app(self, request: RequestHead) -> bool:
        """The app's connection can be used again after this answer."""
        return request.keep_alive and (request.minor == 1 or self.framing is _NONE or self.framing is _LENGTH)

    def to_app(self, request: RequestHead, keep_alive: bool, extra: bytes = b"") -> bytes:  # noqa: FBT001 - once a request
        """The head as the app gets it; `extra`: whole field lines to add.

        Raises BadMessage when the payload has a transfer coding that HTTP/1.0 cannot carry.
        """
        if (keep_alive or self.status < 200) and request.minor == 1 and not extra:
            return self._plain
        return b"".join((self._start, self._connection(request, keep_alive=keep_alive), extra, b"\r\n"))

    def _connection(self, request: RequestHead, *, keep_alive: bool) -> bytes:
        """The lines that hold for the app's connection only."""
        if self.status < 200:
            return self._tail
        if request.minor == 1:
            return self._tail if keep_alive else self._tail + b"Connection: close\r\n"
        if self._tail not in {b"", _CHUNKED_LINE}:
            raise BadMessage(PROTOCOL, "a transfer coding that HTTP/1.0 cannot carry")
        return b"Connection: keep-alive\r\n" if keep_alive else b"Connection: close\r\n"

    def _frame_bodiless(self, fields: ResponseFields) -> None:
        """HEAD and 304 may tell a length, 1xx and 204 must not (RFC 9110 §8.6); 101 ends HTTP here."""
        self.framing = _NONE
        if self.status < 200 or self.status == 204:
            self.block = without(self.block, {b"content-length"})
        if self.status == 101:
            if fields.upgrade is None:
                raise BadMessage(PROTOCOL, "a switch of protocols without a name")
            self.upgrade = fields.upgrade
            self.reusable = False
            self._tail = b"Connection: upgrade\r\nUpgrade: %b\r\n" % fields.upgrade

    def _frame_open(self, fields: ResponseFields) -> None:
        """A payload of no known length. Codings other than chunked stay on it, so they are stated again."""
        self.framing = _CHUNKED if fields.chunked else _UNTIL_CLOSE
        if not fields.chunked or fields.mixed or self.minor == 0:
            self.reusable = False
        codings = b"".join(coding + b", " for coding in fields.codings)
        self._tail = b"Transfer-Encoding: %bchunked\r\n" % codings if codings else _CHUNKED_LINE


def read_response(data: bytes, request: RequestHead, limits: Limits) -> ResponseHead | None:
    """The head at the start of `data`; None: more bytes are needed. Raises BadMessage (`protocol`)."""
    size = data.find(b"\r\n\r\n") + 4
    if size <= REMEMBERED_BYTES:
        head = _remembered(data[:size], request.method == b"HEAD")
    elif size > limits.max_header_bytes:
        raise _over_limits()
    else:
        head = _read_strict(data[:size], request.method == b"HEAD")
    if head is None:
        head = _read_odd(data, request, limits)
        if head is None:
            return None
    if head.size > limits.max_header_bytes or head.lines > limits.max_headers:
        raise _over_limits()
    if head.status == 101 and not _was_offered(head.upgrade, request.upgrade):
        raise BadMessage(PROTOCOL, "a switch of protocols that nobody offered")
    return head


def _read_strict(data: bytes, bodiless: bool) -> ResponseHead | None:  # noqa: FBT001 - a key of the memory
    """The head `data` if it is complete and spelled by the book; `bodiless`: whatever it says, no payload follows."""
    line = _LINE(data)
    if line is None or not data.endswith(b"\r\n\r\n"):
        return None
    block = data[line.end() - 2 : -2]
    understood = response_fields(block)
    if understood is None:
        return None
    return ResponseHead(line, understood, len(data), lines=block.count(b"\n") - 1, bodiless=bodiless)


_remembered: Final = functools.lru_cache(REMEMBERED)(_read_strict)


def _read_odd(data: bytes, request: RequestHead, limits: Limits) -> ResponseHead | None:
    """Any other head: incomplete, sloppy, or no HTTP at all."""
    start = len(data) - len(data.lstrip(b"\r\n"))
    blank = _BLANK_LINE(data, start)
    size = blank.end() if blank else len(data)
    if size > limits.max_header_bytes:
        raise _over_limits()
    if blank is None:
        _check_incomplete(data[start:])
        return None
    raw = data[start:size]
    bodiless = request.method == b"HEAD"
    head = _read_strict(raw, bodiless)
    if head is None:
        head = _read_strict(repair(raw), bodiless)
        if head is None:
            raise BadMessage(PROTOCOL, "malformed answer head")
        head.repaired = True
    head.size = size
    return head


def _check_incomplete(raw: bytes) -> None:
    if raw[:5].upper() != b"HTTP/"[: len(raw)]:
        raise BadMessage(PROTOCOL, "this is not HTTP/1")


def _was_offered(chosen: bytes | None, offers: bytes | None) -> bool:
    """A server must not switch to what was not offered (RFC 9110 §7.8)."""
    return chosen is not None and offers is not None and set(members(chosen)) <= set(members(offers))


def _over_limits() -> BadMessage:
    return BadMessage(PROTOCOL, "the head of the answer is over the limits")
