"""The unmodified SDK against the embedded registry: what it can do, and each of its defects that we work around."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.embedded.connections import Connection
from sidecar.embedded.faults import (
    Afterwards,
    DetectClients,
    EndStreams,
    FaultError,
    ForcedList,
    PushTiming,
    RefTime,
    ResetConnections,
    Restart,
    Shape,
)
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.tasks import spawn
from tests.support import sdk
from tests.support.until import until
from tests.support.wire_client import WireClient

ONE, TWO = "127.0.0.1:8081", "127.0.0.1:8082"


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    """Without the second push: its ack may be on its way when a test ends the stream, and wake the SDK up."""
    async with EmbeddedRegistry() as registry:
        await registry.apply(PushTiming(delay_s=0.0, second=False))
        registry.register("orders", "127.0.0.1", 8081)
        yield registry


async def test_the_sdk_registers_subscribes_and_deregisters(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """A provider that registers and deregisters with the SDK appears in and leaves a subscriber's list."""
    async with (
        sdk.sdk_client(registry.address, tmp_path) as provider,
        sdk.sdk_client(registry.address, tmp_path) as app,
    ):
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        await sdk.register(provider, "orders", "127.0.0.1", 8082)
        assert await lists.next() == {ONE, TWO}
        assert await sdk.query(app, "orders") == {ONE, TWO}
        await sdk.deregister(provider, "orders", "127.0.0.1", 8082)
        assert await lists.next() == {ONE}


