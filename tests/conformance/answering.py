"""Answers of every kind, and what the app makes of them: h11 there, a lenient reader at the instance.

Whatever an instance says:
- each request gets one answer at most, in order: never that of another request, never a second one;
- all that the app reads is HTTP to h11, and an answer that is whole to it has the status and body that the lenient
  reader finds in what the instance has said, and is whole there, too;
- what h11 itself would take from the instance arrives;
- an app of HTTP/1.0 is spared interim answers and chunks.
"""

import asyncio
import re
from dataclasses import dataclass

import h11
from hypothesis import strategies as st

from tests.conformance.wire import cut
from tests.support.lenient_reader import Meant, read_answer
from tests.support.mutations import answers, cuts
from tests.support.scripted_peer import ScriptedPeer, Talk
from tests.support.stack import Stack, policy
from tests.support.until import PATIENCE


@dataclass(frozen=True)
class Said:
    """One request, and what an instance answers to it."""

    method: bytes
    version: bytes
    trailers: bool
    answer: bytes
    packets: list[bytes]
    closing: bool
    """The instance closes behind it."""

    def request(self, number: int) -> bytes:
        fields = b"Connection: TE\r\nTE: trailers\r\n" if self.trailers else b""
        if self.version == b"1.0":
            fields = b"Connection: keep-alive\r\n"
        return b"%b /%d HTTP/%b\r\nHost: a\r\n%b\r\n" % (self.method, number, self.version, fields)

    @property
    def meant(self) -> Meant | None:
        return read_answer(self.answer, self.method)


@st.composite
def exchanges(draw: st.DrawFn) -> list[Said]:
    """One to three requests of a connection."""
    return [draw(_exchange(number)) for number in range(draw(st.integers(1, 3)))]


@st.composite
def _exchange(draw: st.DrawFn, number: int) -> Said:
    method = draw(st.sampled_from([b"GET", b"GET", b"POST", b"HEAD"]))
    answer = draw(answers(number))
    meant = read_answer(answer, method)
    # What follows an answer comes with its last bytes: later, nobody could tell it from the answer to come.
    rest = meant.rest if meant is not None else b""
    packets = [packet for packet in draw(cuts(answer[: len(answer) - len(rest)])) if packet] or [b""]
    packets[-1] += rest
    # An instance that waits while the sidecar does would take a minute for nothing.
    waits = meant is None or not meant.complete or meant.until_close or meant.status == 101
    closing = draw(st.booleans()) or waits
    return Said(method, draw(st.sampled_from([b"1.1", b"1.1", b"1.0"])), draw(st.booleans()), answer, packets, closing)


@dataclass
class Got:
    """One answer as the app reads it."""

    status: int
    fields: list[tuple[bytes, bytes]]
    interim: int
    body: bytes = b""
    whole: bool = False

    @property
    def local(self) -> bool:
        return any(name == b"x-sidecar-error" for name, _ in self.fields)

    @property
    def lost(self) -> bool:
        """The sidecar says that the connection ended before an answer."""
        return any(name == b"x-sidecar-error" and value[:2] in {b"UC", b"UR"} for name, value in self.fields)

    @property
    def last(self) -> bool:
        """No other can follow."""
        return not self.whole or (b"connection", b"close") in self.fields


_CODINGS = re.compile(rb"(\r\nTransfer-Encoding: )[^\r\n]+, (?=chunked\r\n)")
"""A payload may be coded besides; h11 would read nothing but chunked."""


def read_by_app(data: bytes, methods: list[bytes], *, reset: bool) -> list[Got]:
    """`reset`: the connection ended so, and what came may be cut anywhere.

    Raises h11.RemoteProtocolError where h11 would not read on, AssertionError where too much has come.
    """
    found: list[Got] = []
    for method in methods:
        if data:
            data = _read_one(_with_plain_coding(data), method, found, reset=reset)
    assert not data, f"more answers than requests: {data!r}"
    return found


