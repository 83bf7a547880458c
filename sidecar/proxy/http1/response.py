"""Answer heads: read leniently, framed by the rules, made anew and cleanly for the app."""

import re
from typing import Final

from sidecar.cluster.policy import Limits
from sidecar.proxy.http1 import parser, repair
from sidecar.proxy.http1.message import (
    FIELD_LINES,
    MAX_LENGTH_DIGITS,
    PROTOCOL,
    VALUE,
    BadMessage,
    Framing,
    first_value,
    spelled,
    tokens,
    without,
)
from sidecar.proxy.http1.request import RequestHead

_NONE, _LENGTH, _CHUNKED, _UNTIL_CLOSE = Framing.NONE, Framing.LENGTH, Framing.CHUNKED, Framing.UNTIL_CLOSE

_HEAD: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})( " + VALUE + rb"*+)?(\r\n" + FIELD_LINES + rb")\r\n").match

_BLANK_LINE: Final = re.compile(rb"\n\r?\n").search

_NOTED: Final = re.compile(
    rb"(\n("
    + b"|".join(
        spelled(name)
        for name in (
            b"connection", b"content-length", b"transfer-encoding", b"keep-alive", b"proxy-connection", b"te",
            b"trailer", b"upgrade",
        )
    )
    + b"|"
    + spelled(b"x-sidecar-")
    + rb"[^:\r\n]*):[ \t]*+([^\r\n]*)\r)"
).findall  # fmt: skip

_PROTECTED: Final = frozenset({b"host", b"authorization", b"cookie", b"set-cookie", b"cache-control"})


class ResponseHead:
    """One answer (interim or final) as the instance meant it."""

    __slots__ = (
        "_reason",
        "closes",
        "codings",
        "fields",
        "framing",
        "keep_alive_timeout",
        "length",
        "minor",
        "repaired",
        "reusable",
        "size",
        "status",
        "trailers_declared",
        "upgrade",
    )

    closes: bool
    """It said `Connection: close`: twice in a row on keep-alive traffic means that the endpoint is leaving."""
    codings: bytes
    """Transfer codings other than chunked that the payload still carries, `gzip, ` ready to be emitted."""
    fields: bytes
    """The block of field lines to forward; a correct Content-Length is still among them."""
    framing: Framing
    """NONE for HEAD, 1xx, 204 and 304, whatever the fields say."""
    keep_alive_timeout: int | None
    """Seconds of `Keep-Alive: timeout=N`."""
    length: int
    """Body bytes with Framing.LENGTH, else 0."""
    minor: int
    repaired: bool
    """It took the second-chance normaliser to read it."""
    reusable: bool
    """The instance's connection may serve again once the body is complete."""
    size: int
    """Bytes that the head took of the buffer: the body starts there."""
    status: int
    trailers_declared: bool
    upgrade: bytes | None
    """The protocol switched to, with status 101."""

    def __init__(self, request: RequestHead, minor: int, status: int, reason: bytes, fields: bytes, size: int) -> None:
        self.minor = minor
        self.status = status
        self._reason = reason
        self.size = size
        self.closes = False
        self.codings = b""
        self.framing = _UNTIL_CLOSE
        self.keep_alive_timeout = None
        self.length = 0
        self.repaired = False
        self.reusable = minor == 1
        self.trailers_declared = False
        self.upgrade = None
        self.fields = self._understand(fields, request)

    def __repr__(self) -> str:
        body = f" {self.length} bytes" if self.length else f" {self.framing.value}"
        return f"<{self.status}{body}>"

    @property
    def interim(self) -> bool:
        """A 1xx that another answer follows; 101 is final."""
        return self.status < 200 and self.status != 101

    def has(self, name: bytes) -> bool:
        """Whether the answer carries the end-to-end field `name`, of any value."""
        return first_value(self.fields, name) is not None

    def leaving(self, marker: bytes | None) -> bool:
        """It announces the end of its endpoint: 503 with Retry-After, or the configured field."""
        return (self.status == 503 and self.has(b"retry-after")) or (marker is not None and self.has(marker))

    def chunked_to(self, request: RequestHead) -> bool:
        """The body goes to the app in chunks."""
        return request.minor == 1 and (self.framing is _CHUNKED or self.framing is _UNTIL_CLOSE)

    def keeps_app(self, request: RequestHead) -> bool:
        """The app's connection can be used again after this answer."""
        return request.keep_alive and (request.minor == 1 or self.framing is _NONE or self.framing is _LENGTH)

    def to_app(self, request: RequestHead, *, keep_alive: bool, extra: bytes = b"") -> bytes:
        """The head as the app gets it. `extra`: further field lines, each with its CRLF (via, debug headers)."""
        if self.status < 200:
            switch = b"Connection: upgrade\r\nUpgrade: %b\r\n" % self.upgrade if self.upgrade else b""
            return b"".join((b"HTTP/1.1 ", b"%d" % self.status, self._reason, self.fields, switch, extra, b"\r\n"))
        framing = b""
        if self.framing is _CHUNKED or self.framing is _UNTIL_CLOSE:
            if request.minor == 1:
                framing = b"Transfer-Encoding: %bchunked\r\n" % self.codings
            elif self.codings:
                raise BadMessage(PROTOCOL, "a transfer coding that HTTP/1.0 cannot carry")
        if not keep_alive:
            connection = b"Connection: close\r\n"
        else:
            connection = b"" if request.minor == 1 else b"Connection: keep-alive\r\n"
        return b"".join(
            (b"HTTP/1.1 ", b"%d" % self.status, self._reason, self.fields, framing, connection, extra, b"\r\n")
        )

    def _understand(self, fields: bytes, request: RequestHead) -> bytes:
        connection: list[bytes] = []
        codings: list[bytes] | None = None
        lengths: list[bytes] = []
        switched = b""
        for line, name, value in _NOTED(fields):
            noted = name.lower()
            if noted == b"content-length":
                lengths += [part.strip(b" \t") for part in value.split(b",")]
                if len(lengths) == 1:
                    continue
            elif noted == b"connection":
                connection += tokens(value)
            elif noted == b"transfer-encoding":
                codings = (codings or []) + tokens(value)
            elif noted == b"keep-alive":
                self.keep_alive_timeout = _timeout(value)
            elif noted == b"trailer":
                self.trailers_declared = True
                continue
            elif noted == b"upgrade":
                switched = value.rstrip(b" \t")
            fields = fields.replace(line, b"", 1)
        if connection:
            fields = self._obey_connection(connection, fields)
        if self.status == 101:
            return self._switch(switched, request, fields)
        return self._frame(lengths, codings, request, fields)

    def _obey_connection(self, options: list[bytes], fields: bytes) -> bytes:
        self.closes = b"close" in options
        self.reusable = not self.closes and (self.minor == 1 or b"keep-alive" in options)
        for option in options:
            if option not in _PROTECTED and not option.startswith(b"content-"):
                fields = without(fields, option)
        return fields

    def _switch(self, switched: bytes, request: RequestHead, fields: bytes) -> bytes:
        if not switched or request.upgrade is None:
            raise BadMessage(PROTOCOL, "a switch of protocols that nobody offered")
        self.upgrade = switched
        self.framing = _NONE
        self.reusable = False
        return without(fields, b"content-length")

    def _frame(self, lengths: list[bytes], codings: list[bytes] | None, request: RequestHead, fields: bytes) -> bytes:
        """RFC 9112 §6.3, in its order; the payload's end decides whether the connection may be kept."""
        length = _agreed(lengths)
        if len(lengths) > 1 and length is not None:
            fields = without(fields, b"content-length") + b"Content-Length: %d\r\n" % length
        if codings is not None:
            codings = [coding for coding in codings if coding != b"identity"]
        if codings:
            fields = self._frame_coded(codings, fields, mixed=length is not None)
        elif length is not None:
            self.length = length
            self.framing = _LENGTH if length else _NONE
        if self.status < 200 or self.status == 204:
            fields = without(fields, b"content-length")
        if self.status < 200 or self.status in {204, 304} or request.method == b"HEAD":
            self.framing = _NONE
            self.length = 0
        elif self.framing is _UNTIL_CLOSE:
            self.reusable = False
        return fields

    def _frame_coded(self, codings: list[bytes], fields: bytes, *, mixed: bool) -> bytes:
        others = [coding for coding in codings if coding != b"chunked"]
        if codings[-1] == b"chunked":
            self.framing = _CHUNKED
        if others and codings[: len(others)] != others:
            raise BadMessage(PROTOCOL, "chunked is not the last transfer coding")
        self.codings = b"".join(coding + b", " for coding in others)
        if mixed or self.minor == 0:
            self.reusable = False
        return without(fields, b"content-length")


