"""Answer heads: what is read, how the payload ends, and what the app gets."""

import re

import h11
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sidecar.cluster.policy import Limits
from sidecar.proxy.http1.message import REMEMBERED_BYTES, BadMessage, Framing
from sidecar.proxy.http1.request import RequestHead, read_request
from sidecar.proxy.http1.response import ResponseHead, read_response
from tests.support.http1_heads import mutated, response_heads

LIMITS = Limits()


def request(start: bytes = b"GET / HTTP/1.1", *lines: bytes) -> RequestHead:
    head = read_request(b"\r\n".join([start, b"Host: a", *lines, b"", b""]), LIMITS)
    assert head is not None
    return head


GET = request()
HEAD = request(b"HEAD / HTTP/1.1")
OLD = request(b"GET / HTTP/1.0", b"Connection: keep-alive")
OFFER = request(b"GET / HTTP/1.1", b"Connection: upgrade", b"Upgrade: websocket")


def answer(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([start, *lines, b"", b""])


def read(data: bytes, to: RequestHead = GET, limits: Limits = LIMITS) -> ResponseHead:
    head = read_response(data, to, limits)
    assert head is not None
    return head


def refusal(data: bytes, to: RequestHead = GET, limits: Limits = LIMITS) -> str:
    with pytest.raises(BadMessage) as caught:
        read_response(data, to, limits)
    return caught.value.failure.reason


def test_an_ordinary_answer_passes_byte_by_byte() -> None:
    """Order, case, repetition and foreign bytes of the fields are kept, as is the reason."""
    data = answer(
        b"Set-cookie: a", b"X-B:  \xc4\xe3", b"SET-COOKIE: b", b"content-length: 3", start=b"HTTP/1.1 200 \xba\xc3"
    )
    head = read(data + b"abc")
    assert (head.size, head.framing, head.length, head.reusable) == (len(data), Framing.LENGTH, 3, True)
    assert head.to_app(GET, keep_alive=True) == data
    assert repr(head) == "<200 3 bytes>"


@pytest.mark.parametrize("cut", range(len(answer(b"X: y"))))
def test_every_prefix_of_an_answer_waits_for_more(cut: int) -> None:
    """A head cut at any byte is incomplete, not wrong."""
    assert read_response(answer(b"X: y")[:cut], GET, LIMITS) is None


def test_equal_heads_are_read_once_if_short() -> None:
    """The same bytes give the same object, but not to HEAD; long heads are not kept."""
    one, long = answer(b"Content-Length: 3"), answer(b"A: " + b"a" * REMEMBERED_BYTES)
    assert read(one + b"abc") is read(one + b"def")
    assert read(one) is not read(one, HEAD)
    assert read(long) is not read(long)


def test_fields_are_counted_to_the_limit() -> None:
    """Exactly the limit passes, also for a head that was read before under a wider one."""
    data = answer(b"A:", b"B:", b"C:")
    assert read(data, limits=Limits(max_headers=3)).lines == 3
    assert refusal(data, limits=Limits(max_headers=2)) == "protocol"


def test_fields_of_one_hop_end_here() -> None:
    """Hop-by-hop fields, what Connection names and forged fields of ours do not reach the app."""
    head = read(
        answer(
            b"Connection: keep-alive, X-Hop",
            b"X-Hop: 1",
            b"Keep-Alive: timeout=5, max=9",
            b"X-Sidecar-Error: UF",
            b"Proxy-Connection: a",
            b"Upgrade: h2",
            b"x-sidecar-x: b",
            b"Content-Length: 0",
            b"A: b",
        )
    )
    assert head.to_app(GET, keep_alive=True) == answer(b"Content-Length: 0", b"A: b")
    assert (head.keep_alive_timeout, head.reusable) == (5, True)


@pytest.mark.parametrize(
    ("data", "framing", "length", "reusable"),
    [
        (answer(b"Content-Length: 5"), Framing.LENGTH, 5, True),
        (answer(b"Content-Length: 0"), Framing.NONE, 0, True),
        (answer(b"Content-Length: 5", b"Connection: close"), Framing.LENGTH, 5, False),
        (answer(b"Transfer-Encoding: chunked"), Framing.CHUNKED, 0, True),
        (answer(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), Framing.CHUNKED, 0, True),
        (answer(b"Transfer-Encoding: gzip, chunked"), Framing.CHUNKED, 0, True),
        (answer(b"Transfer-Encoding: gzip"), Framing.UNTIL_CLOSE, 0, False),
        (answer(b"Transfer-Encoding: identity", b"Content-Length: 5"), Framing.LENGTH, 5, True),
        (answer(b"Transfer-Encoding: chunked", b"Content-Length: 5"), Framing.CHUNKED, 0, False),
        (answer(b"Transfer-Encoding: chunked", start=b"HTTP/1.0 200 OK"), Framing.CHUNKED, 0, False),
        (answer(), Framing.UNTIL_CLOSE, 0, False),
        (answer(b"Content-Length: 5", start=b"HTTP/1.0 200 OK"), Framing.LENGTH, 5, False),
        (answer(b"Content-Length: 5", b"Connection: keep-alive", start=b"HTTP/1.0 200 OK"), Framing.LENGTH, 5, True),
        (answer(b"Content-Length: 5", start=b"HTTP/1.1 304 Not Modified"), Framing.NONE, 0, True),
        (answer(b"Content-Length: 5", start=b"HTTP/1.1 204 No Content"), Framing.NONE, 0, True),
        (answer(b"Transfer-Encoding: chunked", start=b"HTTP/1.1 204 No Content"), Framing.NONE, 0, True),
        (answer(b"Content-Length: 5", start=b"HTTP/1.1 700 x"), Framing.LENGTH, 5, True),
    ],
)
def test_the_payload_ends_where_the_rules_say(data: bytes, framing: Framing, length: int, reusable: bool) -> None:  # noqa: FBT001
    """RFC 9112 §6.3, read leniently; a doubtful or open end costs the connection."""
    head = read(data)
    assert (head.framing, head.length, head.reusable) == (framing, length, reusable)


def test_an_answer_to_head_has_no_body() -> None:
    """Whatever its fields say, and its length goes on."""
    head = read(answer(b"Content-Length: 5"), HEAD)
    assert (head.framing, head.reusable) == (Framing.NONE, True)
    assert head.to_app(HEAD, keep_alive=True) == answer(b"Content-Length: 5")
    assert read(answer(), HEAD).reusable


def test_bodiless_answers_carry_no_framing_but_the_length_of_304() -> None:
    """204 loses length and codings, 304 keeps its length."""
    for start in (b"HTTP/1.1 204 No Content", b"HTTP/1.1 103 Early Hints"):
        head = read(answer(b"Content-Length: 5", b"Transfer-Encoding: chunked", b"A: b", start=start))
        assert head.to_app(GET, keep_alive=True) == answer(b"A: b", start=start)
    kept = answer(b"Content-Length: 5", start=b"HTTP/1.1 304 Not Modified")
    assert read(kept).to_app(GET, keep_alive=True) == kept


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (answer(), b"Transfer-Encoding: chunked"),
        (answer(b"Transfer-Encoding: chunked"), b"Transfer-Encoding: chunked"),
        (answer(b"Content-Length: 3", b"Transfer-Encoding: chunked"), b"Transfer-Encoding: chunked"),
        (answer(b"Transfer-Encoding: gzip, chunked"), b"Transfer-Encoding: gzip, chunked"),
        (answer(b"Transfer-Encoding: gzip"), b"Transfer-Encoding: gzip, chunked"),
    ],
)
def test_an_open_payload_goes_on_in_chunks(data: bytes, line: bytes) -> None:
    """The app's connection survives an end by close; codings that the payload carries are stated."""
    head = read(data)
    assert head.chunked_to(GET)
    assert head.keeps_app(GET)
    assert head.to_app(GET, keep_alive=True) == answer(line)


