"""Bodies pass through whatever the pieces they come in."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import FAILURES
from sidecar.proxy.http1.body import Body, ChunkedBody, LengthBody, RawBody, UntilCloseBody
from sidecar.proxy.http1.message import BadMessage

BAD = FAILURES["bad_request"]
WIRE = b"4\r\nsome\r\n5;x=y\r\n body\r\n0\r\nTrailer-A: 1\r\n\r\n"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at the given places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places) if a < b]


def run(body: Body, data: bytes, cuts: list[int]) -> bytes:
    out = b""
    for piece in pieces(data, cuts):
        assert not body.done
        out += body.feed(piece)
    return out


@given(st.lists(st.integers(0, 100)))
def test_a_chunked_body_is_the_same_payload_however_it_is_cut(cuts: list[int]) -> None:
    """Raw payload for a side without chunks; extensions are gone."""
    body = ChunkedBody(BAD, padded=False, chunks=False)
    assert run(body, WIRE, cuts) == b"some body"
    assert (body.done, body.payload, body.leftover) == (True, 9, b"")


@given(st.lists(st.integers(0, 100)))
def test_what_is_framed_anew_reads_as_the_same_body(cuts: list[int]) -> None:
    """The chunks that we write are read back to the same payload and trailers."""
    wire = run(ChunkedBody(BAD, padded=False), WIRE, cuts)
    again = ChunkedBody(BAD, padded=False, chunks=False)
    assert again.feed(wire) == b"some body"
    assert again.done
    assert b"Trailer-A: 1\r\n" in wire


def test_trailers_are_dropped_where_nobody_wants_them() -> None:
    """The last chunk stays."""
    wire = ChunkedBody(BAD, padded=False, trailers=False).feed(WIRE)
    assert wire.endswith(b"\r\n0\r\n\r\n")


def test_what_follows_a_body_is_left_over() -> None:
    """It belongs to the next message, or to nobody."""
    chunked = ChunkedBody(BAD, padded=False)
    chunked.feed(WIRE + b"next")
    assert chunked.leftover == b"next"
    counted = LengthBody(3)
    assert counted.feed(b"abcdef") == b"abc"
    assert (counted.done, counted.payload, counted.leftover) == (True, 3, b"def")


@given(st.binary(min_size=1, max_size=64), st.lists(st.integers(0, 100)))
def test_a_counted_body_is_done_with_its_last_byte(data: bytes, cuts: list[int]) -> None:
    """Not before."""
    body = LengthBody(len(data))
    assert run(body, data, cuts) == data
    assert body.done


def test_bytes_that_go_another_way_are_counted_as_well() -> None:
    """A part here, a part there; it is done with the last of them."""
    body = LengthBody(5)
    assert body.feed(b"ab") == b"ab"
    body.skip(2)
    assert (body.payload, body.left, body.done) == (4, 1, False)
    body.skip(1)
    assert body.done


def test_an_open_body_is_complete_only_by_its_end() -> None:
    """The last chunk goes out with a clean FIN alone."""
    body = UntilCloseBody(chunks=True)
    assert body.feed(b"some") == b"4\r\nsome\r\n"
    assert not body.done
    assert body.end() == b"0\r\n\r\n"
    assert body.done
    plain = UntilCloseBody(chunks=False)
    assert plain.feed(b"some") + plain.end() == b"some"


def test_raw_bytes_never_end() -> None:
    """They are counted, no more."""
    body = RawBody()
    assert body.feed(b"\x00anything") == b"\x00anything"
    assert (body.done, body.payload) == (False, 9)


def test_bad_framing_is_told_with_the_row_it_was_given() -> None:
    """The app's fault in requests, the instance's in answers."""
    with pytest.raises(BadMessage) as caught:
        ChunkedBody(FAILURES["protocol"], padded=True).feed(b"zz\r\n")
    assert caught.value.failure is FAILURES["protocol"]
