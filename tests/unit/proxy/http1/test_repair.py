"""The second chance of sloppy answer heads."""

import re

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.policy import Limits
from sidecar.proxy.http1.message import BadMessage
from sidecar.proxy.http1.repair import repair
from sidecar.proxy.http1.request import read_request
from sidecar.proxy.http1.response import read_response
from tests.support.http1_heads import mutated, response_heads

SLOPPY_ENDS = st.sampled_from([b"\r\n", b"\n", b" \r\n", b"\r\n ", b"\n\t"])


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (b"HTTP/1.1 200 OK\nA:b\n\n", b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"),
        (b"http/1.0   404\r\n\r\n", b"HTTP/1.0 404 \r\n\r\n"),
        (b"HTTP/1.1 200 a  b \r\n\r\n", b"HTTP/1.1 200 a  b \r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nA \t: b\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nA: b \r\n\t c\r\n  d\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b c d\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nA:\r\n b\r\n \r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n A: b\r\nC: d\r\n\r\n", b"HTTP/1.1 200 OK\r\nC: d\r\n\r\n"),
    ],
)
def test_each_slip_has_one_reading(raw: bytes, clean: bytes) -> None:
    """LF ends lines, folds become a space, spaces before colons go, the status line is straightened."""
    assert repair(raw) == clean


@pytest.mark.parametrize(
    "raw",
    [b"ICY 200 OK\r\n\r\n", b"HTTP/1.2 200 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nA b\r\n\r\n"],
)
def test_what_has_no_reading_is_refused(raw: bytes) -> None:
    """Other protocols and lines without a colon are not guessed at."""
    with pytest.raises(BadMessage) as caught:
        repair(raw)
    assert caught.value.failure.reason == "protocol"


@given(mutated(response_heads), SLOPPY_ENDS)
def test_a_repaired_head_is_strict_and_has_one_framing(head: bytes, end: bytes) -> None:
    """Whatever is read after a repair leaves as a head that h11 accepts, with at most one framing field."""
    request = read_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Limits())
    assert request is not None
    try:
        answer = read_response(head.replace(b"\r\n", end, 2), request, Limits())
    except BadMessage as refused:
        assert refused.failure.reason == "protocol"
        return
    if answer is None or not answer.repaired:
        return
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    peer.send(h11.EndOfMessage())
    wire = answer.to_app(request, keep_alive=True)
    peer.receive_data(re.sub(rb"gzip, |identity, ", b"", wire))  # codings that h11 does not know
    event = peer.next_event()
    assert isinstance(event, h11.Response | h11.InformationalResponse)
    names = [name for name, _ in event.headers]
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1


@given(mutated(response_heads))
def test_repair_is_done_after_one_pass(raw: bytes) -> None:
    """Repairing a repaired head changes nothing."""
    try:
        once = repair(raw)
    except BadMessage:
        return
    assert repair(once) == once
