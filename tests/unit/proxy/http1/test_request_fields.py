"""What the fields of a request tell, and that the memory of them is bounded and harmless."""

import pytest

from sidecar.proxy.http1.message import REMEMBERED_BYTES, BadMessage, Framing
from sidecar.proxy.http1.request_fields import request_fields, trace_id, valid_authority

BLOCK = b"\r\nHost: a\r\nContent-Length: 3\r\n"


def test_equal_blocks_are_understood_once() -> None:
    """The same bytes in the same version give the same objects; another version is another matter."""
    assert request_fields(BLOCK, 1) is request_fields(bytes(bytearray(BLOCK)), 1)
    assert request_fields(BLOCK, 0) is not request_fields(BLOCK, 1)


def test_noted_lines_are_understood_once_among_others_that_vary() -> None:
    """A trace id makes a new block of the old lines."""
    first, second = (request_fields(BLOCK + b"X-B3-TraceId: %d\r\n" % number, 1) for number in (1, 2))
    assert first is not None
    assert second is not None
    assert first[0] is second[0]
    assert first[1:] == (b"\r\nContent-Length: 3\r\nX-B3-TraceId: 1\r\n", None)


def test_long_blocks_are_not_remembered() -> None:
    """The memory stays small whatever apps send."""
    long = BLOCK + b"X: " + b"a" * REMEMBERED_BYTES + b"\r\n"
    assert request_fields(long, 1) is not request_fields(long, 1)
    noted = BLOCK + b"Connection: " + b"a" * REMEMBERED_BYTES + b"\r\n"
    first, second = request_fields(noted, 1), request_fields(noted, 1)
    assert first is not None
    assert second is not None
    assert first[0] is not second[0]


def test_a_refused_block_is_refused_again() -> None:
    """An error is not remembered as a success."""
    for _ in range(2):
        with pytest.raises(BadMessage):
            request_fields(b"\r\nHost: a\r\nHost: b\r\n", 1)


def test_a_block_against_the_grammar_is_nothing() -> None:
    """The other reader is asked then."""
    assert request_fields(b"\r\nHost : a\r\n", 1) is None


def test_what_ends_here_is_cut() -> None:
    """The lines of this hop go, the id is found, and the understanding says the rest."""
    understood = request_fields(b"\r\nHost: a\r\nConnection: close, B\r\nB: c\r\nX-Request-Id: 1\r\n", 1)
    assert understood is not None
    fields, block, request_id = understood
    assert (fields.authority, fields.framing, fields.keep_alive) == (b"a", Framing.NONE, False)
    assert (block, request_id) == (b"\r\nX-Request-Id: 1\r\n", b"1")


@pytest.mark.parametrize(
    "authority", [b"order_service", b"a:", b"a:80", b"[::1]", b"[fe80::1]:8080", b"10.0.0.1:1", b"a%20b", b""]
)
def test_hosts_of_legacy_apps_are_valid(authority: bytes) -> None:
    """Underscores, empty ports, addresses in brackets."""
    assert valid_authority(authority)


@pytest.mark.parametrize(
    "authority", [b"a b", b"a/b", b"u@a", b"a:b", b"a:1:2", b"[::1", b"::1", b"a:999999", b"\xc4", b"a\\b", b"a,b c"]
)
def test_other_hosts_are_not(authority: bytes) -> None:
    """What could be read as two hosts, a path or a user."""
    assert not valid_authority(authority)


@pytest.mark.parametrize("value", [b"", b"00-abc-def-01", b"00-" + b"g" * 32 + b"-" + b"0" * 16 + b"-01"])
def test_a_trace_id_has_32_hex_digits(value: bytes) -> None:
    """Anything else is none."""
    assert trace_id(b"\r\ntraceparent: " + value + b"\r\n") is None
