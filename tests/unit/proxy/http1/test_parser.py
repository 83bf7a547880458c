"""The second reader, and that it agrees with the first."""

from typing import Any

import pytest
from hypothesis import given

from sidecar.cluster.policy import Limits
from sidecar.proxy.http1 import request
from sidecar.proxy.http1.message import BadMessage
from sidecar.proxy.http1.parser import METHODS, clean_request
from tests.support.http1_heads import mutated, request_heads

LIMITS = Limits()


def complete(raw: bytes) -> bool:
    return raw.find(b"\r\n\r\n") == len(raw) - 4


def meaning(head: Any) -> dict[str, object]:
    """All that a head says; spaces around values are no part of it."""
    said = {name: getattr(head, name) for name in type(head).__slots__ if name not in {"size", "_came_with"}}
    pairs = (line.partition(b":") for line in head.block.split(b"\r\n") if line)
    return said | {"block": [(name, value.strip(b" \t")) for name, _, value in pairs]}


@given(mutated(request_heads).filter(complete))
def test_both_readers_understand_a_request_alike(raw: bytes) -> None:
    """What the strict grammar accepts httptools accepts too, and its plain spelling means the same; so with refusals."""
    try:
        head = request._read_strict(raw, LIMITS)
    except BadMessage:
        with pytest.raises(BadMessage):
            request._read_strict(clean_request(raw), LIMITS)
        return
    if head is not None:
        again = request._read_strict(clean_request(raw), LIMITS)
        assert meaning(again) == meaning(head)


def test_odd_spellings_of_a_request_become_plain() -> None:
    """Repeated spaces in the request line are read by httptools only."""
    assert clean_request(b"GET  /  HTTP/1.1\r\nHost:a \r\n\r\n") == b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_an_upgrade_with_a_body_is_read_to_the_end_of_its_head() -> None:
    """httptools stops there with an exception, although the head is fine."""
    raw = b"POST  / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n"
    assert clean_request(raw) == raw.replace(b"  ", b" ")


def test_the_methods_are_those_of_the_library() -> None:
    """Each listed method is read by httptools, so that 501 never meets a method that it knows."""
    for method in METHODS:
        assert clean_request(
            b"%b  /  HTTP/1.1\r\n\r\n" % method if method != b"CONNECT" else b"CONNECT a:1 HTTP/1.1\r\n\r\n"
        )
