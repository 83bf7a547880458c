"""Defects of the client library's callbacks: that it has them, and that no reader of ours can hold up a session."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.cluster.instance import Push
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.options import NacosOptions
from sidecar.discovery.session import Listing, ServiceKey, Trouble
from sidecar.discovery.source import Update
from sidecar.discovery.supervisor import NacosSource
from sidecar.embedded.faults import DetectClients, PushNow, PushTiming
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support import sdk
from tests.support.registry_session import ORDERS, Ear, acked, new_session
from tests.support.until import settled, until

ONE, TWO = "127.0.0.1:8081", "127.0.0.1:8082"


@pytest.mark.reproduces(3)
async def test_reproduced_03_a_slow_callback_delays_every_ack(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """While a callback runs, the library answers nothing: neither the push nor ClientDetection."""
    release = asyncio.Event()

    async def slow(_instances: object) -> None:
        await release.wait()

    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        await app.subscribe(sdk.nacos.SubscribeServiceParam(service_name="orders", subscribe_callback=slow))
        registry.register("orders", "127.0.0.1", 8082)
        assert await lists.next() == {ONE, TWO}
        (connection,) = registry.connections
        known = len(connection.acks)
        await registry.apply(DetectClients())
        with pytest.raises(TimeoutError):
            await settled(lambda: len(connection.acks) > known, within=0.3)
        release.set()
        await until(lambda: acked(connection, "ClientDetectionResponse"))


@pytest.mark.reproduces(3)
async def test_reproduced_03_a_callback_that_asks_for_the_list_waits_for_itself(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """For ever, and the client hears nothing more."""
    entered, ended = asyncio.Event(), asyncio.Event()

    async with sdk.sdk_client(registry.address, tmp_path) as app:

        async def curious(_instances: object) -> None:
            entered.set()
            await app.list_instances(sdk.nacos.ListInstanceParam(service_name="orders", healthy_only=True))
            ended.set()

        param = sdk.nacos.SubscribeServiceParam(service_name="orders", subscribe_callback=curious)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await app.subscribe(param)
        assert (entered.is_set(), ended.is_set()) == (True, False)


@pytest.mark.defect(3)
async def test_defect_03_a_reader_that_sleeps_delays_no_ack(registry: EmbeddedRegistry) -> None:
    """Pushes and ClientDetection are answered while nobody takes what they brought; nothing of it is lost."""
    source = _source(registry, "orders")
    updates = source.updates()
    await anext(updates)
    (connection,) = registry.connections
    for port in (8082, 8083):
        registry.register("orders", "127.0.0.1", port)
        await settled(lambda: not connection.unacked)
    await registry.apply(DetectClients())
    await until(lambda: acked(connection, "ClientDetectionResponse"))
    await _read_until(updates, {"orders": {8081, 8082, 8083}})
    await source.close()


@pytest.mark.defect(3)
@pytest.mark.scenario("S-27")
@pytest.mark.one_loop
async def test_defect_03_a_storm_of_pushes_is_acknowledged_whoever_reads(registry: EmbeddedRegistry) -> None:
    """200 services that change three times, and each pushed five times more: the last state of each is told."""
    names = [f"service-{number}" for number in range(200)]
    for name in names:
        registry.register(name, "127.0.0.1", 1)
    source = _source(registry, *names)
    updates = source.updates()
    await anext(updates)
    (connection,) = registry.connections
    for port in (2, 3, 4):
        for name in names:
            registry.register(name, "127.0.0.1", port)
        await asyncio.sleep(0)
    await registry.apply(PushNow(count=5))
    await settled(lambda: len(connection.acks) >= len(names) * 5 and not connection.unacked, within=60)
    await _read_until(updates, {name: {1, 2, 3, 4} for name in names})
    await source.close()


@pytest.mark.reproduces(4)
async def test_reproduced_04_a_callback_that_fails_loses_the_change(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """Its ack is lost too, so the server pushes again; by then the cache knows the list and nobody is called."""
    await registry.apply(PushTiming(delay_s=0.0, second=False, resend_s=0.05))
    told: list[int] = []

    async def fails_once(instances: list[object]) -> None:
        told.append(len(instances))
        if len(told) == 2:
            raise OSError("no space left")

    async with sdk.sdk_client(registry.address, tmp_path) as app:
        await app.subscribe(sdk.nacos.SubscribeServiceParam(service_name="orders", subscribe_callback=fails_once))
        (connection,) = registry.connections
        registry.register("orders", "127.0.0.1", 8082)
        await until(lambda: acked(connection, "NotifySubscriberResponse"))
        assert told == [1, 2]


class _Failing(Ear):
    def pushed(self, key: ServiceKey, listing: Listing) -> None:
        raise OSError("no space left")


@pytest.mark.defect(4)
async def test_defect_04_a_list_that_nobody_can_take_is_acknowledged_and_the_session_replaced(
    registry: EmbeddedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is told as a crash and ends the session; the next one begins with the list."""
    ear = _Failing()
    session = new_session(registry, ear)
    await session.open()
    await session.subscribe(ORDERS)
    (connection,) = registry.connections
    registry.register("orders", "127.0.0.1", 8082)
    assert await ear.trouble() is Trouble.STREAM_END
    await until(lambda: acked(connection, "NotifySubscriberResponse"))
    await session.close()
    assert [record.getMessage() for record in caplog.records] == ["crash"]


def _source(registry: EmbeddedRegistry, *names: str) -> NacosSource:
    options = NacosOptions(server_addresses=(registry.address,))
    services = {name: Discovery() for name in names}
    return NacosSource(options, services, rng=random.Random(1), stats=ProcessStats())


async def _read_until(updates: AsyncIterator[Update], wanted: dict[str, set[int]]) -> None:
    """Reads on until the last list of each service is the one that is wanted."""
    last: dict[str, set[int]] = {}
    async with asyncio.timeout(30):
        while last != wanted:
            match await anext(updates):
                case Push(service=name, instances=instances):
                    last[name] = {instance.port for instance in instances}