def test_http_1_0_apps_get_no_chunks() -> None:
    """They read until close, or a length; a coded payload cannot be told to them."""
    head = read(answer(b"Transfer-Encoding: chunked"))
    assert (head.chunked_to(OLD), head.keeps_app(OLD)) == (False, False)
    assert head.to_app(OLD, keep_alive=False) == answer(b"Connection: close")
    sized = read(answer(b"Content-Length: 1"))
    assert sized.keeps_app(OLD)
    assert sized.to_app(OLD, keep_alive=True) == answer(b"Content-Length: 1", b"Connection: keep-alive")
    with pytest.raises(BadMessage):
        read(answer(b"Transfer-Encoding: gzip, chunked")).to_app(OLD, keep_alive=False)


def test_an_app_that_closes_is_told_so() -> None:
    """`Connection: close` goes to an app whose connection ends, after our own lines only."""
    closing = request(b"GET / HTTP/1.1", b"Connection: close")
    head = read(answer(b"Content-Length: 0"))
    assert not head.keeps_app(closing)
    assert head.to_app(closing, keep_alive=False, extra=b"x-sidecar-attempts: 1\r\n") == answer(
        b"Content-Length: 0", b"Connection: close", b"x-sidecar-attempts: 1"
    )


def test_interim_answers_go_on_bare() -> None:
    """100 and 103 are no final answers and say nothing of the connection."""
    head = read(answer(b"Link: a", start=b"HTTP/1.1 103 Early Hints") + answer())
    assert head.interim
    assert head.to_app(GET, keep_alive=False) == answer(b"Link: a", start=b"HTTP/1.1 103 Early Hints")


