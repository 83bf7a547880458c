"""Defects in how the client library opens and closes: that it has them, and that sessions of ours leave no trace."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.cluster.instance import Via
from sidecar.cluster.policy import Range
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.options import Server
from sidecar.discovery.session import RequestError, Unanswered
from sidecar.discovery.source import Connected
from sidecar.embedded.faults import Abilities, Answer, EndStreams, Negotiation
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support import sdk
from tests.support.leftovers import growth
from tests.support.registry_session import Ear, clients, new_session, opened
from tests.support.until import until
from tests.support.watched_source import following

ONE = "127.0.0.1:8081"


@pytest.mark.reproduces(9)
async def test_reproduced_09_a_failed_subscription_is_half_there(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """`subscribe` raises, and its callback is called all the same once somebody else subscribes."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        await registry.apply(Answer("SubscribeServiceRequest", error=500))
        failed = sdk.Subscriber()
        param = sdk.nacos.SubscribeServiceParam(service_name="orders", subscribe_callback=failed.callback)
        with pytest.raises(sdk.NacosException):
            await app.subscribe(param)
        registry.lift("answer")
        await until(app.server_health)
        await sdk.subscribe(app, "orders")
        assert await failed.next() == {ONE}


@pytest.mark.defect(9)
async def test_defect_09_a_session_that_could_not_subscribe_is_thrown_away(registry: EmbeddedRegistry) -> None:
    """The next one has one subscription and brings one list; of the failed one nothing is heard."""
    await registry.apply(Answer("SubscribeServiceRequest", status="UNAVAILABLE", times=1))
    stats = ProcessStats()
    async with following(registry, stats=stats) as source:
        assert stats.reconnects == {"open_failed": 1}
        registry.register("orders", "127.0.0.1", 8082)
        await source.until(lambda: source.ports()[-1] == [8081, 8082])
        assert source.ports(Via.PUSH) == [[8081], [8081, 8082]]
        await until(lambda: clients(registry, 1))


@pytest.mark.reproduces(12)
async def test_reproduced_12_the_reconnecting_task_dies_of_an_odd_address(tmp_path: Path) -> None:
    """Nobody will reconnect any more, and nothing says so."""
    async with sdk.sdk_client("127.0.0.1:none", tmp_path) as app:
        task = app.grpc_client_proxy.rpc_client.reconnection_task
        with pytest.raises(ValueError, match="invalid literal"):
            await task


@pytest.mark.defect(12)
async def test_defect_12_nothing_of_the_library_reconnects(registry: EmbeddedRegistry) -> None:
    """In an open session only the timer of the library runs that nobody can turn off; reconnecting is ours."""
    async with opened(registry):
        assert sdk.tasks() == {"AbstractRedoService._execute_redo_task"}


@pytest.mark.defect(12)
@pytest.mark.parametrize("text", ["127.0.0.1:none", "127.0.0.1:8848/x", "http://127.0.0.1:8848"])
def test_defect_12_an_odd_address_is_refused_before_any_connect(text: str) -> None:
    """With its words, where the configuration is read."""
    with pytest.raises(ValueError, match="expected host or host:port, got"):
        Server.parse(text, grpc_port_offset=1000)


@pytest.mark.reproduces(13)
async def test_reproduced_13_a_failed_handshake_leaves_its_connection_open(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """Each of the tries to open leaves a connection that the server goes on serving."""

    def impatient(config: Any) -> None:
        config.grpc_config.capability_negotiation_timeout = 20

    await registry.apply(Negotiation(Abilities.SILENT))
    async with sdk.sdk_client(registry.address, tmp_path, tune=impatient) as app:
        assert not await app.server_health()
        assert len(registry.connections) >= 3


async def _cut_off(registry: EmbeddedRegistry) -> None:
    """The limit strikes in the middle of the handshake."""
    await registry.apply(Negotiation(Abilities.SILENT))
    session = new_session(registry, Ear())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await session.open()
    await session.close()


async def _turned_away(registry: EmbeddedRegistry) -> None:
    await registry.apply(Answer("ServerCheckRequest", error=300))
    session = new_session(registry, Ear())
    with pytest.raises(RequestError):
        await session.open()
    await session.close()


async def _used(registry: EmbeddedRegistry) -> None:
    async with opened(registry):
        pass


async def _dropped(registry: EmbeddedRegistry) -> None:
    """The server ends the stream."""
    async with opened(registry) as ear:
        await registry.apply(EndStreams())
        await ear.trouble()


@pytest.mark.defect(13)
@pytest.mark.parametrize("use", [_cut_off, _turned_away])
async def test_defect_13_failed_handshakes_leave_nothing_open(
    registry: EmbeddedRegistry, use: Callable[[EmbeddedRegistry], Awaitable[None]]
) -> None:
    """Thirty of them: no task, no descriptor, no log handler more, and not only once garbage is collected."""
    assert await growth(functools.partial(use, registry), times=30) is None
    assert len(registry.connections) == 0


@pytest.mark.reproduces(22)
async def test_reproduced_22_a_shutdown_leaves_a_task(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """The timer of its redo runs on."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        await app.shutdown()
        assert "AbstractRedoService._execute_redo_task" in sdk.tasks()


@pytest.mark.defect(22)
@pytest.mark.parametrize("use", [_used, _dropped])
async def test_defect_22_closed_sessions_leave_nothing_behind(
    registry: EmbeddedRegistry, use: Callable[[EmbeddedRegistry], Awaitable[None]]
) -> None:
    """Thirty of them, as above; what had to be ended by force was counted."""
    assert await growth(functools.partial(use, registry), times=30) is None
    session = new_session(registry, Ear())
    await session.open()
    assert await session.close() > 0
    assert sdk.tasks() == set()


@pytest.mark.defect(13, 19, 22)
@pytest.mark.scenario("S-30")
@pytest.mark.one_loop
async def test_defects_13_19_22_a_registry_that_flaps_a_hundred_times_leaves_nothing_behind(
    registry: EmbeddedRegistry,
) -> None:
    """Sessions that end as soon as they are open cost no task, descriptor or log handler, and each is counted."""
    stats = ProcessStats()
    async with following(registry, stats=stats, reconnect_backoff=Range(0.001, 0.001)) as source:

        async def flap() -> None:
            known = len(source.all(Connected))
            await registry.apply(EndStreams())
            await source.until(lambda: len(source.all(Connected)) > known)

        assert await growth(flap, times=100) is None
    assert stats.reconnects == {"stream_end": 101}
    assert stats.tasks_cancelled >= 101


@pytest.mark.reproduces(27)
async def test_reproduced_27_a_client_that_never_opened_cannot_be_shut_down(tmp_path: Path) -> None:
    """`shutdown` raises where `start` did not get as far as to a connection."""
    async with sdk.closed_client("127.0.0.1:1", tmp_path) as client:
        with pytest.raises(AttributeError):
            await client.shutdown()


@pytest.mark.defect(27)
async def test_defect_27_any_session_can_be_closed(registry: EmbeddedRegistry) -> None:
    """Never opened, not opened because the port is closed, and closed before."""
    never, refused = new_session(registry, Ear()), new_session(registry, Ear())
    await registry.stop()
    with pytest.raises(Unanswered):
        await refused.open()
    for session in (never, refused, refused):
        await session.close()
    assert sdk.tasks() == set()
