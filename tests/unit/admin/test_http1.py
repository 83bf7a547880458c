"""What the admin port reads, and the heads that it writes."""

import pytest

from sidecar.admin import http1
from sidecar.admin.http1 import BadRequestError, Request, RequestReader, answer_head

HOST = b"Host: 127.0.0.1:19901\r\n"


def read(raw: bytes) -> Request:
    (request,) = RequestReader().feed(raw)
    return request


def test_a_request_is_method_path_query_and_headers() -> None:
    """Decoded; a key without a value has an empty one, and of two values the first counts."""
    request = read(b"GET /services/a%3Ab/hold?ttl=10m&verbose&x=1&x=2 HTTP/1.1\r\n" + HOST + b"ACCEPT: text/x\r\n\r\n")
    assert (request.method, request.path) == ("GET", "/services/a:b/hold")
    assert request.query == {"ttl": "10m", "verbose": "", "x": "1"}
    assert request.headers == {"host": "127.0.0.1:19901", "accept": "text/x"}
    assert (request.minor, request.keep_alive) == (1, True)


def test_a_field_that_comes_twice_is_one_list() -> None:
    """So a second Host makes none that the access rule knows."""
    request = read(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    assert request.headers["host"] == "localhost, evil.example"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://127.0.0.1:19901/readyz?verbose", "/readyz", {"verbose": ""}),
        (b"http://127.0.0.1:19901", "/", {}),
        (b"//readyz", "//readyz", {}),
        (b"*", "*", {}),
    ],
)
def test_a_target_may_be_written_as_for_a_proxy(target: bytes, path: str, query: dict[str, str]) -> None:
    """What is neither that nor a path stays what it is, and is unknown."""
    request = read(b"OPTIONS " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (request.path, request.query) == (path, query)


def test_requests_are_read_however_they_are_cut() -> None:
    """Byte by byte, or two in one piece; bodies are forgotten."""
    raw = b"POST /drain HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /healthz HTTP/1.1\r\n\r\n"
    reader = RequestReader()
    single = [request for byte in raw for request in reader.feed(bytes([byte]))]
    assert [(request.method, request.path) for request in single] == [("POST", "/drain"), ("GET", "/healthz")]
    assert RequestReader().feed(raw) == single


@pytest.mark.parametrize(
    ("raw", "keeps"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\n\r\n\x00garbage", False),
    ],
)
def test_a_connection_lives_on_only_if_what_follows_can_be_read(raw: bytes, keeps: bool) -> None:  # noqa: FBT001 - a column
    """The request itself is answered in each case."""
    assert read(raw).keep_alive is keeps


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
    ],
)
def test_what_cannot_be_read_is_refused(raw: bytes) -> None:
    """With 400, after which the connection ends."""
    with pytest.raises(BadRequestError) as refused:
        read(raw)
    assert refused.value.status == 400


def test_a_request_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Head or body; many small ones may come at once."""
    monkeypatch.setattr(http1, "MAX_REQUEST", 100)
    small = b"GET / HTTP/1.1\r\n\r\n"
    assert len(RequestReader().feed(small * 20)) == 20
    for endless in (b"GET / HTTP/1.1\r\na: ", b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"):
        reader = RequestReader()
        reader.feed(endless)
        with pytest.raises(BadRequestError) as refused:
            reader.feed(b"x" * 90)
        assert refused.value.status == 413


def test_a_head_tells_status_date_and_length() -> None:
    """The date as RFC 9110 §5.6.7 wants it."""
    head = answer_head(200, {"content-type": "text/plain"}, 7, to=None, now=784111777.0, keep_alive=False)
    assert head == (
        b"HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-type: text/plain\r\ncontent-length: 7\r\n"
        b"connection: close\r\n\r\n"
    )


def test_an_old_client_is_told_that_the_connection_stays() -> None:
    """A newer one takes it for granted."""
    for version, told in ((b"1.0", True), (b"1.1", False)):
        request = read(b"GET / HTTP/%b\r\nConnection: keep-alive\r\n\r\n" % version)
        head = answer_head(200, {}, 0, to=request, now=0.0, keep_alive=True)
        assert (b"\r\nconnection: keep-alive\r\n" in head) is told