def _agreed(lengths: list[bytes]) -> int | None:
    """The one Content-Length that all copies state; None: there is none."""
    if not lengths:
        return None
    first = lengths[0]
    if not first.isdigit() or len(first) > MAX_LENGTH_DIGITS:
        raise BadMessage(PROTOCOL, "invalid Content-Length")
    if any(other != first for other in lengths):
        raise BadMessage(PROTOCOL, "differing Content-Length")
    return int(first)


def _timeout(value: bytes) -> int | None:
    for part in tokens(value):
        name, _, number = part.partition(b"=")
        if name.strip(b" \t") == b"timeout" and number.strip(b' \t"').isdigit():
            return int(number.strip(b' \t"')[:9])
    return None


def read_response(data: bytes, request: RequestHead, limits: Limits) -> ResponseHead | None:
    """The head at the start of `data`; None: not complete yet. Raises BadMessage (`protocol`)."""
    found = _HEAD(data)
    if found is None:
        return _read_odd(data, request, limits)
    size = found.end()
    if size > 4 * limits.max_headers:
        _check_size(data[:size], limits)
    return _build(found, request, size)


def _build(found: re.Match[bytes], request: RequestHead, size: int) -> ResponseHead:
    minor, status, reason, fields = found.groups()
    return ResponseHead(request, 1 if minor == b"1" else 0, int(status), reason or b" ", fields, size)


def _read_odd(data: bytes, request: RequestHead, limits: Limits) -> ResponseHead | None:
    """What the pattern does not accept: incomplete, sloppy (second and third reader), or no HTTP at all."""
    start = len(data) - len(data.lstrip(b"\r\n"))
    blank = _BLANK_LINE(data, start)
    if blank is None:
        _check_size(data, limits)
        if len(data) > 4 and not data[start : start + 5].upper().startswith(b"HTTP/"[: len(data) - start]):
            raise BadMessage(PROTOCOL, "not an HTTP answer")
        return None
    raw = data[start : blank.end()]
    _check_size(raw, limits)
    repaired = False
    found = _HEAD(raw)
    if found is None:
        try:
            found = _HEAD(parser.clean_response(raw))
        except BadMessage:
            found = _HEAD(parser.clean_response(repair.repair(raw)))
            repaired = True
    if found is None:
        raise BadMessage(PROTOCOL, "malformed response head")
    head = _build(found, request, blank.end())
    head.repaired = repaired
    return head


def _check_size(head: bytes, limits: Limits) -> None:
    if len(head) > limits.max_header_bytes or head.count(b"\n") - 2 > limits.max_headers:
        raise BadMessage(PROTOCOL, "the head is over the limits")
