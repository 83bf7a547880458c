"""Answers that the sidecar makes itself."""

import json
from typing import Any

import h11
import pytest

from sidecar.cluster.policy import Limits
from sidecar.errors import FAILURES, Failure
from sidecar.proxy.http1.local import LocalAnswer, body_size
from sidecar.proxy.http1.request import RequestHead, read_request

DATE = b"Sat, 31 Jan 2026 10:00:00 GMT"
REFUSED = LocalAnswer(FAILURES["refused"], "orders", "10.0.0.1:8080", 3, retry_after=7)


def request(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> RequestHead:
    head = read_request(b"\r\n".join([start, b"Host: a", *lines, b"", b""]), Limits())
    assert head is not None
    return head


def parsed(wire: bytes, method: str = "GET") -> tuple[h11.Response, bytes]:
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(wire)
    response: Any = peer.next_event()
    body = b""
    while isinstance(event := peer.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return response, body


def test_the_answer_says_what_failed_where_and_how_often() -> None:
    """Header and body carry flags, reason, address and attempts; a 503 says when to come back."""
    assert REFUSED.to_app(request(), keep_alive=True, date=DATE) == (
        b"HTTP/1.1 503 Service Unavailable\r\ndate: Sat, 31 Jan 2026 10:00:00 GMT\r\n"
        b"content-type: text/plain; charset=utf-8\r\ncontent-length: 45\r\n"
        b"x-sidecar-error: UF refused 10.0.0.1:8080 attempts=3\r\nretry-after: 7\r\n\r\n"
        b"sidecar: UF refused 10.0.0.1:8080 attempts=3\n"
    )


def test_an_app_that_asks_for_json_gets_json() -> None:
    """The same facts as an object, with the request's id."""
    head = request(b"Accept: application/json", b"x-request-id: 8c1e")
    response, body = parsed(REFUSED.to_app(head, keep_alive=True, date=DATE))
    assert dict(response.headers)[b"content-type"] == b"application/json"
    assert json.loads(body) == {
        "error": {
            "flags": "UF",
            "reason": "refused",
            "endpoint": "10.0.0.1:8080",
            "attempts": 3,
            "service": "orders",
            "request_id": "8c1e",
        }
    }


def test_an_answer_to_head_has_no_body() -> None:
    """Its length is stated all the same."""
    response, body = parsed(REFUSED.to_app(request(start=b"HEAD / HTTP/1.1"), keep_alive=True, date=DATE), "HEAD")
    assert (dict(response.headers)[b"content-length"], body) == (b"45", b"")


def test_what_counts_as_sent_is_the_body() -> None:
    """45 bytes to GET, none to HEAD, whatever the length that the head states."""
    assert body_size(REFUSED.to_app(request(), keep_alive=True, date=DATE)) == 45
    assert body_size(REFUSED.to_app(request(start=b"HEAD / HTTP/1.1"), keep_alive=True, date=DATE)) == 0


def test_a_head_that_is_refused_gets_no_body_either() -> None:
    """Nothing of it is trusted but its method: a client reads no body after HEAD, and would take it for an answer."""
    for begun in (b"HEAD / HTTP/1.1\r\n\r\n", b"\r\nHEAD /a b"):
        assert body_size(REFUSED.to_app(None, keep_alive=False, date=DATE, begun=begun)) == 0
    assert body_size(REFUSED.to_app(None, keep_alive=False, date=DATE, begun=b"HEADER: 1\r\n\r\n")) == 45


def test_the_connection_is_closed_or_kept_as_the_version_needs() -> None:
    """Close is said to all, keep-alive to HTTP/1.0 only; a head that could not be read gets plain text."""
    old = request(b"Connection: keep-alive", start=b"GET / HTTP/1.0")
    assert b"\r\nconnection: keep-alive\r\n" in REFUSED.to_app(old, keep_alive=True, date=DATE)
    bad = LocalAnswer(FAILURES["bad_request"]).to_app(None, keep_alive=False, date=DATE)
    assert bad.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nconnection: close\r\n" in bad
    assert bad.endswith(b"\r\n\r\nsidecar: DPE bad_request attempts=0\n")


def test_flags_stand_in_table_order() -> None:
    """URX, a further attempt not allowed, comes last."""
    assert LocalAnswer(FAILURES["reset"], flags=("URX",)).error == "UR,URX reset attempts=0"


@pytest.mark.parametrize(("seconds", "said"), [(0, b"1"), (30, b"30"), (99, b"30")])
def test_retry_after_is_between_1_and_30_seconds(seconds: int, said: bytes) -> None:
    """An app that obeys neither hammers nor sleeps."""
    answer = LocalAnswer(FAILURES["no_instance"], retry_after=seconds).to_app(None, keep_alive=False, date=DATE)
    assert b"\r\nretry-after: " + said + b"\r\n" in answer


@pytest.mark.parametrize("failure", [row for row in FAILURES.values() if row.status], ids=lambda row: row.reason)
def test_every_failure_with_a_status_has_an_answer(failure: Failure) -> None:
    """h11 reads each of them; only 503 says when to come back."""
    response, body = parsed(LocalAnswer(failure).to_app(None, keep_alive=False, date=DATE))
    assert (response.status_code, bool(response.reason), bool(body)) == (failure.status, True, True)
    assert (b"retry-after" in dict(response.headers)) is (failure.status == 503)
