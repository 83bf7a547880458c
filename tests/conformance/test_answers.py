"""Answers: raw bytes from the instance, raw bytes to the app. The ids are those of docs/reference/http.md."""

import pytest

from tests.conformance.wire import crossing

pytestmark = pytest.mark.one_loop

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
OLD = b"GET / HTTP/1.0\r\n\r\n"
OLD_KEPT = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
WANTS_TRAILERS = GET.replace(b"close", b"close, TE").replace(b"\r\n\r\n", b"\r\nTE: trailers\r\n\r\n")
CLOSE = b"Connection: close"


def answer(*fields: bytes, body: bytes = b"", start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([start, *fields]) + b"\r\n\r\n" + body


def counted(*fields: bytes, body: bytes = b"ok", start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return answer(b"Content-Length: %d" % len(body), *fields, body=body, start=start)


CHUNKS = b"2\r\nok\r\n0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"

PASSED: list[tuple[str, bytes, bytes, bytes]] = [
    ("H-01", GET, counted(b"X: \xc4\xe3\xff", start=b"HTTP/1.1 200 \xba\xc3"),
     counted(b"X: \xc4\xe3\xff", CLOSE, start=b"HTTP/1.1 200 \xba\xc3")),
    ("H-03", GET, b"HTTP/1.1 200 OK\r\n  stray\r\nContent-Length: 2\r\n\r\nok", counted(CLOSE)),
    ("H-05", GET, b"HTTP/1.1 200 OK\nContent-Length: 2\nX: y\n\nok", counted(b"X: y", CLOSE)),
    ("H-06", GET, counted(start=b"HTTP/1.0 200 OK"), counted(CLOSE)),
    ("H-06", OLD, answer(CHUNKED, body=CHUNKS), answer(CLOSE, body=b"ok")),
    ("H-06", OLD, answer(start=b"HTTP/1.1 103 Early Hints") + counted(), counted(CLOSE)),
    ("H-16", GET, b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", counted(CLOSE)),
    ("H-17", GET, counted(b"X: a\r\n  b\r\n\tc"), counted(b"X: a b c", CLOSE)),
    ("H-19", GET, counted(b"Set-Cookie: a", b"x: 1", b"set-cookie: b", b"X: 2"),
     counted(b"Set-Cookie: a", b"x: 1", b"set-cookie: b", b"X: 2", CLOSE)),
    ("H-21", GET, answer(CHUNKED, start=b"HTTP/1.1 204 No Content"), answer(CLOSE, start=b"HTTP/1.1 204 No Content")),
    ("H-21", GET, answer(CHUNKED, start=b"HTTP/1.1 103 Early Hints") + counted(),
     answer(start=b"HTTP/1.1 103 Early Hints") + counted(CLOSE)),
    ("H-22", GET, answer(CHUNKED, start=b"HTTP/1.0 200 OK", body=CHUNKS), answer(CHUNKED, CLOSE, body=CHUNKS)),
    ("H-24", GET, answer(CHUNKED, CHUNKED, body=CHUNKS), answer(CHUNKED, CLOSE, body=CHUNKS)),
    ("H-24", GET, answer(b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
     answer(b"Transfer-Encoding: gzip, chunked", CLOSE, body=CHUNKS)),
    ("H-25", GET, answer(b"Content-Length: 9", CHUNKED, body=CHUNKS), answer(CHUNKED, CLOSE, body=CHUNKS)),
    ("H-26", HEAD, answer(b"Content-Length: 500"), answer(b"Content-Length: 500", CLOSE)),
    ("H-26", HEAD, answer(CHUNKED), answer(CLOSE)),
    ("H-26", GET, answer(b"Content-Length: 5", start=b"HTTP/1.1 304 Not Modified"),
     answer(b"Content-Length: 5", CLOSE, start=b"HTTP/1.1 304 Not Modified")),
    ("H-26", GET, answer(b"Content-Length: 5", start=b"HTTP/1.1 204 No Content"),
     answer(CLOSE, start=b"HTTP/1.1 204 No Content")),
    ("H-27", GET, answer(CHUNKED, b"Content-Length: 2", body=CHUNKS), answer(CHUNKED, CLOSE, body=CHUNKS)),
    ("H-29", GET, answer(b"Content-Length: 2", b"Content-Length: 2", body=b"ok"), answer(b"Content-Length: 2", CLOSE, body=b"ok")),
    ("H-29", GET, answer(b"Content-Length: 2, 2", body=b"ok"), answer(b"Content-Length: 2", CLOSE, body=b"ok")),
    ("H-31", GET, counted() + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", counted(CLOSE)),
    ("H-33", GET, answer(CHUNKED, body=b'2 ;a="b"\r\nok\r\n0;x\r\n\r\n'), answer(CHUNKED, CLOSE, body=CHUNKS)),
    ("H-34", WANTS_TRAILERS, answer(CHUNKED, body=b"0\r\nX-Sum: 1\r\nSet-Cookie: a\r\nContent-Length: 3\r\n\r\n"),
     answer(CHUNKED, CLOSE, body=b"0\r\nX-Sum: 1\r\n\r\n")),
    ("H-34", GET, answer(CHUNKED, b"Trailer: X-Sum", body=b"0\r\nX-Sum: 1\r\n\r\n"),
     answer(b"Trailer: X-Sum", CHUNKED, CLOSE, body=b"0\r\nX-Sum: 1\r\n\r\n")),
    ("H-34", GET, answer(CHUNKED, body=b"0\r\nX-Sum: 1\r\n\r\n"), answer(CHUNKED, CLOSE, body=b"0\r\n\r\n")),
    ("H-39", OLD_KEPT, counted(), counted(b"Connection: keep-alive")),
    ("H-39", OLD_KEPT, answer(CHUNKED, body=CHUNKS), answer(CLOSE, body=b"ok")),
    ("H-48", GET, counted(), counted(CLOSE)),
    ("H-51", GET, counted(b"Connection: X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=5", b"Proxy-Connection: x", b"TE: x", b"X: y"),
     counted(b"X: y", CLOSE)),
    ("H-51", GET, counted(b"Connection: Set-Cookie, Cache-Control", b"Set-Cookie: a", b"Cache-Control: no-store"),
     counted(b"Set-Cookie: a", b"Cache-Control: no-store", CLOSE)),
    ("H-53", GET, counted(b"Via: 1.0 other"), counted(b"Via: 1.0 other", CLOSE)),
    ("H-55", GET, counted(b"Content-Encoding: gzip", body=bytes(range(256))),
     counted(b"Content-Encoding: gzip", CLOSE, body=bytes(range(256)))),
    ("H-57", HEAD, answer(b"Content-Length: 12"), answer(b"Content-Length: 12", CLOSE)),
    ("H-60", GET, counted(b"Allow: GET", b"Accept-Ranges: bytes", b'ETag: W/"x"', start=b"HTTP/1.1 405 No"),
     counted(b"Allow: GET", b"Accept-Ranges: bytes", b'ETag: W/"x"', CLOSE, start=b"HTTP/1.1 405 No")),
    ("H-60", GET, counted(b"Content-Range: bytes 0-1/9", start=b"HTTP/1.1 206 Partial Content"),
     counted(b"Content-Range: bytes 0-1/9", CLOSE, start=b"HTTP/1.1 206 Partial Content")),
    ("H-61", GET, counted(b"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", start=b"HTTP/1.1 429 Too Many Requests"),
     counted(b"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", CLOSE, start=b"HTTP/1.1 429 Too Many Requests")),
    ("H-63", GET, answer(b"Link: </a>", start=b"HTTP/1.1 103 Early Hints") + answer(start=b"HTTP/1.1 102 Processing")
     + answer(start=b"HTTP/1.1 100 Continue") + counted(),
     answer(b"Link: </a>", start=b"HTTP/1.1 103 Early Hints") + answer(start=b"HTTP/1.1 102 Processing")
     + answer(start=b"HTTP/1.1 100 Continue") + counted(CLOSE)),
    ("H-65", GET, counted(start=b"HTTP/1.1 421 Misdirected Request"), counted(CLOSE, start=b"HTTP/1.1 421 Misdirected Request")),
]  # fmt: skip
"""Id, what the app asks, what the instance answers, what the app gets."""

UNTIL_CLOSE: list[tuple[str, bytes, bytes, bytes]] = [
    ("H-28", GET, answer(b"Transfer-Encoding: gzip", body=b"\x1f\x8b"),
     answer(b"Transfer-Encoding: gzip, chunked", CLOSE, body=b"2\r\n\x1f\x8b\r\n0\r\n\r\n")),
    ("H-30", GET, answer(body=b"ok"), answer(CHUNKED, CLOSE, body=CHUNKS)),
    ("H-30", GET, answer(start=b"HTTP/1.0 200 OK", body=b"ok"), answer(CHUNKED, CLOSE, body=CHUNKS)),
    ("H-30", OLD, answer(body=b"ok"), answer(CLOSE, body=b"ok")),
    ("H-30", HEAD, answer(), answer(CLOSE)),
]  # fmt: skip
"""The same, of an instance that closes behind its answer."""

REFUSED = [
    ("H-02", answer(b"Content-Length: 2", b"X: a\rb", body=b"ok")),
    ("H-18", answer(b"Content-Length: 2", b"X: a\0b", body=b"ok")),
    ("H-18", answer(b"Content-Length: 2", b"no colon", body=b"ok")),
    ("H-20", answer(b"Content-Length: 2", b"X: " + b"y" * 65536, body=b"ok")),
    ("H-20", answer(b"Content-Length: 2", *[b"X: y"] * 128, body=b"ok")),
    ("H-24", answer(b"Transfer-Encoding: chunked, gzip", body=CHUNKS)),
    ("H-29", answer(b"Content-Length: 2", b"Content-Length: 3", body=b"ok")),
    ("H-29", answer(b"Content-Length: -2", body=b"ok")),
    ("H-29", answer(b"Content-Length: +2", body=b"ok")),
    ("H-32", answer(CHUNKED, body=b"0x2\r\nok\r\n0\r\n\r\n")),
    ("H-56", answer(b"Connection: upgrade", b"Upgrade: websocket", start=b"HTTP/1.1 101 Switching Protocols")),
    ("H-66", b"ICY 200 OK\r\n\r\n"),
    ("H-66", b"\x15\x03\x01\x00\x02\x02\x50\r\n\r\n"),
    ("H-66", answer(b"Content-Length: 0", start=b"HTTP/2.0 200 OK")),
]
"""Id, what the instance answers; the app gets a 502."""


def _id(value: object) -> str:
    return value if isinstance(value, str) else ""


@pytest.mark.http(*{row[0]: None for row in PASSED})
@pytest.mark.parametrize(("rule", "asked", "answered", "expected"), PASSED, ids=_id)
async def test_an_answer_arrives_as_the_rule_says(rule: str, asked: bytes, answered: bytes, expected: bytes) -> None:
    """Byte for byte, whatever the instance's spelling."""
    assert (await crossing(asked, answered)).to_app == expected, rule


@pytest.mark.http(*{row[0]: None for row in UNTIL_CLOSE})
@pytest.mark.parametrize(("rule", "asked", "answered", "expected"), UNTIL_CLOSE, ids=_id)
async def test_an_answer_until_close_ends_with_the_connection(
    rule: str, asked: bytes, answered: bytes, expected: bytes
) -> None:
    """To HTTP/1.1 it goes in chunks, with the last one when the instance ends by FIN."""
    assert (await crossing(asked, answered, closing=True)).to_app == expected, rule


@pytest.mark.http(*{row[0]: None for row in REFUSED})
@pytest.mark.parametrize(("rule", "answered"), REFUSED, ids=_id)
async def test_an_answer_that_cannot_be_passed_on_is_a_502(rule: str, answered: bytes) -> None:
    """With the reason, and not a byte of the answer."""
    out = (await crossing(GET.replace(b"GET", b"POST"), answered)).to_app
    assert out.startswith(b"HTTP/1.1 502 Bad Gateway\r\n"), rule
    assert b"\r\nx-sidecar-error: UPE protocol 127.0.0.1:" in out
    assert out.count(b"HTTP/1.1 ") == 1


@pytest.mark.http("H-56")
@pytest.mark.parametrize(
    ("chosen", "status"), [(b"WebSocket", b"101"), (b"websocket, chat/2", b"101"), (b"tunnel", b"502")]
)
async def test_only_a_protocol_that_was_offered_is_switched_to(chosen: bytes, status: bytes) -> None:
    """By its name in any case; bytes of another one would go to an app that cannot read them."""
    asked = GET.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: websocket, Chat/2\r\n\r\n")
    switching = answer(b"Connection: upgrade", b"Upgrade: " + chosen, start=b"HTTP/1.1 101 Switching Protocols")
    assert (await crossing(asked, switching)).to_app.startswith(b"HTTP/1.1 " + status)


@pytest.mark.http("H-24")
async def test_a_coded_body_cannot_go_to_http_10() -> None:
    """Without its coding the app would take it for the content: 502."""
    out = await crossing(OLD, answer(b"Transfer-Encoding: gzip, chunked", body=CHUNKS))
    assert out.to_app.startswith(b"HTTP/1.1 502 ")


@pytest.mark.http("H-48")
async def test_only_answers_of_our_own_are_dated() -> None:
    """A local answer has `date`, and no `server`."""
    out = (await crossing(b"GET / HTTP/1.1\r\n\r\n")).to_app
    assert b"\r\ndate: " in out
    assert b"server" not in out.lower()
