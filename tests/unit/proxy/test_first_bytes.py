"""Is it HTTP, is it not, or is it too early to tell?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.proxy.first_bytes import LONGEST, Guess, guess

GET = b"GET /orders?x=%20 HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        GET,
        b"GET / HTTP/1.0\r\n",
        b"POST http://10.0.0.1:80/ HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"M-SEARCH / HTTP/1.1\r\nX: \xff",
        b"UNLOCK /a HTTP/1.1\r\n",
    ],
)
def test_a_request_line_is_http(data: bytes) -> None:
    """Of any method that we serve; what follows it is not looked at."""
    assert guess(data) is Guess.HTTP


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",  # Redis
        b"GET stock\r\n",  # Redis, or memcached, by hand
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/2.0\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET /\x00",
        b"GETS",
        b"get / HTTP/1.1\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"\r\nGET / HTTP/1.1\r\n",
        b"EHLO a\r\n",
        b"\xda\xbb",  # Dubbo
        b"J\x00\x00\x00",
        b"GET /" + b"x" * LONGEST,
    ],
)
def test_all_else_is_not(data: bytes) -> None:
    """Other protocols, other versions, and requests that we would refuse: those are between app and instance."""
    assert guess(data) is Guess.OTHER


@pytest.mark.parametrize("size", range(GET.index(b"\n") + 1))
def test_a_part_of_a_request_line_is_neither(size: int) -> None:
    """Byte by byte, up to its end."""
    assert guess(GET[:size]) is Guess.UNDECIDED


@given(st.binary(max_size=40), st.integers(0, 40))
def test_more_bytes_never_change_a_verdict(data: bytes, size: int) -> None:
    """What was HTTP, or was not, stays so."""
    early, late = guess(data[:size]), guess(data)
    assert early in {Guess.UNDECIDED, late}


@given(st.from_regex(rb"(GET|PUT|POST|PATCH) [ -~]{0,20}( HTTP/1.[01]\r\n)?", fullmatch=True), st.integers(0, 60))
def test_nor_where_it_looks_like_one(data: bytes, size: int) -> None:
    """The same among near misses."""
    early, late = guess(data[:size]), guess(data)
    assert early in {Guess.UNDECIDED, late}
