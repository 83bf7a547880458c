"""What the fields of an answer tell, before its status is considered."""

import pytest

from sidecar.proxy.http1.message import REMEMBERED_BYTES, BadMessage
from sidecar.proxy.http1.response_fields import ResponseFields, response_fields


def understood(*lines: bytes) -> tuple[ResponseFields, bytes]:
    found = response_fields(b"\r\n".join([b"", *lines, b""]))
    assert found is not None
    return found


def test_a_block_against_the_grammar_is_nothing() -> None:
    """The other reader is asked then."""
    assert response_fields(b"\r\nA : b\r\n") is None


def test_lines_are_remembered_if_short() -> None:
    """The same lines give the same object, but long ones are not kept."""
    long = b"Connection: " + b"a" * REMEMBERED_BYTES
    assert understood(b"Connection: a")[0] is understood(b"Connection: a")[0]
    assert understood(long)[0] is not understood(long)[0]


def test_noted_lines_are_understood_once_among_others_that_vary() -> None:
    """A new date makes a new block of the old lines."""
    first, second = (understood(b"Content-Length: 3", b"Date: %d" % number) for number in (1, 2))
    assert first[0] is second[0]
    assert (first[1], second[1]) == (b"\r\nContent-Length: 3\r\nDate: 1\r\n", b"\r\nContent-Length: 3\r\nDate: 2\r\n")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"timeout=5", 5), (b'max=9, Timeout = "7"', 7), (b"max=9", None), (b"timeout=x", None), (b"timeout=-1", None)],
)
def test_keep_alive_tells_its_seconds(value: bytes, seconds: int | None) -> None:
    """Only a plain number is believed."""
    assert understood(b"Keep-Alive: " + value)[0].keep_alive_timeout == seconds


def test_equal_lengths_collapse_and_others_are_refused() -> None:
    """However they are repeated, one Content-Length remains."""
    fields, block = understood(b"Content-Length: 5, 5", b"A: b", b"content-length: 5")
    assert (fields.length, block) == (5, b"\r\nA: b\r\nContent-Length: 5\r\n")
    for lines in ([b"Content-Length: 5,6"], [b"Content-Length: 5", b"Content-Length: 05"], [b"Content-Length: 5,"]):
        with pytest.raises(BadMessage):
            understood(*lines)


def test_codings_win_over_a_length() -> None:
    """The length is removed, and the mixture is noted; `identity` means no coding."""
    mixed, block = understood(b"Content-Length: 5", b"Transfer-Encoding: chunked")
    assert (mixed.chunked, mixed.mixed, block) == (True, True, b"\r\n")
    plain, block = understood(b"Content-Length: 5", b"Transfer-Encoding: identity")
    assert (plain.chunked, plain.mixed, block) == (False, False, b"\r\nContent-Length: 5\r\n")
    coded, _ = understood(b"Transfer-Encoding: GZIP", b"Transfer-Encoding: chunked, chunked")
    assert (coded.chunked, coded.codings) == (True, [b"gzip"])


def test_trailers_may_be_announced() -> None:
    """The announcement goes on."""
    fields, block = understood(b"Trailer: X-Sum")
    assert (fields.trailers_declared, block) == (True, b"\r\nTrailer: X-Sum\r\n")
