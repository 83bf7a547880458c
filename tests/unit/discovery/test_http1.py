"""Requests to a node as bytes, and what its bytes mean."""

import pytest

from sidecar.discovery import http1
from sidecar.discovery.http1 import AnswerReader, NotHttpError, request_bytes


def read(*pieces: bytes, ended: bool = False) -> AnswerReader:
    answer = AnswerReader()
    for piece in pieces:
        answer.feed(piece)
    if ended:
        answer.end()
    return answer


def test_a_request_names_its_host_and_shows_what_it_is_given() -> None:
    """Without a form there is no body and no length."""
    asked = request_bytes("GET", "n:8848", "/nacos/a?b=c", headers={"accessToken": "t"})
    assert asked.startswith(b"GET /nacos/a?b=c HTTP/1.1\r\nHost: n:8848\r\n")
    assert b"\r\naccessToken: t\r\n" in asked
    assert asked.endswith(b"\r\n\r\n")
    assert b"Content-" not in asked


def test_a_form_is_the_body_with_its_length() -> None:
    """Escaped as browsers do it."""
    head, _, body = request_bytes("POST", "n", "/", headers={}, form={"a": "b c", "d": "ü&"}).partition(b"\r\n\r\n")
    assert body == b"a=b+c&d=%C3%BC%26"
    assert b"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 17" in head


@pytest.mark.parametrize("token", ["a\r\nb: c", "a\nb", "a\0", "ü"])
def test_a_token_cannot_bring_fields_of_its_own(token: str) -> None:
    """It comes from a server, and goes to another one perhaps."""
    with pytest.raises(ValueError, match="control characters"):
        request_bytes("GET", "n", "/", headers={"accessToken": token})


@pytest.mark.parametrize(
    ("raw", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
    ],
)
def test_an_answer_is_the_same_however_it_is_framed_and_cut(raw: bytes, reusable: bool) -> None:  # noqa: FBT001 - a column
    """In one piece, or byte by byte."""
    for pieces in ([raw], [bytes([byte]) for byte in raw]):
        answer = read(*pieces)
        assert (answer.complete, answer.status, answer.body, answer.reusable) == (True, 200, b"hello", reusable)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    """Not before."""
    raw = b"HTTP/1.1 200 OK\r\n\r\nhello"
    assert not read(raw).complete
    answer = read(raw, ended=True)
    assert (answer.complete, answer.body, answer.reusable) == (True, b"hello", False)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
def test_an_answer_that_was_cut_is_none(raw: bytes) -> None:
    """A list that lacks its end must not be believed."""
    with pytest.raises(ConnectionError, match="cut"):
        read(raw, ended=True)


@pytest.mark.parametrize("raw", [b"HTTP/1.1 0 \r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\x00\x02\x02\x50"])
def test_what_is_no_answer_says_so(raw: bytes) -> None:
    """A real 2.3 answers a wrong password like the first."""
    with pytest.raises(NotHttpError):
        read(raw)


def test_an_answer_that_nobody_asked_for_spoils_the_connection_only() -> None:
    """The first one counts, whatever follows it."""
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    for second in (b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad", b"garbage"):
        answer = read(first + second)
        assert (answer.status, answer.body, answer.reusable) == (200, b"hello", False)


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Head and body count alike."""
    monkeypatch.setattr(http1, "MAX_ANSWER", 100)
    with pytest.raises(NotHttpError, match="more than 100 bytes"):
        read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"ff\r\n" + b"x" * 255)
