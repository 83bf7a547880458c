"""Request heads: what is accepted, what is refused with which status, and what an instance gets."""

import h11
import pytest
from hypothesis import given

from sidecar.cluster.policy import Limits
from sidecar.proxy.http1.message import BadMessage, Framing
from sidecar.proxy.http1.request import RequestHead, format_request_id, read_request
from tests.support.http1_heads import mutated, request_heads

LIMITS = Limits()


def read(data: bytes, limits: Limits = LIMITS) -> RequestHead:
    head = read_request(data, limits)
    assert head is not None
    return head


def refusal(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(BadMessage) as caught:
        read_request(data, limits)
    return f"{caught.value.failure.status} {caught.value.failure.reason}"


def get(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([start, *lines, b"", b""])


def with_fields(*lines: bytes) -> bytes:
    return get(b"Host: orders", *lines)


def test_the_size_says_where_the_body_starts() -> None:
    """Pipelined bytes are left alone: the head reports exactly the bytes it took."""
    data = get(b"Host: a", b"Content-Length: 3", start=b"POST /x HTTP/1.1") + b"abcGET / HTTP/1.1"
    head = read(data)
    assert data[head.size :] == b"abcGET / HTTP/1.1"
    assert repr(head) == "<POST /x 3 bytes>"


@pytest.mark.parametrize("cut", range(len(get(b"Host: a", b"X: y"))))
def test_every_prefix_of_a_head_waits_for_more(cut: int) -> None:
    """A head cut at any byte is incomplete, not wrong."""
    assert read_request(get(b"Host: a", b"X: y")[:cut], LIMITS) is None


def test_an_instance_gets_the_fields_in_order_case_and_repetition() -> None:
    """All end-to-end fields keep their bytes; Host is ours and comes first."""
    head = read(
        get(b"X-b: 1", b"Host: orders", b"x-A:  \xc4\xe3 ", b"X-b: 2", b"COOKIE: a=b", start=b"PUT /a?b HTTP/1.1")
    )
    assert head.to_instance() == (
        b"PUT /a?b HTTP/1.1\r\nHost: orders\r\nX-b: 1\r\nx-A:  \xc4\xe3 \r\nX-b: 2\r\nCOOKIE: a=b\r\n\r\n"
    )


def test_fields_of_one_hop_end_here() -> None:
    """Connection, what it names, and the other hop-by-hop fields do not reach the instance."""
    head = read(
        with_fields(
            b"Connection: keep-alive, X-Hop",
            b"Keep-Alive: 5",
            b"X-Hop: 1",
            b"Proxy-Connection: x",
            b"TE: gzip",
            b"X: y",
        )
    )
    assert head.to_instance() == get(b"Host: orders", b"X: y")


def test_connection_cannot_remove_what_others_rely_on() -> None:
    """Naming Host, Authorization, Cookie, Cache-Control or Content-* in Connection has no effect."""
    lines = (b"Authorization: a", b"Cookie: b", b"Cache-Control: c", b"Content-Type: d", b"Content-Length: 0")
    head = read(
        with_fields(*lines, b"Connection: host, authorization, cookie, cache-control, content-type, content-length")
    )
    assert head.to_instance() == with_fields(*lines)


@pytest.mark.parametrize(
    ("start", "line", "kept"),
    [
        (b"GET / HTTP/1.1", b"X: y", True),
        (b"GET / HTTP/1.1", b"Connection: Close", False),
        (b"GET / HTTP/1.1", b"Connection: x, close", False),
        (b"GET / HTTP/1.0", b"X: y", False),
        (b"GET / HTTP/1.0", b"Connection: Keep-Alive", True),
        (b"GET / HTTP/1.0", b"Connection: keep-alive, close", False),
    ],
)
def test_the_app_says_whether_its_connection_stays(start: bytes, line: bytes, kept: bool) -> None:  # noqa: FBT001
    """HTTP/1.1 stays unless closed, HTTP/1.0 closes unless kept."""
    assert read(get(b"Host: a", line, start=start)).keep_alive is kept


def test_a_body_is_framed_by_length_or_chunks() -> None:
    """Content-Length goes on as it came, chunked is stated anew; a length of 0 is no body."""
    sized = read(with_fields(b"Content-length: 12"))
    chunked = read(with_fields(b"Transfer-Encoding: Chunked"))
    empty = read(with_fields(b"Content-Length: 0"))
    assert (sized.framing, sized.length) == (Framing.LENGTH, 12)
    assert sized.to_instance() == with_fields(b"Content-length: 12")
    assert (chunked.framing, chunked.to_instance()) == (Framing.CHUNKED, with_fields(b"Transfer-Encoding: chunked"))
    assert (empty.framing, empty.to_instance()) == (Framing.NONE, with_fields(b"Content-Length: 0"))


def test_an_absolute_target_becomes_a_path_and_names_the_host() -> None:
    """The target's host replaces Host, and credentials for the proxy end here."""
    head = read(get(b"Host: other", b"Proxy-Authorization: x", b"A: b", start=b"GET http://Orders:81/p?q HTTP/1.1"))
    assert head.authority == b"Orders:81"
    assert head.to_instance() == get(b"Host: Orders:81", b"A: b", start=b"GET /p?q HTTP/1.1")


def test_credentials_for_a_proxy_pass_when_we_are_none() -> None:
    """Proxy-Authorization is removed only from requests addressed to a forward proxy."""
    assert b"Proxy-Authorization" in read(with_fields(b"Proxy-Authorization: x")).to_instance()


@pytest.mark.parametrize(
    ("start", "target"),
    [
        (b"GET http://o HTTP/1.1", b"/"),
        (b"GET http://o?a=b HTTP/1.1", b"/?a=b"),
        (b"OPTIONS http://o HTTP/1.1", b"*"),
        (b"OPTIONS http://o/ HTTP/1.1", b"/"),
        (b"OPTIONS * HTTP/1.1", b"*"),
        (b"GET //a/../%2F?b=//c HTTP/1.1", b"//a/../%2F?b=//c"),
    ],
)
def test_paths_are_never_tidied(start: bytes, target: bytes) -> None:
    """Path and query go on byte by byte; only a missing path is filled in."""
    assert read(get(b"Host: o", start=start)).target == target


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\r\n\r\n",
        b"HELO\r\n",
        b"\r\n" * 5 + get(b"Host: a"),
        get(),
        get(b"Host: a", b"Host: a"),
        get(b"Host: a b"),
        get(b"Host: a/b"),
        get(b"Host: user@a"),
        get(b"Host: a:80:80"),
        get(b"Host: a:http"),
        get(b"Host: a", start=b"GET * HTTP/1.1"),
        get(b"Host: a", start=b"GET a HTTP/1.1"),
        get(b"Host: a", start=b"GET a:80 HTTP/1.1"),
        get(b"Host: a", start=b"GET https://a/ HTTP/1.1"),
        get(b"Host: a", start=b"GET http://u:p@a/ HTTP/1.1"),
        get(b"Host: a", start=b"GET http:///x HTTP/1.1"),
        get(b"Host: a", start=b"GET http://:80/x HTTP/1.1"),
        get(b"Host: a", start=b"GET s://]x/: HTTP/1.1"),
        get(b"Host: a", start=b"GET /a#b HTTP/1.1"),
        get(b"Host: a", start=b"GET /a b HTTP/1.1"),
        get(b"Host: a", start=b"GET /\xc4 HTTP/1.1"),
        get(b"Host: a", start=b"GET / http/1.1"),
        with_fields(b" X: y"),
        with_fields(b"X : y"),
        with_fields(b"X: a", b" b"),
        with_fields(b": y"),
        with_fields(b"X"),
        with_fields(b"X: \0"),
        with_fields(b"X: \x0b"),
        with_fields(b"X[: y"),
        with_fields(b"Content-Length: 1", b"Content-Length: 1"),
        with_fields(b"Content-Length: 1, 1"),
        with_fields(b"Content-Length: +1"),
        with_fields(b"Content-Length: 0x1"),
        with_fields(b"Content-Length: 1_0"),
        with_fields(b"Content-Length: -1"),
        with_fields(b"Content-Length:"),
        with_fields(b"Content-Length: \xb2"),
        with_fields(b"Content-Length: 1000000000000000000000"),
        with_fields(b"Content-Length: 1", b"Transfer-Encoding: chunked"),
        with_fields(b"Transfer-Encoding: chunked, chunked"),
        with_fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        with_fields(b"Transfer-Encoding: chunked, identity"),
        with_fields(b"Transfer-Encoding:"),
        with_fields(b"Transfer-Encoding: \x0bchunked"),
        get(b"Host: a", b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0"),
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_malformed_requests_are_answered_with_400(data: bytes) -> None:
    """What two readers could understand differently, or no reader at all, goes no further."""
    assert refusal(data) == "400 bad_request"


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (get(b"Host: a", start=b"CONNECT a:443 HTTP/1.1"), "501 connect_method"),
        (get(b"Host: a", start=b"BREW / HTTP/1.1"), "501 unknown_method"),
        (get(b"Host: a", start=b"get / HTTP/1.1"), "501 unknown_method"),
        (get(b"Host: a", start=b"ORDERS_V2 / HTTP/1.1"), "501 unknown_method"),
        (with_fields(b"Transfer-Encoding: gzip, chunked"), "501 unknown_coding"),
        (with_fields(b"Transfer-Encoding: gzip"), "501 unknown_coding"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 unsupported_version"),
        (get(b"Host: a", start=b"GET / HTTP/1.2"), "505 unsupported_version"),
        (get(b"Host: a", start=b"GET / HTTP/0.9"), "505 unsupported_version"),
    ],
)
def test_what_is_not_served_has_its_own_status(data: bytes, answer: str) -> None:
    """CONNECT, foreign methods and codings are 501, other versions 505."""
    assert refusal(data) == answer


def test_limits_have_three_answers() -> None:
    """A request line over the limit is 414, a larger head or too many fields 431, complete or not."""
    limits = Limits(max_header_bytes=1024, max_headers=3)
    long_line = b"GET /" + b"a" * 1100
    assert refusal(long_line, limits) == "414 uri_too_long"
    assert refusal(get(b"Host: a", start=long_line + b" HTTP/1.1"), limits) == "414 uri_too_long"
    assert refusal(with_fields(b"X: " + b"a" * 1100), limits) == "431 head_too_large"
    assert refusal(with_fields(b"X: " + b"a" * 1100)[:-4], limits) == "431 head_too_large"
    assert refusal(with_fields(b"A: 1", b"B: 2", b"C: 3"), limits) == "431 head_too_large"
    assert read(with_fields(b"A: 1", b"B: 2"), limits).authority == b"orders"


def test_long_request_lines_are_accepted() -> None:
    """RFC 9112 §3 asks for 8000 octets at least."""
    assert len(read(get(b"Host: a", start=b"GET /" + b"a" * 8000 + b" HTTP/1.1")).target) == 8001


def test_a_few_empty_lines_may_precede_a_request() -> None:
    """Their bytes count to the size."""
    data = b"\r\n\r\n" + get(b"Host: a")
    assert read(data).size == len(data)
    assert read_request(b"\r\n", LIMITS) is None


def test_http_1_0_needs_no_host() -> None:
    """The caller names the service then, and a reused connection has to be asked for."""
    head = read(get(b"X: y", start=b"GET / HTTP/1.0"))
    assert (head.authority, head.keep_alive) == (None, False)
    assert head.to_instance(b"orders") == get(b"Host: orders", b"X: y")


def test_expectations_of_http_1_0_are_ignored() -> None:
    """In 1.1 they go on untouched, known or not: the instance answers them."""
    old = read(get(b"Host: a", b"Expect: 100-continue", start=b"GET / HTTP/1.0"))
    assert b"Expect" not in old.to_instance()
    for expectation in (b"Expect: 100-Continue", b"Expect: cake"):
        assert expectation in read(with_fields(expectation)).to_instance()


def test_a_websocket_offer_goes_on() -> None:
    """Upgrade and its Connection option are made anew."""
    head = read(with_fields(b"Connection: keep-alive, Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: k"))
    assert head.upgrade == b"websocket"
    assert head.to_instance() == with_fields(b"Sec-WebSocket-Key: k", b"Connection: upgrade", b"Upgrade: websocket")


@pytest.mark.parametrize(
    "data",
    [
        get(
            b"Host: orders",
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAM",
            b"Content-Length: 3",
            start=b"POST / HTTP/1.1",
        ),
        with_fields(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAM"),
        with_fields(b"Upgrade: websocket"),
        with_fields(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 3"),
        get(b"Host: orders", b"Connection: upgrade", b"Upgrade: websocket", start=b"POST / HTTP/1.1"),
        get(b"Host: orders", b"Connection: upgrade", b"Upgrade: websocket", start=b"GET / HTTP/1.0"),
    ],
)
def test_other_offers_are_dropped(data: bytes) -> None:
    """h2c, offers with a body, of another method, of HTTP/1.0 or without the Connection option end here."""
    head = read(data)
    assert head.upgrade is None
    assert b"pgrade" not in head.to_instance()
    assert b"HTTP2" not in head.to_instance()


def test_h2c_beside_another_offer_is_left_out() -> None:
    """Only what we can carry is offered on."""
    assert read(with_fields(b"Connection: upgrade", b"Upgrade: h2c, foo/2, bar")).upgrade == b"foo/2, bar"


def test_the_wish_for_trailers_goes_on() -> None:
    """TE is of one hop, so `trailers` is stated anew with its Connection option."""
    head = read(with_fields(b"TE: gzip, Trailers", b"Connection: TE"))
    assert head.te_trailers
    assert head.to_instance() == with_fields(b"Connection: TE", b"TE: trailers")


def test_a_request_id_is_kept_or_given_once() -> None:
    """The app's own id stays as it is; a given one is the same for all attempts; an empty one is none."""
    own = read(with_fields(b"X-Request-ID: 8c1e"))
    assert (own.request_id, own.to_instance()) == (b"8c1e", with_fields(b"X-Request-ID: 8c1e"))
    bare = read(with_fields(b"x-request-id: "))
    assert bare.request_id is None
    bare.request_id = b"77ab"
    assert bare.to_instance() == bare.to_instance() == with_fields(b"x-request-id: 77ab")


def test_host_header_and_via_are_the_services_choice() -> None:
    """`host_header` replaces Host, `via` appends one line."""
    assert read(with_fields(b"Via: 1.0 a")).to_instance(b"10.0.0.1:80", via=True) == get(
        b"Host: 10.0.0.1:80", b"Via: 1.0 a", b"Via: 1.1 nacos-sidecar"
    )


def test_what_the_log_asks_for() -> None:
    """User agent, forwarded-for and trace id are found on request."""
    trace = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    head = read(
        with_fields(b"User-Agent: Java/1.8 ", trace, b"X-Forwarded-For: 1.2.3.4", b"Accept: text/a, application/json")
    )
    assert (head.user_agent, head.forwarded_for) == (b"Java/1.8", b"1.2.3.4")
    assert (head.trace_id, head.accepts_json) == (b"0af7651916cd43dd8448eb211c80319c", True)
    bare = read(with_fields(b"traceparent: nonsense"))
    assert (bare.user_agent, bare.forwarded_for, bare.trace_id, bare.accepts_json) == (None, None, None, False)


def test_idempotent_is_what_the_contract_lists() -> None:
    """GET HEAD OPTIONS TRACE PUT DELETE and no other."""
    known = {b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE", b"POST", b"PATCH", b"SEARCH"}
    idempotent = {m for m in known if read(get(b"Host: a", start=m + b" / HTTP/1.1")).idempotent}
    assert known - idempotent == {b"POST", b"PATCH", b"SEARCH"}


def test_a_generated_id_is_a_random_uuid() -> None:
    """128 bits become a version 4 UUID in the usual spelling."""
    assert format_request_id(0) == b"00000000-0000-4000-a000-000000000000"
    assert format_request_id(2**128 - 1) == b"ffffffff-ffff-4fff-afff-ffffffffffff"


@given(mutated(request_heads))
def test_whatever_goes_on_is_one_request_to_a_strict_reader(data: bytes) -> None:
    """Any bytes are refused, incomplete, or become a head that h11 reads as one request with the same framing."""
    try:
        head = read_request(data, LIMITS)
    except BadMessage as refused:
        assert refused.failure.status in {400, 501, 505}
        return
    if head is None:
        return
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(head.to_instance(b"orders"))
    request = peer.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (head.method, head.target)
    names = [name for name, _ in request.headers]
    assert names.count(b"host") == 1
    assert (b"transfer-encoding" in names) is (head.framing is Framing.CHUNKED)
    assert not (b"transfer-encoding" in names and b"content-length" in names)
    following = peer.next_event()
    assert (following is h11.NEED_DATA) is (head.framing is not Framing.NONE)