def test_a_switch_of_protocols_needs_an_offer() -> None:
    """101 is final, ends the reuse of the connection, and is an error when nobody asked or nothing is named."""
    data = answer(b"Upgrade: websocket", b"Connection: Upgrade", b"A: b", start=b"HTTP/1.1 101 Switching Protocols")
    head = read(data + b"\x81", OFFER)
    assert (head.interim, head.upgrade, head.reusable, head.size) == (False, b"websocket", False, len(data))
    assert head.to_app(OFFER, keep_alive=True) == answer(
        b"A: b", b"Connection: upgrade", b"Upgrade: websocket", start=b"HTTP/1.1 101 Switching Protocols"
    )
    assert refusal(data, GET) == "protocol"
    assert refusal(answer(start=b"HTTP/1.1 101 Switching Protocols"), OFFER) == "protocol"


def test_an_endpoint_announces_that_it_leaves() -> None:
    """503 with Retry-After, the configured field, or Connection: close."""
    assert read(answer(b"Retry-After: 1", start=b"HTTP/1.1 503 x")).leaving(None)
    assert not read(answer(b"Retry-After: 1")).leaving(None)
    assert not read(answer(start=b"HTTP/1.1 503 x")).leaving(b"x-offline")
    assert read(answer(b"X-Offline: true")).leaving(b"x-offline")
    assert read(answer(b"Connection: close")).closes
    assert not read(answer(start=b"HTTP/1.0 200 OK")).closes


@pytest.mark.parametrize(
    ("data", "clean", "repaired"),
    [
        (b"HTTP/1.1 200 OK\nA: b\nContent-Length: 0\n\n", answer(b"A: b", b"Content-Length: 0"), True),
        (b"HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\n\r\n", answer(b"A: b", b"Content-Length: 0"), True),
        (b"\r\n" + answer(b"Content-Length: 0"), answer(b"Content-Length: 0"), False),
        (
            answer(b"Content-Length: 0", start=b"HTTP/1.1 200"),
            answer(b"Content-Length: 0", start=b"HTTP/1.1 200 "),
            False,
        ),
        (answer(b"Content-Length: 5, 5"), answer(b"Content-Length: 5"), False),
        (answer(b"Content-Length: 5", b"A: b", b"Content-Length: 5"), answer(b"A: b", b"Content-Length: 5"), False),
        (answer(b"A: b", b"\t c", b"Content-Length: 0"), answer(b"A: b c", b"Content-Length: 0"), True),
        (answer(b"A : b", b"Content-Length: 0"), answer(b"A: b", b"Content-Length: 0"), True),
        (answer(b"Content-Length: 0", start=b"http/1.1 200 OK"), answer(b"Content-Length: 0"), True),
        (answer(b"Content-Length: 0", start=b"HTTP/1.1  200 OK"), answer(b"Content-Length: 0"), True),
    ],
)
def test_sloppy_answers_are_made_clean(data: bytes, clean: bytes, repaired: bool) -> None:  # noqa: FBT001
    """What legacy providers send is read, counted when it took a repair, and written by the book."""
    head = read(data + b"body")
    assert (head.to_app(GET, keep_alive=True), head.size, head.repaired) == (clean, len(data), repaired)


