"""HTTP/1 as the façade passes it on: bytes become a head, pieces of a body and its end; heads become bytes again. Pure.

Why by httptools and not by the data path's own reader: that one decides on repeats and streams without a task; here a
message just passes, now and then, and one answer a connection to the server is enough.
"""

import enum
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

import httptools

LARGEST_HEAD = 64 * 1024
"""Bytes of a request line and its fields."""

Fields = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade", b"expect"}
)

_NOT_OF_THE_CONNECTION = re.compile(rb"host|authorization|cookie|cache-control|content-.*", re.DOTALL)
"""Fields that `Connection` cannot take away: without its Content-Length a body would be taken for the next request."""

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class End(enum.Enum):
    """What closes a message."""

    END = "end"


class NotHttpError(Exception):
    """What came cannot be read."""


@dataclass(slots=True)
class Request:
    """The head of a request; `fields` as they came."""

    method: str
    target: str
    fields: Fields
    minor: int
    """Of its HTTP/1.x."""
    keep_alive: bool
    path: str = field(init=False)
    query: list[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.target)
        self.path = unquote(parts.path)
        self.query = parse_qsl(parts.query, keep_blank_values=True)


@dataclass(slots=True)
class Response:
    """The head of an answer; `fields` as they came."""

    status: int
    reason: bytes
    fields: Fields

    @property
    def length(self) -> bytes | None:
        """Its Content-Length."""
        return value(self.fields, b"content-length")


Event = Request | Response | bytes | End


class _Reader:
    """What both directions have in common."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._fields: Fields = []
        self._head = 0
        """Bytes of the head that is under way."""

    def next(self) -> Event | None:
        """What came next; None: not yet."""
        return self._events.popleft() if self._events else None

    def _taken(self) -> Fields:
        """The fields of the head, which is complete: what follows as such are trailers, which do not pass."""
        taken, self._fields = self._fields, []
        return taken

    # what httptools calls out

    def on_header(self, name: bytes, content: bytes) -> None:
        self._fields.append((name, content))

    def on_body(self, piece: bytes) -> None:
        self._events.append(piece)

    def on_message_complete(self) -> None:
        self._events.append(End.END)


class RequestReader(_Reader):
    """Takes the bytes of one connection of the app apart."""

    def __init__(self) -> None:
        super().__init__()
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._keep_alive = True
        self._over = False
        """The last request of the connection is complete: what follows is of no interest."""
        self._ahead: Fields = []
        """The framing of a body that comes although its head offers another protocol; the parser would not read it."""
        self._resuming = False

    def feed(self, data: bytes) -> None:
        """Raises NotHttpError."""
        self._head += len(data)
        try:
            self._take(data)
        except httptools.HttpParserError as error:
            if not self._over:
                raise NotHttpError(str(error)) from error
        if self._head > LARGEST_HEAD and not self._events:
            raise NotHttpError(f"a head of more than {LARGEST_HEAD} bytes")

    def _take(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
                data = b""
            except httptools.HttpParserUpgrade as offered:  # another protocol: not taken, this one goes on
                data = data[offered.args[0] :]
                self._resume()

    def _resume(self) -> None:
        """Another parser for what follows; it is told by a head of ours that it is a body, where it is one."""
        self._parser = httptools.HttpRequestParser(self)
        ahead, self._ahead = self._ahead, []
        if ahead:
            self._resuming = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + _lines(ahead))
            self._resuming = False

    def on_message_begin(self) -> None:
        self._target, self._fields = b"", []

    def on_url(self, piece: bytes) -> None:
        self._target += piece

    def on_headers_complete(self) -> None:
        self._head = 0
        fields = self._taken()
        if self._resuming:
            return
        parser = self._parser
        request = Request(
            method=parser.get_method().decode(),
            target=self._target.decode("latin-1"),
            fields=fields,
            minor=int(parser.get_http_version()[-1]),
            keep_alive=parser.should_keep_alive(),
        )
        self._keep_alive = request.keep_alive
        if parser.should_upgrade() and request.method != "CONNECT":
            self._ahead = [one for one in fields if one[0].lower() in _FRAMING]
        self._events.append(request)

    def on_body(self, piece: bytes) -> None:
        self._head = 0
        super().on_body(piece)

    def on_message_complete(self) -> None:
        if not self._ahead:
            self._over = not self._keep_alive
            super().on_message_complete()


class ResponseReader(_Reader):
    """Takes one answer apart; interim ones are left out."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._parser = httptools.HttpResponseParser(self)
        self._bodiless = method == "HEAD"
        self._reason = b""
        self.headed = self.complete = False
        self._framed = False

    def feed(self, data: bytes) -> None:
        """Raises NotHttpError; what comes behind the answer is of no interest."""
        if self.complete:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise NotHttpError(str(error)) from error

    def end(self) -> None:
        """The connection has ended: so has a body of no stated length. Raises NotHttpError where the answer is cut."""
        if self.complete:
            return
        if not self.headed or self._framed:
            raise NotHttpError("cut in the middle of an answer" if self.headed else "cut before an answer")
        self._finish()

    def on_message_begin(self) -> None:
        self._reason, self._fields = b"", []

    def on_status(self, piece: bytes) -> None:
        self._reason += piece

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self.headed:
            return
        self.headed = True
        fields = self._taken()
        self._framed = any(name.lower() in _FRAMING for name, _ in fields)
        self._events.append(Response(status, self._reason, fields))
        if self._bodiless or status in {204, 304}:
            self._finish()

    def on_body(self, piece: bytes) -> None:
        if self.headed and not self.complete:
            super().on_body(piece)

    def on_message_complete(self) -> None:
        if self.headed and not self.complete:
            self._finish()

    def _finish(self) -> None:
        self.complete = True
        self._events.append(End.END)


def value(fields: Fields, name: bytes) -> bytes | None:
    """The first field of that name, given in lower case."""
    return next((content for known, content in fields if known.lower() == name), None)


def end_to_end(fields: Fields, *without: bytes) -> Fields:
    """Those that are not about this one connection, nor named in lower case."""
    named = {
        part.strip().lower()
        for name, content in fields
        if name.lower() == b"connection"
        for part in content.split(b",")
    }
    dropped = _HOP_BY_HOP | {one for one in named if not _NOT_OF_THE_CONNECTION.fullmatch(one)} | {*without}
    return [(name, content) for name, content in fields if name.lower() not in dropped]


def request_head(method: str, target: str, fields: Fields, *, chunked: bool) -> bytes:
    """As it goes to a server: one request a connection."""
    framing = [(b"Transfer-Encoding", b"chunked")] if chunked else []
    first = f"{method} {target} HTTP/1.1\r\n".encode("latin-1")
    return first + _lines((*fields, *framing, (b"Connection", b"close")))


def response_head(response: Response, fields: Fields, *, chunked: bool, keep_alive: bool, minor: int) -> bytes:
    """As it goes to the app, which speaks HTTP/1.`minor`."""
    more: Fields = [(b"Transfer-Encoding", b"chunked")] if chunked else []
    if not keep_alive:
        more.append((b"Connection", b"close"))
    elif minor == 0:
        more.append((b"Connection", b"keep-alive"))
    return b"HTTP/1.1 %d %b\r\n" % (response.status, response.reason) + _lines((*fields, *more))


def chunk(piece: bytes) -> bytes:
    """A piece of a body of unknown length; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _lines(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"