def _with_plain_coding(data: bytes) -> bytes:
    """The final head that comes next names no coding besides chunked; a body may look like anything."""
    begin, end = 0, data.find(b"\r\n\r\n")
    while end >= 0 and data.startswith((b"HTTP/1.1 100", b"HTTP/1.1 103"), begin):
        begin = end + 4
        end = data.find(b"\r\n\r\n", begin)
    if end < 0:
        return data
    end += 2
    return data[:begin] + _CODINGS.sub(rb"\1", data[begin:end]) + data[end:]


def _read_one(data: bytes, method: bytes, found: list[Got], *, reset: bool) -> bytes:
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data)
    if not reset:
        parser.receive_data(b"")
    interim = 0
    while True:
        event = parser.next_event()
        if isinstance(event, h11.InformationalResponse):
            interim += 1
        elif isinstance(event, h11.Response):
            found.append(Got(event.status_code, list(event.headers), interim))
        elif isinstance(event, h11.Data):
            found[-1].body += event.data
        elif isinstance(event, h11.EndOfMessage):
            found[-1].whole = True
            return bytes(parser.trailing_data[0])
        else:
            return b""


class Answering(ScriptedPeer):
    """An instance that answers what the exchange in force says."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.exchange: list[Said] = []

    async def _answer(self, talk: Talk) -> None:
        while request := await talk.request():
            said = self.exchange[int(request.split(b" ")[1][1:])]
            await cut(said.packets)(talk, b"")
            if said.closing:
                return


async def judge(instance: Answering, exchange: list[Said]) -> None:
    """Raises AssertionError, or h11.RemoteProtocolError, where the app got what it should not.

    Each exchange has a data path of its own: what one instance did to its standing is not felt by the next.
    """
    instance.exchange = exchange
    stack = Stack(policy())
    await stack.open(instance.port)
    try:
        async with stack.app() as app:
            await app.send(b"".join(said.request(number) for number, said in enumerate(exchange)))
            app.half_close()
            data, reset = await asyncio.wait_for(_all_of(app), PATIENCE)
    finally:
        await stack.close()
    got = read_by_app(data, [said.method for said in exchange], reset=reset)
    for number, (answer, said) in enumerate(zip(got, exchange, strict=False)):
        if not _raced(answer, said, exchange[:number]):
            _compare(answer, said)
    assert len(got) == len(exchange) or reset or got[-1].last, "an answer is missing"


async def _all_of(app: Talk) -> tuple[bytes, bool]:
    """What comes until the end, and whether that was a reset."""
    data = b""
    try:
        while more := await app.reader.read(65536):
            data += more
    except ConnectionError:
        return data, True
    return data, False


def _raced(answer: Got, said: Said, before: list[Said]) -> bool:
    """A POST met a connection that ended unannounced at that moment: nobody can tell whether it was executed."""
    return said.method == b"POST" and any(earlier.closing for earlier in before) and answer.lost


def _compare(answer: Got, said: Said) -> None:
    if said.version == b"1.0":
        assert answer.interim == 0, "an interim answer to HTTP/1.0"
        assert all(name != b"transfer-encoding" for name, _ in answer.fields), "chunks to HTTP/1.0"
    meant = said.meant
    if answer.local:
        assert not _is_plain(said), "an answer by the book was refused"
        return
    assert meant is not None, "an answer that no instance gave"
    assert answer.status == meant.status, "another status"
    assert _marks(answer.fields) == _marks(meant.fields), "of another request"
    if answer.whole:
        assert meant.complete, "cut, and looks whole"
        assert answer.body == meant.body, "another body"
    else:
        assert meant.body.startswith(answer.body), "another beginning of a body"
        assert not _is_plain(said), "an answer by the book was cut"


def _marks(fields: list[tuple[bytes, bytes]]) -> list[bytes]:
    """What says which answer it is."""
    return [value for name, value in fields if name == b"x-answer"]


def _is_plain(said: Said) -> bool:
    """Whether h11 reads all of it as one whole answer."""
    try:
        got = read_by_app(said.answer, [said.method], reset=not said.closing)
    except (h11.RemoteProtocolError, AssertionError):
        return False
    codings = [value for name, value in got[0].fields if name == b"transfer-encoding"] if got else []
    # HTTP/1.0 cannot be told of other codings, and nobody has offered to switch protocols.
    return bool(got) and got[0].whole and (said.version == b"1.1" or codings in ([], [b"chunked"]))
