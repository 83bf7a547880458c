"""Defects of the client library's connection: that it has them, and that no session of ours is fooled by them."""

import contextlib
from pathlib import Path

import pytest

from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.session import Trouble
from sidecar.discovery.source import Connected, Disconnected
from sidecar.embedded.faults import (
    Afterwards,
    Answer,
    DetectClients,
    EndStreams,
    ResetConnections,
    Restart,
    StreamStatus,
)
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support import sdk
from tests.support.registry_session import acked, clients, opened
from tests.support.until import until
from tests.support.watched_source import following

ONE, TWO = "127.0.0.1:8081", "127.0.0.1:8082"


@pytest.mark.reproduces(1)
async def test_reproduced_01_a_stream_that_ends_cleanly_leaves_the_library_deaf(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """After a clean end of its stream it stays healthy, reports nothing and gets no push any more."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        await registry.apply(EndStreams(afterwards=Afterwards.SERVED))
        registry.register("orders", "127.0.0.1", 8082)
        with pytest.raises(TimeoutError):
            await lists.next(within=0.5)
        assert await app.server_health()
        assert await sdk.query(app, "orders") == {ONE, TWO}


@pytest.mark.reproduces(1)
async def test_reproduced_01_a_query_repairs_the_connection_but_not_the_subscription(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """Where the server forgot the client, a query reconnects and succeeds, and the pushes are gone all the same."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        before = sdk.connection_id(app)
        assert await lists.next() == {ONE}
        await registry.apply(EndStreams(afterwards=Afterwards.UNREGISTERED))
        await until(lambda: clients(registry, 0))
        await until(lambda: _answers(app, {ONE}))
        assert sdk.connection_id(app) != before
        registry.register("orders", "127.0.0.1", 8082)
        with pytest.raises(TimeoutError):
            await lists.next(within=0.5)


@pytest.mark.scenario("S-16")
@pytest.mark.defect(1)
@pytest.mark.parametrize("afterwards", list(Afterwards))
async def test_defect_01_the_end_of_a_stream_is_the_end_of_the_session(
    registry: EmbeddedRegistry, afterwards: Afterwards
) -> None:
    """Whether requests are then refused, served or answered with 301: the next session has the subscription again."""
    stats = ProcessStats()
    async with following(registry, stats=stats) as source:
        await registry.apply(EndStreams(afterwards=afterwards))
        await source.next(Connected)
        registry.register("orders", "127.0.0.1", 8082)
        await source.until(lambda: source.ports()[-1] == [8081, 8082])
        assert stats.reconnects["stream_end"] == 1


@pytest.mark.defect(1)
@pytest.mark.parametrize("status", list(StreamStatus))
async def test_defect_01_the_end_of_a_stream_is_heard_however_it_comes(
    registry: EmbeddedRegistry, status: StreamStatus
) -> None:
    """Without a query: the session says so by itself."""
    async with opened(registry) as ear:
        await registry.apply(EndStreams(status))
        assert await ear.trouble() is Trouble.STREAM_END


@pytest.mark.scenario("S-17")
@pytest.mark.defect(1)
async def test_defect_01_a_connection_that_the_server_disowns_is_left(registry: EmbeddedRegistry) -> None:
    """Error 301 to a query, with the stream still open: the library would call that healthy."""
    stats = ProcessStats()
    async with following(registry, stats=stats) as source:
        await registry.apply(Answer("ServiceQueryRequest", error=301, times=1))
        source.source.doubt(["orders"])
        await source.next(Connected)
        assert stats.reconnects == {"unhealthy": 1}


@pytest.mark.reproduces(2)
async def test_reproduced_02_a_reconnected_library_does_not_subscribe_again_at_once(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """After a server restart it is connected again but leaves its subscription to a tick of 30 s."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        await registry.restart(Restart(return_after_s=None))
        await until(lambda: clients(registry, 1))
        registry.register("orders", "127.0.0.1", 8082)
        with pytest.raises(TimeoutError):
            await lists.next(within=1.0)
        assert registry.connections.counts["SubscribeServiceRequest"] == 1


@pytest.mark.defect(2)
async def test_defect_02_every_session_begins_with_its_subscriptions(registry: EmbeddedRegistry) -> None:
    """After a restart of the server nobody is told that we are connected before the server has them again."""
    async with following(registry) as source:
        await registry.restart(Restart(return_after_s=None))
        await source.next(Connected)
        (connection,) = registry.connections
        assert [subscription.service.name for subscription in connection.subscriptions] == ["orders"]
        registry.register("orders", "127.0.0.1", 8082)
        await source.until(lambda: source.ports()[-1] == [8082])


@pytest.mark.reproduces(10)
async def test_reproduced_10_a_request_to_reconnect_is_not_understood(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """ConnectReset is neither acked nor followed."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        (connection,) = registry.connections
        await registry.apply(ResetConnections())
        await registry.apply(DetectClients())
        await until(lambda: acked(connection, "ClientDetectionResponse"))
        assert [ack.type for ack in connection.acks] == ["ClientDetectionResponse"]
        assert sdk.connection_id(app) == connection.id


@pytest.mark.defect(10)
async def test_defect_10_a_request_to_reconnect_is_acknowledged(registry: EmbeddedRegistry) -> None:
    """The server hears that we heard it, and the owner that the session is over."""
    async with opened(registry) as ear:
        (connection,) = registry.connections
        await registry.apply(ResetConnections())
        assert await ear.trouble() is Trouble.RESET_REQUEST
        await until(lambda: acked(connection, "ConnectResetResponse"))


@pytest.mark.scenario("S-25")
@pytest.mark.defect(10)
async def test_defect_10_a_request_to_reconnect_is_followed(registry: EmbeddedRegistry) -> None:
    """A rebalancing server gets what it wants, and no list is lost by it."""
    async with following(registry) as source:
        (before,) = registry.connections
        await registry.apply(ResetConnections())
        await source.next(Connected)
        assert [update.reason for update in source.all(Disconnected)] == ["reset_request"]
        await until(lambda: clients(registry, 1))
        assert before not in set(registry.connections)


@pytest.mark.reproduces(11)
async def test_reproduced_11_a_failing_server_is_neither_asked_again_nor_left(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """A gRPC error in a request fails it at once, and the library goes on believing in its connection."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        before = sdk.connection_id(app)
        await registry.apply(Answer("ServiceQueryRequest", status="UNAVAILABLE"))
        with pytest.raises(sdk.NacosException):
            await sdk.query(app, "orders")
        assert registry.connections.counts["ServiceQueryRequest"] == 1
        assert (await app.server_health(), sdk.connection_id(app)) == (True, before)


@pytest.mark.defect(11)
@pytest.mark.one_loop
async def test_defect_11_a_server_that_does_not_answer_is_left(registry: EmbeddedRegistry) -> None:
    """Two queries in a row without an answer, and the session is replaced, however healthy it looks."""
    stats = ProcessStats()
    async with following(registry, stats=stats) as source:
        await registry.apply(Answer("ServiceQueryRequest", status="UNAVAILABLE", times=2))
        source.source.doubt(["orders"])
        await source.next(Connected)
        assert (stats.reconnects, stats.queries["error"]) == ({"query_failed": 1}, 2)


async def _answers(app: object, expected: set[str]) -> bool:
    """On a busy machine the library's own three tries within 0.2 s may all come before it is connected again."""
    with contextlib.suppress(sdk.NacosException):
        return await sdk.query(app, "orders") == expected
    return False
