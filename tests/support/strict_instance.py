"""An instance that reads by h11, the strict second opinion: what it counts is what any correct server would count."""

import asyncio
import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import h11

from tests.support.scripted_peer import ScriptedPeer, Talk

_ODD_BEGINNING = re.compile(rb"\A(?:\r\n)*([^ \r\n]+) +([^ \r\n]+) +(?=HTTP/)")


@dataclass
class Seen:
    """One whole request."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    version: bytes = b"1.1"
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def ambiguous(self) -> bool:
        """h11 reads it in one way, another reader might in another (RFC 9112 §6.1, §6.3)."""
        names = [name for name, _ in self.headers]
        coded = b"transfer-encoding" in names
        return (coded and (b"content-length" in names or self.version == b"1.0")) or names.count(b"host") > 1


class Reading:
    """Bytes of one side of a connection, understood as the requests that they hold."""

    def __init__(self, *, polite: bool = False) -> None:
        """`polite`: takes what RFC 9112 §2.2 and §3 allow and h11 does not, empty lines and repeated spaces."""
        self.raw = b""
        self._polite = polite
        self.whole: list[Seen] = []
        self.error: str | None = None
        """Why h11 would read no further."""
        self._open: Seen | None = None
        self._parser = h11.Connection(h11.SERVER)

    @property
    def partial(self) -> bool:
        """A head was complete whose body is not."""
        return self._open is not None

    @property
    def begun(self) -> list[Seen]:
        """The whole ones, and the one that is not."""
        return [*self.whole, self._open] if self._open is not None else self.whole

    def forget(self) -> None:
        """Begins a new account, when nothing is under way."""
        self.raw = b""
        self.whole.clear()
        self._open = None

    def feed(self, data: bytes) -> list[Seen]:
        """The requests that these bytes complete."""
        self.raw += data
        before = len(self.whole)
        with contextlib.suppress(h11.RemoteProtocolError):
            self._feed(data)
        return self.whole[before:]

    def _feed(self, data: bytes) -> None:
        if self.error is not None:
            return
        self._receive(data)
        while True:
            event = self._next()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.Request):
                self._open = Seen(event.method, event.target, list(event.headers), event.http_version)
            elif isinstance(event, h11.Data) and self._open is not None:
                self._open.body += event.data
            elif isinstance(event, h11.EndOfMessage) and self._open is not None:
                self._open.trailers = list(event.headers)
                self.whole.append(self._open)
                self._open = None
                # A parser of its own for each request: whether the connection goes on is for others to say.
                left, _ = self._parser.trailing_data
                self._parser = h11.Connection(h11.SERVER)
                self._receive(bytes(left))

    def _receive(self, data: bytes) -> None:
        if self._polite and self._open is None:
            data = _ODD_BEGINNING.sub(rb"\1 \2 ", data, count=1)
        if data:  # nothing would mean the end
            self._parser.receive_data(data)

    def _next(self) -> "h11.Event | type[h11.NEED_DATA | h11.PAUSED]":
        try:
            return self._parser.next_event()
        except h11.RemoteProtocolError as error:
            self.error = str(error)
            raise


def read_all(data: bytes) -> Reading:
    """How h11 understands the bytes of an app."""
    reading = Reading(polite=True)
    reading.feed(data)
    return reading


class StrictInstance:
    """Answers each whole request with its target as the body; remembers what each connection brought."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.open = 0
        """Connections that have not ended."""
        self._peer = ScriptedPeer(self._serve)

    @property
    def port(self) -> int:
        return self._peer.port

    async def __aenter__(self) -> Self:
        await self._peer.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._peer.close()

    def forget(self) -> None:
        """Begins a new account."""
        for reading in self.readings:
            reading.forget()

    @property
    def seen(self) -> list[Seen]:
        """Whole requests, of all connections."""
        return [seen for reading in self.readings for seen in reading.whole]

    @property
    def raw(self) -> bytes:
        """Every byte that came."""
        return b"".join(reading.raw for reading in self.readings)

    @property
    def errors(self) -> list[str]:
        """What h11 would not read: none of it may ever come from us."""
        return [reading.error for reading in self.readings if reading.error is not None]

    async def _serve(self, talk: Talk) -> None:
        reading = Reading()
        self.readings.append(reading)
        self.open += 1
        try:
            while data := await talk.reader.read(65536):
                for seen in reading.feed(data):
                    await talk.send(answer_to(seen))
        finally:
            self.open -= 1


def answer_to(seen: Seen) -> bytes:
    """200 with the target as body."""
    body = b"" if seen.method == b"HEAD" else seen.target
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(seen.target), body)


@dataclass
class Answered:
    """What an app read."""

    statuses: list[int]
    bodies: list[bytes]
    local: list[str]
    """x-sidecar-error of the answers that the sidecar made."""
    error: str | None
    """Why h11 would not read on."""

    def add(self, more: "Answered") -> None:
        """What came after."""
        self.statuses += more.statuses
        self.bodies += more.bodies
        self.local += more.local
        self.error = self.error or more.error


def read_answers(data: bytes, methods: Iterable[bytes]) -> Answered:
    """How h11 understands what the app got; `methods` of the requests that were answered by the instance."""
    got = Answered([], [], [], None)
    left = data
    for method in methods:
        if left:
            left = _read_answer(left, method, got)
    if left:  # a refusal, perhaps of a HEAD
        refusal = Answered([], [], [], None)
        left = _read_answer(left, b"GET", refusal)
        if refusal.error is not None:
            refusal = Answered([], [], [], None)
            left = _read_answer(data[-len(left) :], b"HEAD", refusal)
        got.add(refusal)
    if left and got.error is None:
        got.error = "bytes after the last answer"
    return got


def _read_answer(data: bytes, method: bytes, got: Answered) -> bytes:
    """Reads one answer; what follows it."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data)
    body = b""
    try:
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                got.error = "the answer is cut"
                return data
            if isinstance(event, h11.Response):
                got.statuses.append(event.status_code)
                got.local += [value.decode() for name, value in event.headers if name == b"x-sidecar-error"]
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                got.bodies.append(body)
                return bytes(parser.trailing_data[0])
    except h11.RemoteProtocolError as error:
        got.error = str(error)
        return data


async def bytewise(app: Talk, data: bytes, *, singly: int = 2048) -> None:
    """Each byte in a packet of its own, and beyond `singly` bytes in pieces of 97."""
    for at in range(min(len(data), singly)):
        app.writer.write(data[at : at + 1])
        await asyncio.sleep(0)
    for at in range(singly, len(data), 97):
        app.writer.write(data[at : at + 97])
        await asyncio.sleep(0)