async def test_the_end_of_a_connection_removes_its_instances(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """A provider that goes without deregistering is gone from the list as soon as its connection is."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        async with sdk.sdk_client(registry.address, tmp_path) as provider:
            await sdk.register(provider, "orders", "127.0.0.1", 8082)
            lists = await sdk.subscribe(app, "orders")
            assert await lists.next() == {ONE, TWO}
        assert await lists.next() == {ONE}


async def test_the_sdk_survives_client_detection(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """Asked whether it lives, the SDK answers within the limit and keeps its connection."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        (connection,) = registry.connections
        await registry.apply(DetectClients())
        await until(lambda: _has_acked(registry, "ClientDetectionResponse"))
        assert sdk.connection_id(app) == connection.id
        assert list(registry.connections) == [connection]


async def test_a_restart_is_seen_from_outside_as_one(registry: EmbeddedRegistry) -> None:
    """Both ports refuse while it is down, then every request is told 300, then all is well on the same ports."""
    restarting = spawn(registry.restart(Restart(down_s=0.2, starting_s=0.3)), name="restarting")
    await until(lambda: _refuses(registry.port))
    await until(lambda: _refuses(registry.port + registry.port_offset))
    await restarting
    async with WireClient(registry.port) as client:
        assert (await client.ask("ServerCheckRequest"))[1]["errorCode"] == 300
        await until(lambda: _checks(client))


async def test_a_second_restart_has_to_wait_for_the_first(registry: EmbeddedRegistry) -> None:
    """While one is under way another is refused, and closing the registry ends it."""
    await registry.apply(Restart(down_s=60))
    with pytest.raises(FaultError, match="under way"):
        await registry.apply(Restart())


async def test_the_registry_says_how_it_is(registry: EmbeddedRegistry) -> None:
    """Its repr reads like a status line."""
    await registry.stop()
    naming = "<Naming <Catalogue 1 services, 1 instances>>"
    assert repr(registry) == f"<EmbeddedRegistry {registry.address} down, 0 clients, {naming}>"


async def test_defect_1_a_stream_that_ends_cleanly_leaves_the_sdk_deaf(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """After a clean end of its stream the SDK stays healthy, reports nothing and gets no push any more."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        await registry.apply(EndStreams(afterwards=Afterwards.SERVED))
        registry.register("orders", "127.0.0.1", 8082)
        with pytest.raises(TimeoutError):
            await lists.next(within=0.5)
        assert await app.server_health()
        assert await sdk.query(app, "orders") == {ONE, TWO}


async def test_defect_1_a_query_repairs_the_connection_but_not_the_subscription(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """Where the server forgot the client, a query reconnects and succeeds, and the pushes are gone all the same."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        before = sdk.connection_id(app)
        assert await lists.next() == {ONE}
        await registry.apply(EndStreams(afterwards=Afterwards.UNREGISTERED))
        await until(lambda: _clients(registry, 0))
        await until(lambda: _answers(app, {ONE}))
        assert sdk.connection_id(app) != before
        registry.register("orders", "127.0.0.1", 8082)
        with pytest.raises(TimeoutError):
            await lists.next(within=0.5)


async def test_defect_2_a_reconnected_sdk_does_not_subscribe_again_at_once(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """After a server restart the SDK is connected again but leaves its subscription to a tick of 30 s."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        await registry.restart(Restart(return_after_s=None))
        await until(lambda: _clients(registry, 1))
        registry.register("orders", "127.0.0.1", 8082)
        with pytest.raises(TimeoutError):
            await lists.next(within=1.0)
        assert registry.connections.counts["SubscribeServiceRequest"] == 1


async def test_defect_3_a_slow_callback_delays_the_ack_of_the_detection(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """While a callback runs, the SDK acks nothing: neither the push nor ClientDetection."""
    release = asyncio.Event()

    async def slow(_instances: object) -> None:
        await release.wait()

    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        param = sdk.nacos.SubscribeServiceParam(service_name="orders", subscribe_callback=slow)
        await app.subscribe(param)
        registry.register("orders", "127.0.0.1", 8082)
        assert await lists.next() == {ONE, TWO}
        (connection,) = registry.connections
        acked = len(connection.acks)
        await registry.apply(DetectClients())
        with pytest.raises(TimeoutError):
            await until(lambda: _acks(connection, acked + 1), within=0.3)
        release.set()
        await until(lambda: _has_acked(registry, "ClientDetectionResponse"))


async def test_defect_5_a_list_with_an_equal_time_is_dropped(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """A push whose lastRefTime is not later than the last one's is acked and lost."""
    await registry.apply(RefTime(frozen_at_ms=1_700_000_000_000))
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        registry.register("orders", "127.0.0.1", 8082)
        with pytest.raises(TimeoutError):
            await lists.next(within=0.5)
        assert await sdk.query(app, "orders") == {ONE, TWO}


async def test_defect_7_an_empty_list_is_dropped_by_default(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """Without `update_cache_when_empty` the removal of the last instance never reaches the callback."""
    async with sdk.sdk_client(registry.address, tmp_path, keep_empty=False) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        registry.deregister("orders", "127.0.0.1", 8081)
        with pytest.raises(TimeoutError):
            await lists.next(within=0.5)
        assert await sdk.query(app, "orders") == set()


async def test_defect_7_a_list_without_hosts_is_not_acked(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """`hosts: null` is a validation error inside the SDK: no callback, no ack, and the server pushes again."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        await registry.apply(ForcedList(shape=Shape.HOSTS_NULL, times=1))
        registry.register("orders", "127.0.0.1", 8082)
        with pytest.raises(TimeoutError):
            await lists.next(within=0.5)
        assert await lists.next(within=2.0) == {ONE, TWO}


async def test_defect_10_a_request_to_reconnect_is_not_understood(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """ConnectReset is neither acked nor followed."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        (connection,) = registry.connections
        await registry.apply(ResetConnections())
        await registry.apply(DetectClients())
        await until(lambda: _has_acked(registry, "ClientDetectionResponse"))
        assert [ack.type for ack in connection.acks] == ["ClientDetectionResponse"]
        assert sdk.connection_id(app) == connection.id


async def test_defect_24_a_push_of_more_than_four_megabytes_is_never_delivered(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """The limit that the SDK sets is unknown to gRPC: the stream breaks, and the client comes back unsubscribed."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        before = sdk.connection_id(app)
        assert await lists.next() == {ONE}
        await registry.apply(ForcedList(shape=Shape.LARGE, hosts=16_000, in_answers=False))
        registry.register("orders", "127.0.0.1", 8082)
        await until(lambda: _is_elsewhere(app, before))
        assert lists.lists.empty()


async def _refuses(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def _checks(client: WireClient) -> bool:
    return (await client.ask("ServerCheckRequest"))[0] == "ServerCheckResponse"


async def _clients(registry: EmbeddedRegistry, count: int) -> bool:
    return len(registry.connections) == count


async def _acks(connection: Connection, count: int) -> bool:
    return len(connection.acks) >= count


async def _has_acked(registry: EmbeddedRegistry, kind: str) -> bool:
    return any(ack.type == kind for connection in registry.connections for ack in connection.acks)


async def _answers(app: object, expected: set[str]) -> bool:
    """On a busy machine the SDK's own three tries within 0.2 s may all come before it is connected again."""
    with contextlib.suppress(sdk.NacosException):
        return await sdk.query(app, "orders") == expected
    return False


async def _is_elsewhere(app: object, before: str) -> bool:
    return sdk.connection_id(app) != before
