"""Chunked bodies, taken apart and put together."""

from itertools import pairwise

import h11
import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import FAILURES
from sidecar.proxy.http1.chunked import (
    LAST_CHUNK,
    MAX_OVERHEAD,
    MAX_SIZE_LINE,
    MAX_TRAILER_BYTES,
    MAX_TRAILERS,
    ChunkedReader,
    chunk,
    last_chunk,
)
from sidecar.proxy.http1.message import BadMessage

REFUSED = FAILURES["bad_request"]


def reader(*, padded: bool = False) -> ChunkedReader:
    return ChunkedReader(REFUSED, padded=padded)


def refuses(data: bytes, *, padded: bool = False) -> bool:
    try:
        reader(padded=padded).feed(data)
    except BadMessage as refused:
        assert refused.failure is REFUSED
        return True
    return False


def test_payload_trailers_and_what_follows_are_told_apart() -> None:
    """The bytes after the body come back untouched."""
    body = reader()
    assert body.feed(b"3;a=b\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nGET / HT") == [b"abc", b"0123456789"]
    assert (body.done, body.trailers, body.leftover) == (True, b"X-Sum: 1\r\n", b"GET / HT")


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.sampled_from([b"", b"A: b\r\nC: d\r\n"]),
    st.binary(max_size=8),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_a_body_reads_the_same_however_it_is_cut(
    pieces: list[bytes], trailers: bytes, leftover: bytes, cuts: list[int]
) -> None:
    """Chunks, sizes, trailers and the end survive any division of the bytes."""
    wire = b"".join(map(chunk, pieces)) + last_chunk(trailers) + leftover
    body, payload, after = reader(), b"", b""
    for start, end in pairwise([0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]):
        if body.done:
            after += wire[start:end]
            continue
        got = body.feed(wire[start:end])
        assert all(got)
        payload += b"".join(got)
        after = body.leftover
    assert (body.done, payload, body.trailers, after) == (True, b"".join(pieces), trailers, leftover)


@pytest.mark.parametrize(
    "data",
    [
        b"0x3\r\n", b"+3\r\n", b"-3\r\n", b"0_3\r\n", b" 3\r\n", b"3\n", b"3\r\r", b"\r\n", b";a\r\n", b"g\r\n",
        b"3;\0\r\n", b"3;a\nb\r\n", b"\xb2\r\n", b"1" * 16 + b"\r\n", b"3\r\nabcd", b"3\r\nabc\n", b"3\r\nabc\rx",
        b"0\r\nA b\r\n\r\n", b"0\r\nA: b\n\r\n", b"0\r\nA : b\r\n\r\n", b"0\r\n A: b\r\n\r\n", b"0\r\nA: \0\r\n\r\n", b"3 x\r\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("padded", [False, True])
def test_malformed_framing_is_refused_as_soon_as_it_is_seen(data: bytes, padded: bool) -> None:  # noqa: FBT001
    """Neither requests nor answers may bend the framing, and nothing waits for more to say so."""
    assert refuses(data, padded=padded)


@pytest.mark.parametrize("size", [b"3 \r\n", b"3\t\r\n", b"3 ;x\r\n"])
def test_padded_sizes_pass_in_answers_only(size: bytes) -> None:
    """Legacy providers fill the size field with spaces; in a request that is an attack."""
    assert refuses(size)
    assert reader(padded=True).feed(size + b"abc\r\n") == [b"abc"]


def test_overhead_is_bounded() -> None:
    """One size line, the extensions of a message, and its trailers each have a limit."""
    assert refuses(b"1;" + b"a" * MAX_SIZE_LINE)
    assert refuses(b"1;" + b"a" * MAX_SIZE_LINE + b"\r\n")
    assert refuses((b"1;" + b"a" * 4000 + b"\r\nx\r\n") * (MAX_OVERHEAD // 4000 + 1))
    assert refuses(b"0\r\nA: " + b"a" * MAX_TRAILER_BYTES)
    assert refuses(b"0\r\nA: " + b"a" * MAX_TRAILER_BYTES + b"\r\n\r\n")
    assert refuses(b"0\r\n" + b"A: b\r\n" * (MAX_TRAILERS + 1) + b"\r\n")
    assert not refuses(b"0\r\n" + b"A: b\r\n" * MAX_TRAILERS + b"\r\n")
    assert not refuses(b"1\r\nx\r\n" * MAX_OVERHEAD)


def test_a_long_stream_may_have_as_many_extensions_as_its_payload_pays_for() -> None:
    """A signature with each chunk is no attack, however long it goes on; and nothing is saved up for one."""
    signed = b"1000;" + b"s" * 85 + b"\r\n" + b"x" * 4096 + b"\r\n"
    assert not refuses(signed * 2000)
    assert refuses(signed * 2000 + (b"1;" + b"a" * 4000 + b"\r\nx\r\n") * (MAX_OVERHEAD // 4000 + 1))


def test_trailers_that_would_change_the_message_are_dropped() -> None:
    """Framing, routing, authentication and our own names never pass as trailers; others keep their order."""
    lines = b"B: 1\r\nContent-Length: 3\r\nhost: x\r\na: 2\r\nSet-Cookie: c\r\nx-sidecar-error: e\r\nTransfer-Encoding: z\r\n"
    assert last_chunk(lines) == b"0\r\nB: 1\r\na: 2\r\n\r\n"
    assert last_chunk(b"Host: x\r\n") == last_chunk() == LAST_CHUNK


PIECES = (
    b"3\r\nabc\r\n",
    b"0\r\n",
    b"\r\n",
    b"a;x=y\r\n0123456789\r\n",
    b"A: b\r\n",
    b"3 \r\n",
    b"\n",
    b"\r",
    b"x",
    b"0x1",
    b";",
    b" ",
)


def by_httptools(wire: bytes) -> tuple[bytes, bool] | None:
    """Payload and whether it is complete; None: refused."""

    class Seen:
        payload, done = b"", False

        def on_body(self, piece: bytes) -> None:
            self.payload += piece

        def on_message_complete(self) -> None:
            self.done = True

    seen = Seen()
    try:
        httptools.HttpRequestParser(seen).feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + wire)
    except httptools.HttpParserError:
        return (seen.payload, True) if seen.done else None
    return seen.payload, seen.done


@given(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join))
def test_httptools_agrees(wire: bytes) -> None:
    """What we read to its end httptools reads alike, but for spaces in extensions, which only RFC 9112 allows."""
    body = reader()
    try:
        ours = b"".join(body.feed(wire)), body.done
    except BadMessage:
        theirs = by_httptools(wire)
        assert theirs is None or not theirs[1]
        return
    theirs = by_httptools(wire)
    assert theirs == ours or (theirs is None and (not body.done or b";" in wire))


def test_a_strict_reader_takes_what_we_write() -> None:
    """h11 finds payload and trailers again."""
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.receive_data(chunk(b"abc" * 100) + chunk(b"d") + last_chunk(b"X-Sum: 1\r\n"))
    assert isinstance(peer.next_event(), h11.Request)
    payload = b""
    while isinstance(event := peer.next_event(), h11.Data):
        payload += event.data
    assert payload == b"abc" * 100 + b"d"
    assert isinstance(event, h11.EndOfMessage)
    assert list(event.headers) == [(b"x-sum", b"1")]
