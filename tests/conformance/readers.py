"""The pure readers of the data path against each other, and against others: no socket, thousands of inputs a second.

For any bytes: what comes out does not depend on where they were cut into packets; the reader of plain spelling and
the one of odd spelling mean the same; h11 reads the same requests, and the lenient reader the same answer; and what
is written out again reads as what was read.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sidecar.cluster.policy import Limits
from sidecar.proxy.http1 import parser, request, response
from sidecar.proxy.http1.body import ChunkedBody, LengthBody, UntilCloseBody
from sidecar.proxy.http1.chunked import ChunkedReader, chunk, last_chunk
from sidecar.proxy.http1.message import BAD_REQUEST, PROTOCOL, BadMessage, Framing
from sidecar.proxy.http1.repair import repair
from sidecar.proxy.http1.request import RequestHead, read_request
from sidecar.proxy.http1.response import ResponseHead, read_response
from tests.conformance.differential import essence
from tests.support.lenient_reader import read_answer
from tests.support.strict_instance import Reading, read_all

LIMITS = Limits()

_ASKED = {method: b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method for method in (b"GET", b"HEAD")}


_FRAMING = re.compile(rb"(?im)^(?:content-length|transfer-encoding):").search


@dataclass
class Outcome:
    """What a reader made of a stream of requests."""

    wire: list[bytes] = field(default_factory=list)
    """Each whole request as an instance would get it."""
    failure: str | None = None
    """The reason of the refusal that ended it."""
    beyond_h11: bool = False
    """A trailer that is left out would be refused by h11, which takes trailers for fields of a head."""


def judge_requests(data: bytes) -> None:
    """Raises AssertionError where readers of requests differ."""
    whole = requests_in([data])
    for at in _cuts(data):
        cut = requests_in([data[:at], data[at:]])
        assert cut.wire == whole.wire, f"cut at {at}, it is read in another way"
        # Of several faults another may be met first: then the refusal has another reason, but it stays one.
        assert (cut.failure is None) == (whole.failure is None), f"cut at {at}, it is judged in another way"
    heard = Reading()
    heard.feed(b"".join(whole.wire))
    assert heard.error is None, "what goes on is not HTTP"
    assert not heard.partial
    assert len(heard.whole) == len(whole.wire), "another number of requests goes on"
    if whole.beyond_h11:
        return
    said = read_all(data).whole
    assert list(map(essence, heard.whole)) == list(map(essence, said[: len(heard.whole)])), "other requests than sent"
    assert not any(one.ambiguous for one in heard.whole + said[: len(heard.whole)]), "a request with two meanings"


def requests_in(packets: Sequence[bytes]) -> Outcome:
    """As a connection of an app reads them, with bodies made anew."""
    outcome = Outcome()
    try:
        for head, body in _requests_in(iter(packets)):
            outcome.wire.append(head.to_instance(head.authority or b"a") + body.wire)
            outcome.beyond_h11 = outcome.beyond_h11 or _FRAMING(body.trailers) is not None
    except BadMessage as error:
        outcome.failure = error.failure.reason
    return outcome


def _requests_in(packets: Iterator[bytes]) -> "Iterator[tuple[RequestHead, _RequestBody]]":
    data = b""
    for packet in packets:
        data += packet
        while data and (head := read_request(data, LIMITS)) is not None:
            judge_spelling(data[: head.size], head)
            body = _RequestBody(head)
            data = body.feed(data[head.size :])
            while not body.done:
                if (more := next(packets, None)) is None:
                    return
                data = body.feed(more)
            yield head, body
            if not head.keep_alive:
                return


class _RequestBody:
    """A body gathered, and spelled in one way however it came."""

    def __init__(self, head: RequestHead) -> None:
        self._length = LengthBody(head.length) if head.framing is Framing.LENGTH else None
        self._chunks = ChunkedReader(BAD_REQUEST, padded=False) if head.framing is Framing.CHUNKED else None
        self._payload = b""
        self.done = head.framing is Framing.NONE

    def feed(self, data: bytes) -> bytes:
        """What follows it."""
        if self._length is not None:
            self._payload += self._length.feed(data)
            self.done = self._length.done
            return self._length.leftover
        if self._chunks is not None:
            self._payload += b"".join(self._chunks.feed(data))
            self.done = self._chunks.done
            return self._chunks.leftover
        return data

    @property
    def trailers(self) -> bytes:
        """As they came."""
        return self._chunks.trailers if self._chunks is not None else b""

    @property
    def wire(self) -> bytes:
        if self._chunks is None:
            return self._payload
        return (chunk(self._payload) if self._payload else b"") + last_chunk(self.trailers)


def judge_spelling(raw: bytes, head: RequestHead) -> None:
    """httptools, the reader of odd spelling, finds the same in a head of plain spelling."""
    if request._read_strict(raw, LIMITS) is None:
        return
    try:
        other = request._read_strict(parser.clean_request(raw), LIMITS)
    except BadMessage as error:
        raise AssertionError(f"httptools would have refused it: {error}") from error
    assert other is not None, "httptools rewrites a head as none"
    assert _meaning(other) == _meaning(head), "two readers, two meanings"


def _meaning(head: RequestHead) -> tuple[object, ...]:
    fields = [line.partition(b":") for line in head.block.split(b"\r\n")]
    values = [(name, value.strip(b" \t")) for name, _, value in fields]
    end = (head.framing, head.length, head.keep_alive, head.upgrade, head.te_trailers, head.tail)
    return head.method, head.target, head.minor, head.authority, head.request_id, values, end


def judge_answer(method: bytes, data: bytes) -> None:
    """Raises AssertionError where readers of one answer differ; the instance closes behind `data`."""
    whole = answer_in([data], method)
    for at in _cuts(data):
        cut = answer_in([data[:at], data[at:]], method)
        if whole.failure is not None:  # what came before the fault may have gone on
            assert cut.payload.startswith(whole.payload)
            whole.payload = cut.payload = b""
        assert cut == whole, f"cut at {at}, it is read in another way"
    if whole.head is None:
        return
    meant = read_answer(data, method)
    assert meant is not None, "an answer where there is none"
    assert whole.head[0] == meant.status, "another status"
    assert meant.body.startswith(whole.payload), "another body"
    if whole.complete:
        assert meant.complete, "cut, and looks whole"
        assert whole.payload == meant.body, "a part of the body"


@dataclass
class Answer:
    """What a reader made of the bytes of an instance, up to its final answer."""

    interim: list[bytes] = field(default_factory=list)
    head: tuple[int, bytes] | None = None
    """Status, and the head as an app gets it."""
    payload: bytes = b""
    complete: bool = False
    failure: str | None = None


def answer_in(packets: Sequence[bytes], method: bytes) -> Answer:
    """As a connection to an instance reads it."""
    asked = read_request(_ASKED[method], LIMITS)
    assert asked is not None
    answer = Answer()
    try:
        _read_answer(answer, asked, packets)
    except BadMessage as error:
        answer.failure = error.failure.reason
    return answer


def _read_answer(answer: Answer, asked: RequestHead, packets: Sequence[bytes]) -> None:
    data = b""
    body: LengthBody | ChunkedBody | UntilCloseBody | None = None
    for packet in packets:
        data += packet
        while body is None and data and (head := read_response(data, asked, LIMITS)) is not None:
            judge_repair(data[: head.size], head, bodiless=asked.method == b"HEAD")
            data = data[head.size :]
            if head.interim:
                answer.interim.append(head.to_app(asked, keep_alive=True))
                continue
            answer.head = head.status, head.to_app(asked, keep_alive=True)
            body = _answer_body(head)
            if body is None:
                answer.complete = True
                return
        if body is not None and data:
            answer.payload += body.feed(data)
            data = b""
            if body.done:
                answer.complete = True
                return
    answer.complete = isinstance(body, UntilCloseBody)


def _answer_body(head: ResponseHead) -> LengthBody | ChunkedBody | UntilCloseBody | None:
    if head.framing is Framing.LENGTH:
        return LengthBody(head.length)
    if head.framing is Framing.CHUNKED:
        return ChunkedBody(PROTOCOL, padded=True, chunks=False)
    return UntilCloseBody(chunks=False) if head.framing is Framing.UNTIL_CLOSE else None


def judge_repair(raw: bytes, head: ResponseHead, *, bodiless: bool) -> None:
    """`repair` leaves an answer of plain spelling what it is."""
    if response._read_strict(raw, bodiless) is None:
        return
    try:
        other = response._read_strict(repair(raw), bodiless)
    except BadMessage as error:
        raise AssertionError(f"beyond repair: {error}") from error
    assert other is not None, "the repaired answer is none"
    assert (other.status, other.minor, other.framing, other.length, other.closes, other.reusable) == (
        *(head.status, head.minor, head.framing, head.length, head.closes, head.reusable),
    ), "repaired, it means something else"


def _cuts(data: bytes) -> Iterator[int]:
    """Every place in a short text, else a few dozen of them."""
    return iter(range(1, len(data), max(1, len(data) // 40)))
