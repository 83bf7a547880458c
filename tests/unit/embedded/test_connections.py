"""What is kept of each client."""

from typing import cast

from sidecar.embedded.connections import Connection, Connections, Seen, Subscription, Unacked
from sidecar.embedded.faults import EndStreams
from sidecar.embedded.gate import Link
from sidecar.embedded.model import ServiceName
from sidecar.wire import Payload

ORDERS = Subscription(ServiceName("orders"))


class _Link:
    """Stands for a TCP connection; only its identity matters here."""


def _connection(name: str = "c1") -> Connection:
    return Connection(name, cast("Link", _Link()), "v1", "public", {"module": "naming"}, 0.0)


async def test_a_push_that_waits_does_for_a_later_one_too() -> None:
    """Two pushes of one list before the stream can be written are one; a repeated one is always its own."""
    connection = _connection()
    connection.push(ORDERS)
    connection.push(ORDERS)
    connection.push(ORDERS, again=True)
    connection.send(Payload("A", b""))
    outgoing = connection.outgoing()
    assert [await anext(outgoing) for _ in range(3)] == [ORDERS, ORDERS, Payload("A", b"")]
    await outgoing.aclose()


async def test_nothing_is_written_after_the_end() -> None:
    """What still waited when the stream was ended is dropped."""
    connection = _connection()
    connection.push(ORDERS)
    connection.end(EndStreams())
    assert [item async for item in connection.outgoing()] == []


async def test_an_ack_is_booked_with_its_delay() -> None:
    """The answer to a request that is known is kept, any other only proves that the client lives."""
    connection = _connection()
    connection.unacked["7"] = Unacked(sent_at=1.0)
    connection.acked("NotifySubscriberResponse", "7", 1.5, ok=True)
    connection.acked("NotifySubscriberResponse", "8", 2.0, ok=True)
    assert [(ack.request_id, ack.after) for ack in connection.acks] == [("7", 0.5)]
    assert connection.last_active == 2.0
    assert repr(connection) == "<Connection c1 v1: 0 subscribed, 0 unacked>"


async def test_connections_are_found_by_link_and_subscription() -> None:
    """A connection that was replaced on its link is not removed in place of its successor."""
    connections, first = Connections(), _connection()
    connections.add(first)
    first.subscriptions[ORDERS] = None
    assert list(connections.subscribers(ORDERS.service)) == [(first, ORDERS)]
    assert list(connections.subscribers(ServiceName("stock"))) == []
    second = Connection("c2", first.link, "v2", "public", {}, 0.0)
    connections.add(second)
    connections.remove(first)
    assert connections.of(first.link) is second
    assert connections.versions == {"v1": 1, "v2": 1}


async def test_requests_are_counted_by_type() -> None:
    """Counts go on when the requests themselves are forgotten."""
    connections = Connections()
    connections.saw(Seen(0.0, "c1", "HealthCheckRequest", {}))
    connections.saw(Seen(0.0, "c1", "HealthCheckRequest", {}))
    assert connections.counts == {"HealthCheckRequest": 2}
    assert repr(connections) == "<Connections 0 open, 2 requests>"
