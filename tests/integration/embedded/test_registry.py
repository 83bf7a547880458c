"""The embedded registry as a whole, with the unmodified SDK for a client. What the SDK gets wrong: tests/defects."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.embedded.faults import (
    DetectClients,
    FaultError,
    PushTiming,
    Restart,
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


@pytest.mark.one_loop
async def test_a_restart_is_seen_from_outside_as_one(registry: EmbeddedRegistry) -> None:
    """Both ports refuse while it is down, then every request is told 300, then all is well on the same ports."""
    restarting = spawn(registry.restart(Restart(down_s=2.0, starting_s=2.0)), name="restarting")
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


async def _refuses(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def _checks(client: WireClient) -> bool:
    return (await client.ask("ServerCheckRequest"))[0] == "ServerCheckResponse"


async def _has_acked(registry: EmbeddedRegistry, kind: str) -> bool:
    return any(ack.type == kind for connection in registry.connections for ack in connection.acks)