def test_a_blank_line_of_lf_ends_the_head_before_any_later_one() -> None:
    """A body that holds CRLF CRLF is not taken for the end of a head that ended with LF LF."""
    head = read(b"HTTP/1.1 200 OK\nContent-Length: 8\n\nab\r\n\r\ncd")
    assert head.size == len(b"HTTP/1.1 200 OK\nContent-Length: 8\n\n")


@pytest.mark.parametrize(
    "data",
    [
        answer(b"Content-Length: 5, 6"),
        answer(b"Content-Length: 5", b"Content-Length: 6"),
        answer(b"Content-Length: -1"),
        answer(b"Content-Length: a"),
        answer(b"Content-Length:"),
        answer(b"Transfer-Encoding: chunked, gzip"),
        answer(b"Transfer-Encoding: :chunked"),
        answer(b"A: \0"),
        answer(b"no colon"),
        answer(start=b"HTTP/1.1 99 x"),
        answer(start=b"HTTP/1.1 099 x"),
        answer(start=b"HTTP/1.1 2000 x"),
        answer(start=b"HTTP/1.2 200 x"),
        answer(start=b"HTTP/2.0 200 x"),
        answer(start=b"ICY 200 OK"),
        b"SSH-2.0-OpenSSH",
        b"<html>",
    ],
)
def test_what_is_no_answer_is_a_protocol_failure(data: bytes) -> None:
    """Ambiguous framing, control bytes, other versions and other protocols are not guessed at."""
    assert refusal(data) == "protocol"


def test_limits_hold_for_answers() -> None:
    """Too many bytes, complete or not, and too many fields are protocol failures."""
    limits = Limits(max_header_bytes=1024, max_headers=2)
    assert refusal(answer(b"A: " + b"a" * 1100), limits=limits) == "protocol"
    assert refusal(answer(b"A: " + b"a" * 1100)[:-4], limits=limits) == "protocol"
    assert refusal(answer(b"A: 1", b"B: 2", b"C: 3"), limits=limits) == "protocol"
    assert read(answer(b"A: 1", b"B: 2"), limits=limits).status == 200


@given(mutated(response_heads), st.sampled_from([GET, HEAD, OLD, OFFER]))
def test_whatever_goes_on_is_one_answer_to_a_strict_reader(data: bytes, to: RequestHead) -> None:
    """Any bytes are refused, incomplete, or become a head that h11 reads as one answer with the same framing."""
    try:
        head = read_response(data, to, LIMITS)
        assume(head is not None)
        assert head is not None
        wire = head.to_app(to, keep_alive=head.keeps_app(to))
    except BadMessage as refused:
        assert refused.failure.reason == "protocol"
        return
    peer = h11.Connection(h11.CLIENT)
    offer = [("Connection", "upgrade"), ("Upgrade", "websocket")] if to is OFFER else []
    peer.send(h11.Request(method=to.method, target="/", headers=[("Host", "a"), *offer]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(re.sub(rb"gzip, |identity, ", b"", wire))  # codings that h11 does not know
    event = peer.next_event()
    assert isinstance(event, h11.InformationalResponse if head.status < 200 else h11.Response)
    assert event.status_code == head.status
    names = [name for name, _ in event.headers]
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert not any(name.startswith(b"x-sidecar-") for name in names)
    if head.status >= 200:
        following = peer.next_event()
        assert (following is h11.NEED_DATA) is (head.framing is not Framing.NONE)
