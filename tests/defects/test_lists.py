"""Defects in how the client library takes lists: that it has them, and that no list is lost by us."""

from pathlib import Path
from typing import Any

import pytest

from sidecar.cluster.instance import Push, Via
from sidecar.discovery.source import Connected, Malformed
from sidecar.embedded.faults import ForcedList, PushNow, RefTime, Restart, Shape
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support import sdk
from tests.support.registry_session import ORDERS, Ear, acked, new_session, opened, ports
from tests.support.until import PATIENCE, settled, until
from tests.support.watched_source import following

ONE, TWO = "127.0.0.1:8081", "127.0.0.1:8082"
HOUR_MS = 3_600_000


@pytest.mark.reproduces(5)
async def test_reproduced_05_a_list_with_an_equal_time_is_dropped(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """A push whose lastRefTime is not later than the last one's is acked and lost."""
    await registry.apply(RefTime(frozen_at_ms=1_700_000_000_000))
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        registry.register("orders", "127.0.0.1", 8082)
        with pytest.raises(TimeoutError):
            await lists.next(within=0.5)
        assert await sdk.query(app, "orders") == {ONE, TWO}


@pytest.mark.defect(5)
@pytest.mark.scenario("S-11", "S-12")
@pytest.mark.parametrize(
    "clock",
    [RefTime(frozen_at_ms=1_700_000_000_000), RefTime(skew_ms=-HOUR_MS), RefTime(skew_ms=-1), RefTime(skew_ms=HOUR_MS)],
)
async def test_defect_05_a_clock_that_is_behind_or_stands_still_decides_nothing(
    registry: EmbeddedRegistry, clock: RefTime
) -> None:
    """Of the same session and of the next one the newer list counts, whatever time the server writes on it."""
    async with following(registry) as source:
        registry.register("orders", "127.0.0.1", 8082)
        await source.until(lambda: source.ports()[-1] == [8081, 8082])
        await registry.apply(clock)
        registry.register("orders", "127.0.0.1", 8083)
        await source.until(lambda: source.ports()[-1] == [8081, 8082, 8083])
        registry.deregister("orders", "127.0.0.1", 8083)
        await source.until(lambda: source.ports()[-1] == [8081, 8082])
        assert len(source.all(Connected)) == 1
        await registry.apply(RefTime(skew_ms=-2 * HOUR_MS))
        await registry.restart(Restart(return_after_s=None))
        registry.register("orders", "127.0.0.1", 8084)
        await source.until(lambda: source.ports()[-1] == [8084])


@pytest.mark.reproduces(6)
async def test_reproduced_06_a_list_from_disk_is_served_as_if_it_were_subscribed(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """By default: the address of an earlier run is given out and the server is not asked."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        await sdk.subscribe(app, "orders")
    registry.deregister("orders", "127.0.0.1", 8081)
    asked = registry.connections.counts["SubscribeServiceRequest"]

    async with sdk.sdk_client(
        registry.address, tmp_path, tune=lambda config: config.set_load_cache_at_start(True)
    ) as app:
        await until(lambda: _loaded(app))
        found = await app.get_service(sdk.nacos.GetServiceParam(service_name="orders"))
        assert [f"{host.ip}:{host.port}" for host in found.hosts] == [ONE]
        assert registry.connections.counts["SubscribeServiceRequest"] == asked


@pytest.mark.reproduces(7)
async def test_reproduced_07_an_empty_list_is_dropped_by_default(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """Without `update_cache_when_empty` the removal of the last instance never reaches the callback."""
    async with sdk.sdk_client(registry.address, tmp_path, keep_empty=False) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        registry.deregister("orders", "127.0.0.1", 8081)
        with pytest.raises(TimeoutError):
            await lists.next(within=0.5)
        assert await sdk.query(app, "orders") == set()


@pytest.mark.reproduces(7)
async def test_reproduced_07_a_list_without_hosts_is_not_acked(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """`hosts: null` is a validation error inside the library: no callback, no ack, and the server pushes again."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        await registry.apply(ForcedList(shape=Shape.HOSTS_NULL, times=1))
        registry.register("orders", "127.0.0.1", 8082)
        with pytest.raises(TimeoutError):
            await lists.next(within=0.5)
        assert await lists.next(within=PATIENCE) == {ONE, TWO}


@pytest.mark.defect(7)
async def test_defect_07_an_empty_list_is_told_as_empty(registry: EmbeddedRegistry) -> None:
    """As an answer, as a push and to a query; whether it is believed is decided elsewhere."""
    async with following(registry) as source:
        registry.deregister("orders", "127.0.0.1", 8081)
        await source.until(lambda: source.ports(Via.PUSH)[-1] == [])
        await source.until(lambda: source.ports(Via.QUERY)[-1:] == [[]])
        assert len(source.all(Connected)) == 1
        await registry.restart(Restart(return_after_s=None))
        await source.next(Connected)
        known = len(source.ports())
        await source.until(lambda: source.ports()[known:] == [[]])


@pytest.mark.defect(7)
@pytest.mark.scenario("S-23")
async def test_defect_07_a_list_that_cannot_be_read_changes_nothing(registry: EmbeddedRegistry) -> None:
    """It is acknowledged and told as malformed, the last list stays, the session goes on and hears the next one."""
    async with following(registry) as source:
        await registry.apply(ForcedList(shape=Shape.HOSTS_NULL, in_answers=False, times=1))
        (connection,) = registry.connections
        answered = len(connection.acks)
        await registry.apply(PushNow())
        await source.next(Malformed)
        await settled(lambda: len(connection.acks) == answered + 1)
        assert (source.all(Malformed)[0].service, source.ports()[-1]) == ("orders", [8081])
        registry.register("orders", "127.0.0.1", 8082)
        await source.until(lambda: source.ports()[-1] == [8081, 8082])
        assert len(source.all(Connected)) == 1


@pytest.mark.reproduces(8)
async def test_reproduced_08_a_second_subscription_has_no_first_list(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """Whoever subscribes to what is known already hears nothing until it changes."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        assert await (await sdk.subscribe(app, "orders")).next() == {ONE}
        second = await sdk.subscribe(app, "orders")
        with pytest.raises(TimeoutError):
            await second.next(within=0.5)


@pytest.mark.defect(8)
@pytest.mark.parametrize(("kept", "wanted"), [(1, [8081]), (0, [])])
async def test_defect_08_every_session_tells_its_first_list(
    registry: EmbeddedRegistry, kept: int, wanted: list[int]
) -> None:
    """Though it be the list of the session before, and though it be empty."""
    async with following(registry) as source:
        await registry.restart(Restart(keep=kept, return_after_s=None))
        await source.next(Connected)
        epoch = source.all(Connected)[-1].epoch
        await source.until(lambda: source.all(Push)[-1].epoch == epoch)
        assert source.all(Push)[-1].via is Via.PUSH
        assert source.ports()[-1] == wanted


@pytest.mark.reproduces(21)
async def test_reproduced_21_a_query_for_healthy_ones_brings_the_sick_too(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """The field that the library sends is not the one that servers read."""
    registry.register("orders", "127.0.0.1", 8082, healthy=False)
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        answer = await app.grpc_client_proxy.query_instance_of_service("orders", "DEFAULT_GROUP", "", True)
        assert {host.healthy for host in answer.hosts} == {True, False}


@pytest.mark.defect(21)
async def test_defect_21_health_is_asked_of_nobody(registry: EmbeddedRegistry) -> None:
    """Queries and pushes bring all, the sick and the switched off by weight among them: choosing is ours."""
    registry.register("orders", "127.0.0.1", 8082, healthy=False)
    registry.register("orders", "127.0.0.1", 8083, weight=0.0)
    session = new_session(registry, Ear())
    await session.open()
    for listing in (await session.subscribe(ORDERS), await session.query(ORDERS)):
        found = {instance.port: (instance.healthy, instance.weight) for instance in listing.instances}
        assert found == {8081: (True, 1.0), 8082: (False, 1.0), 8083: (True, 0.0)}
    await session.close()


@pytest.mark.reproduces(24)
async def test_reproduced_24_a_push_of_more_than_four_megabytes_is_never_delivered(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """The limit that the library sets is unknown to gRPC: the stream breaks, and the client comes back unsubscribed."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        before = sdk.connection_id(app)
        assert await lists.next() == {ONE}
        await registry.apply(ForcedList(shape=Shape.LARGE, hosts=16_000, in_answers=False))
        registry.register("orders", "127.0.0.1", 8082)
        await settled(lambda: sdk.connection_id(app) != before)
        assert lists.lists.empty()


@pytest.mark.defect(24)
@pytest.mark.scenario("S-26")
async def test_defect_24_a_push_of_five_megabytes_arrives(registry: EmbeddedRegistry) -> None:
    """Of 16 000 hosts, over the same connection."""
    async with opened(registry) as ear:
        await registry.apply(ForcedList(shape=Shape.LARGE, hosts=16_000, in_answers=False))
        await registry.apply(PushNow())
        while len(ports((await ear.next())[1])) != 16_000:
            pass
        assert ear.troubles == []


@pytest.mark.reproduces(26)
async def test_reproduced_26_one_odd_host_costs_the_whole_list(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """`metadata: null` on a host: no callback, no ack."""
    async with sdk.sdk_client(registry.address, tmp_path) as app:
        lists = await sdk.subscribe(app, "orders")
        assert await lists.next() == {ONE}
        (connection,) = registry.connections
        await registry.apply(ForcedList(shape=Shape.METADATA_NULL))
        registry.register("orders", "127.0.0.1", 8082)
        with pytest.raises(TimeoutError):
            await lists.next(within=0.5)
        assert not await acked(connection, "NotifySubscriberResponse")


@pytest.mark.defect(26)
@pytest.mark.scenario("S-23")
@pytest.mark.parametrize("shape", [Shape.METADATA_NULL, Shape.NO_INSTANCE_ID, Shape.UNKNOWN_FIELDS])
async def test_defect_26_oddities_that_can_be_read_are_read(registry: EmbeddedRegistry, shape: Shape) -> None:
    """Null for no metadata, a missing id, fields of the future: no reason to lose a list, pushed or asked for."""
    await registry.apply(ForcedList(shape=shape))
    async with opened(registry) as ear:
        registry.register("orders", "127.0.0.1", 8082)
        await ear.until(8081, 8082)


async def _loaded(app: Any) -> bool:
    return bool(app.service_info_holder.service_info_map)
