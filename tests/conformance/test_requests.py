"""Requests: raw bytes in at our listener, raw bytes out at the instance. The ids are those of docs/reference/http.md."""

import pytest

from sidecar.cluster.policy import Limits
from tests.conformance.wire import crossing

pytestmark = pytest.mark.one_loop

Fields = tuple[bytes, ...]


def get(*fields: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    """A request without body; `host` b"": none."""
    lines = [start, *([host] if host else []), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(*fields: bytes, body: bytes = b"", start: bytes = b"POST / HTTP/1.1") -> bytes:
    """A request with body; its framing is among the fields."""
    return get(*fields, start=start) + body


def chunked(body: bytes) -> bytes:
    """A request whose chunked body is spelled out."""
    return post(b"Transfer-Encoding: chunked", body=body)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

REFUSED = [
    ("H-02", 400, get(b"X: a\rb")),
    ("H-02", 400, get(start=b"GET /a\rb HTTP/1.1")),
    ("H-02", 400, b"GET / HTTP/1.1\rHost: a\r\r"),
    ("H-02", 400, chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n")),
    ("H-03", 400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("H-03", 400, b"GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n"),
    ("H-04", 400, b"\r\n" * 5 + get()),
    ("H-05", 400, b"GET / HTTP/1.1\nHost: a\n\n"),
    ("H-05", 400, b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    ("H-05", 400, b"\n" + get()),
    ("H-05", 400, chunked(b"5\nhello\r\n0\r\n\r\n")),
    ("H-05", 400, chunked(b"5\r\nhello\n0\r\n\r\n")),
    ("H-07", 505, get(start=b"GET / HTTP/2.0")),
    ("H-07", 505, get(start=b"GET / HTTP/1.2")),
    ("H-07", 505, PREFACE),
    ("H-08", 400, get(start=b"GET /")),
    ("H-08", 400, get(start=b"GET / HTTP/1.1 more")),
    ("H-08", 400, get(start=b"/ HTTP/1.1")),
    ("H-08", 400, get(start=b"GET / FTP/1.1")),
    ("H-08", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ("H-09", 501, get(start=b"BREW / HTTP/1.1")),
    ("H-09", 501, get(start=b"get / HTTP/1.1")),
    ("H-10", 414, get(start=b"GET /" + b"x" * 65536 + b" HTTP/1.1")),
    ("H-11", 400, get(host=b"")),
    ("H-11", 400, get(b"Host: a")),
    ("H-11", 400, get(host=b"Host: a b")),
    ("H-11", 400, get(host=b"Host: a/b")),
    ("H-11", 400, get(host=b"Host: user@a")),
    ("H-11", 400, get(b"Host: a", start=b"GET / HTTP/1.0")),
    ("H-12", 400, get(start=b"GET https://a/ HTTP/1.1")),
    ("H-12", 400, get(start=b"GET http://user@a/ HTTP/1.1")),
    ("H-12", 400, get(start=b"GET http:///x HTTP/1.1")),
    ("H-13", 501, get(start=b"CONNECT a:443 HTTP/1.1", host=b"Host: a:443")),
    ("H-13", 501, get(start=b"CONNECT /orders HTTP/1.1")),
    ("H-13", 501, get(start=b"CONNECT http://a/orders HTTP/1.1")),
    ("H-13", 400, get(start=b"GET a:80 HTTP/1.1")),
    ("H-14", 400, get(start=b"GET * HTTP/1.1")),
    ("H-15", 400, get(start=b"GET /a b HTTP/1.1")),
    ("H-15", 400, get(start=b"GET /a\x01 HTTP/1.1")),
    ("H-15", 400, get(start=b"GET /\xc3\xa4 HTTP/1.1")),
    ("H-15", 400, get(start=b"GET /a#b HTTP/1.1")),
    ("H-15", 400, get(start=b"GET a HTTP/1.1")),
    ("H-16", 400, get(b"X : y")),
    ("H-16", 400, post(b"Content-Length : 5", body=b"hello")),
    ("H-17", 400, get(b"X: y", b" folded")),
    ("H-17", 400, post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n")),
    ("H-18", 400, get(b"X: a\0b")),
    ("H-18", 400, get(b"X: a\x0bb")),
    ("H-18", 400, get(b"X: a\x7fb")),
    ("H-18", 400, get(b": nameless")),
    ("H-18", 400, get(b"no colon")),
    ("H-20", 431, get(b"X: " + b"y" * 65536)),
    ("H-20", 431, get(*[b"X: y"] * 128)),
    ("H-22", 400, post(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0", body=b"0\r\n\r\n")),
    ("H-23", 501, post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    ("H-23", 501, post(b"Transfer-Encoding: identity", body=b"")),
    ("H-23", 501, post(b"Transfer-Encoding: \x85chunked", body=b"0\r\n\r\n")),
    ("H-24", 400, post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")),
    ("H-24", 400, post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    ("H-27", 400, post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED)),
    ("H-27", 400, post(b"Transfer-Encoding: chunked", b"Content-Length: 0", body=b"0\r\n\r\n")),
    ("H-28", 400, post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n")),
    ("H-28", 400, post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n")),
    ("H-29", 400, post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello")),
    ("H-29", 400, post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    ("H-29", 400, post(b"Content-Length: 5, 5", body=b"hello")),
    ("H-29", 400, post(b"Content-Length: +5", body=b"hello")),
    ("H-29", 400, post(b"Content-Length: 0x5", body=b"hello")),
    ("H-29", 400, post(b"Content-Length: -5", body=b"hello")),
    ("H-29", 400, post(b"Content-Length: 5 5", body=b"hello")),
    ("H-29", 400, post(b"Content-Length: \xef\xbc\x95", body=b"hello")),
    ("H-29", 400, post(b"Content-Length:", body=b"hello")),
    ("H-29", 400, post(b"Content-Length: 99999999999999999999", body=b"hello")),
    ("H-32", 400, chunked(b"0x5\r\nhello\r\n0\r\n\r\n")),
    ("H-32", 400, chunked(b"+5\r\nhello\r\n0\r\n\r\n")),
    ("H-32", 400, chunked(b"0_5\r\nhello\r\n0\r\n\r\n")),
    ("H-32", 400, chunked(b" 5\r\nhello\r\n0\r\n\r\n")),
    ("H-32", 400, chunked(b"5 \r\nhello\r\n0\r\n\r\n")),
    ("H-32", 400, chunked(b"\r\nhello\r\n0\r\n\r\n")),
    ("H-32", 400, chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n")),
    ("H-32", 400, chunked(b"5\r\nhello world\r\n0\r\n\r\n")),
    ("H-32", 400, chunked(b"5\r\nhelloXX0\r\n\r\n")),
    ("H-33", 400, chunked(b"5;" + b"x" * 4096 + b"\r\nhello\r\n0\r\n\r\n")),
    ("H-33", 400, chunked((b"1;" + b"x" * 2048 + b"\r\na\r\n") * 40 + b"0\r\n\r\n")),
    ("H-34", 400, chunked(b"0\r\nX : y\r\n\r\n")),
    ("H-34", 400, chunked(b"0\r\n" + b"X: y\r\n" * 65 + b"\r\n")),
    ("H-46", 400, b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"),
]
"""Id, status, what the app sends."""


@pytest.mark.http(*{row[0]: None for row in REFUSED})
@pytest.mark.parametrize(("rule", "status", "sent"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
async def test_a_bad_request_is_refused_and_does_not_go_on(rule: str, status: int, sent: bytes) -> None:
    """The status by the rule, `Connection: close`, the end of the connection, though the app would go on.

    No instance is even connected, unless a good head came first.
    """
    out = await crossing(sent + SMUGGLED, ends=False)
    assert out.to_app.startswith(b"HTTP/1.1 %d " % status), rule
    assert b"\r\nconnection: close\r\n" in out.to_app
    assert out.to_app.count(b"HTTP/1.1 ") == 1
    assert out.to_instance == b""
    assert out.connections == 0 or b"chunked" in sent


def same(*lines: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


PASSED: list[tuple[str, bytes, bytes]] = [
    ("H-01", get(b"X-Name: \xc4\xe3\xba\xc3", b"X-Latin: \xe4\xff"),
     same(b"GET / HTTP/1.1", b"Host: a", b"X-Name: \xc4\xe3\xba\xc3", b"X-Latin: \xe4\xff")),
    ("H-04", b"\r\n\r\n" + get(), get()),
    ("H-06", get(b"X: y", start=b"GET / HTTP/1.0"), get(b"X: y")),
    ("H-09", get(start=b"PROPFIND / HTTP/1.1"), get(start=b"PROPFIND / HTTP/1.1")),
    ("H-09", get(start=b"M-SEARCH / HTTP/1.1"), get(start=b"M-SEARCH / HTTP/1.1")),
    ("H-10", get(start=b"GET /" + b"x" * 8000 + b" HTTP/1.1"), get(start=b"GET /" + b"x" * 8000 + b" HTTP/1.1")),
    ("H-11", get(start=b"GET / HTTP/1.0", host=b""), get(host=b"Host: orders")),
    ("H-12", get(b"X: y", start=b"GET http://B:81/x?y HTTP/1.1"), get(b"X: y", start=b"GET /x?y HTTP/1.1", host=b"Host: B:81")),
    ("H-12", get(start=b"GET HTTP://[::1]:81/x HTTP/1.1"), get(start=b"GET /x HTTP/1.1", host=b"Host: [::1]:81")),
    ("H-14", get(start=b"OPTIONS * HTTP/1.1"), get(start=b"OPTIONS * HTTP/1.1")),
    ("H-14", get(start=b"OPTIONS http://b HTTP/1.1"), get(start=b"OPTIONS * HTTP/1.1", host=b"Host: b")),
    ("H-19", get(b"b: 1", b"A: 2", b"b: 3", b"Cookie: x", b"cookie: y", b"X-Unknown:"),
     get(b"b: 1", b"A: 2", b"b: 3", b"Cookie: x", b"cookie: y", b"X-Unknown:")),
    ("H-30", post(), post()),
    ("H-33", chunked(b'5;a=b;c="d"\r\nhello\r\n0;x\r\n\r\n'), chunked(b"5\r\nhello\r\n0\r\n\r\n")),
    ("H-34", chunked(b"0\r\nX-Sum: 1\r\nContent-Length: 5\r\nHost: b\r\nTransfer-Encoding: gzip\r\nCookie: x\r\n\r\n"),
     chunked(b"0\r\nX-Sum: 1\r\n\r\n")),
    ("H-35", get(b"TE: gzip;q=0.5", b"Connection: TE"), get()),
    ("H-35", get(b"TE: trailers, deflate", b"Connection: TE"), get(b"Connection: TE", b"TE: trailers")),
    ("H-47", post(b"transfer-encoding: CHUNKED", b"X: y", body=b"005\r\nhello\r\n000\r\n\r\n"),
     post(b"X: y", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n")),
    ("H-49", same(b"GET / HTTP/1.1", b"X: y", b"host: a"), get(b"X: y")),
    ("H-51", get(b"Connection: keep-alive, X-Hop", b"X-Hop: 1", b"Keep-Alive: 5", b"Proxy-Connection: x", b"X: y"),
     get(b"X: y")),
    ("H-51", get(b"Connection: close, Host, Authorization, Cookie, Cache-Control", b"Authorization: z", b"Cookie: c"),
     get(b"Authorization: z", b"Cookie: c")),
    ("H-51", post(b"Connection: Content-Length", b"Content-Length: 5", body=b"hello"),
     post(b"Content-Length: 5", body=b"hello")),
    ("H-52", get(b"Max-Forwards: 0", start=b"OPTIONS / HTTP/1.1"), get(b"Max-Forwards: 0", start=b"OPTIONS / HTTP/1.1")),
    ("H-53", get(b"Via: 1.0 other"), get(b"Via: 1.0 other")),
    ("H-54", get(start=b"GET //a/../%2F%2f?x=%41&;=' HTTP/1.1"), get(start=b"GET //a/../%2F%2f?x=%41&;=' HTTP/1.1")),
    ("H-54", get(start=b"GET http://b?x HTTP/1.1"), get(start=b"GET /?x HTTP/1.1", host=b"Host: b")),
    ("H-55", post(b"Content-Encoding: gzip", b"Content-Length: 3", body=b"\x1f\x8b\x00"),
     post(b"Content-Encoding: gzip", b"Content-Length: 3", body=b"\x1f\x8b\x00")),
    ("H-56", get(b"Upgrade: websocket"), get()),
    ("H-56", get(b"Connection: upgrade", b"Upgrade: websocket", start=b"GET / HTTP/1.0"), get()),
    ("H-56", get(b"Connection: Upgrade", b"Upgrade: websocket"), get(b"Connection: upgrade", b"Upgrade: websocket")),
    ("H-56", post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA", b"Content-Length: 2", body=b"ab"),
     post(b"Content-Length: 2", body=b"ab")),
    ("H-56", post(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 2", body=b"ab"),
     post(b"Content-Length: 2", body=b"ab")),
    ("H-56", post(b"Connection: upgrade", b"Upgrade: x", b"Content-Length: 2", start=b"GET / HTTP/1.1", body=b"ab"),
     post(b"Content-Length: 2", start=b"GET / HTTP/1.1", body=b"ab")),
    ("H-57", post(b"Content-Length: 007", body=b"exactly"), post(b"Content-Length: 007", body=b"exactly")),
    ("H-58", post(b"Content-Length: 2", start=b"GET / HTTP/1.1", body=b"ab"),
     post(b"Content-Length: 2", start=b"GET / HTTP/1.1", body=b"ab")),
    ("H-58", get(start=b"TRACE / HTTP/1.1"), get(start=b"TRACE / HTTP/1.1")),
    ("H-59", get(b"Expect: 100-continue", start=b"GET / HTTP/1.0"), get()),
    ("H-59", get(b"Expect: something"), get(b"Expect: something")),
    ("H-60", get(b'If-None-Match: "x"', b"Range: bytes=0-1", b'If-Range: "x"'),
     get(b'If-None-Match: "x"', b"Range: bytes=0-1", b'If-Range: "x"')),
    ("H-62", get(b"Authorization: Basic YTpi", b"Proxy-Authorization: Basic YTpi"),
     get(b"Authorization: Basic YTpi", b"Proxy-Authorization: Basic YTpi")),
    ("H-62", get(b"Proxy-Authorization: Basic YTpi", b"X: y", start=b"GET http://b/ HTTP/1.1"), get(b"X: y", host=b"Host: b")),
]  # fmt: skip
"""Id, what the app sends, what the instance gets."""


@pytest.mark.http(*{row[0]: None for row in PASSED})
@pytest.mark.parametrize(
    ("rule", "sent", "expected"), PASSED, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_a_request_arrives_as_the_rule_says(rule: str, sent: bytes, expected: bytes) -> None:
    """Byte for byte; the app gets the instance's answer."""
    out = await crossing(sent)
    assert out.to_instance == expected, rule
    assert out.to_app.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.http("H-15")
async def test_every_visible_ascii_character_but_a_number_sign_may_stand_in_a_target() -> None:
    """And goes on as it came."""
    target = bytes(byte for byte in range(0x21, 0x7F) if byte != ord("#"))
    line = b"GET /%b HTTP/1.1" % target
    assert (await crossing(get(start=line))).to_instance == get(start=line)


@pytest.mark.http("H-01", "H-55")
async def test_a_body_of_every_byte_arrives_untouched() -> None:
    """Whether counted or chunked: no byte is decoded, escaped or normalised."""
    body = bytes(range(256)) * 3
    counted = post(b"Content-Length: %d" % len(body), body=body)
    assert (await crossing(counted)).to_instance == counted
    in_chunks = chunked(b"300\r\n" + body + b"\r\n0\r\n\r\n")
    assert (await crossing(in_chunks)).to_instance == in_chunks


@pytest.mark.http("H-45", "H-47")
async def test_nothing_behind_a_request_with_close_is_read() -> None:
    """Neither answered nor refused, nor sent on: what follows `Connection: close` is nobody's."""
    out = await crossing(get(b"Connection: close") + SMUGGLED + b"garbage")
    assert out.to_instance == get()
    assert out.to_app.count(b"HTTP/1.1 ") == 1


@pytest.mark.http("H-53")
async def test_via_is_added_where_the_operator_wants_it() -> None:
    """In both directions, behind whatever Via was there."""
    out = await crossing(get(b"Via: 1.0 other"), via=True)
    assert out.to_instance == get(b"Via: 1.0 other", b"Via: 1.1 nacos-sidecar")
    assert b"\r\nVia: 1.1 nacos-sidecar\r\n" in out.to_app


@pytest.mark.http("H-10", "H-20")
async def test_the_limits_are_the_operators() -> None:
    """A long line alone is 414; a head that is too large or has too many fields is 431."""
    limits = Limits(max_header_bytes=1000, max_headers=2)
    for sent, status in (
        (get(start=b"GET /" + b"x" * 1000 + b" HTTP/1.1"), b"414"),
        (get(b"X: " + b"y" * 1000), b"431"),
        (get(b"X: y", b"X: y"), b"431"),
        (get(b"X: y"), b"200"),
    ):
        assert (await crossing(sent, limits=limits)).to_app[9:12] == status
