"""Pushes over the wire: when they come, what they repeat, and how they can be lost or falsified."""

import asyncio
import itertools
from collections.abc import Callable
from functools import partial

import pytest

from sidecar.embedded.faults import (
    Condition,
    ForcedList,
    NamesInPushes,
    PushNow,
    PushTiming,
    QueryLag,
    RefTime,
    Restart,
    Shape,
    SuppressPushes,
)
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.until import until
from tests.support.wire_client import WireClient

ONE, TWO, THREE = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"


async def test_a_subscriber_gets_its_list_again(registry: EmbeddedRegistry, client: WireClient) -> None:
    """The list that answered the subscription is pushed once more."""
    assert await client.subscribe("orders") == [ONE]
    assert await client.pushed() == [ONE]


async def test_changes_within_the_delay_are_one_push(registry: EmbeddedRegistry, client: WireClient) -> None:
    """Two changes in a row are pushed together, as late as the first one's delay says."""
    await registry.apply(PushTiming(delay_s=0.1, second=False))
    await client.subscribe("orders")
    before = asyncio.get_running_loop().time()
    registry.register("orders", "10.0.0.2", 80)
    registry.register("orders", "10.0.0.3", 80)
    assert await client.pushed() == [ONE, TWO, THREE]
    assert asyncio.get_running_loop().time() - before >= 0.09  # timers of uvloop count in milliseconds
    with pytest.raises(TimeoutError):
        await client.told(within=0.15)


async def test_a_query_is_no_fresher_than_a_push(registry: EmbeddedRegistry, client: WireClient) -> None:
    """Until a change is pushed, queries answer the old list; without the lag they answer the new one."""
    await registry.apply(PushTiming(delay_s=3600.0, second=False))
    await client.subscribe("orders")
    registry.register("orders", "10.0.0.2", 80)
    assert await client.query("orders") == [ONE]
    await registry.apply(QueryLag(enabled=False))
    assert await client.query("orders") == [ONE, TWO]


async def test_an_unacked_push_is_repeated_until_it_is_acked(registry: EmbeddedRegistry) -> None:
    """A push without ack comes again after the resend time, and no more once it is acked."""
    await registry.apply(PushTiming(delay_s=0.0, second=True, resend_s=1.0))
    async with WireClient(registry.port, acks=False) as client:
        await client.set_up()
        await client.subscribe("orders")
        assert await client.pushed() == [ONE]
        client.acks = True
        assert await client.pushed() == [ONE]
        (connection,) = registry.connections
        await until(lambda: _acked(registry))
        assert [ack.type for ack in connection.acks] == ["NotifySubscriberResponse"]
        assert connection.unacked == {}


async def test_pushes_can_be_lost(registry: EmbeddedRegistry, client: WireClient) -> None:
    """The next push of the service is swallowed, the one after it arrives."""
    await registry.apply(PushTiming(delay_s=0.0, second=False))
    await client.subscribe("orders")
    await registry.apply(SuppressPushes("orders", times=1))
    registry.register("orders", "10.0.0.2", 80)
    await until(lambda: _lifted(registry, SuppressPushes))
    registry.register("orders", "10.0.0.3", 80)
    assert await client.pushed() == [ONE, TWO, THREE]


async def test_a_storm_is_many_pushes_of_one_list(registry: EmbeddedRegistry, client: WireClient) -> None:
    """Each of the pushes asked for arrives, none is merged with another."""
    await registry.apply(PushTiming(delay_s=0.0, second=False))
    await client.subscribe("orders")
    await registry.apply(PushNow("orders", count=5))
    assert [await client.pushed() for _ in range(5)] == [[ONE]] * 5


async def test_a_forced_list_can_be_for_pushes_only(registry: EmbeddedRegistry, client: WireClient) -> None:
    """An empty push goes out while queries still tell the truth."""
    await client.subscribe("orders")
    await client.pushed()
    await registry.apply(ForcedList("orders", Shape.EMPTY, in_answers=False, times=1))
    await registry.apply(PushNow("orders"))
    assert await client.pushed() == []
    assert await client.query("orders") == [ONE]


async def test_times_of_lists_rise_for_each_client(registry: EmbeddedRegistry, client: WireClient) -> None:
    """Every list of a service has a later lastRefTime than the one before, however fast they follow."""
    times = [await _ref_time(client) for _ in range(5)]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))


async def test_the_clock_of_the_server_can_be_wrong(registry: EmbeddedRegistry, client: WireClient) -> None:
    """With a skew of an hour back, a later list has an earlier time."""
    before = await _ref_time(client)
    await registry.apply(RefTime(skew_ms=-3_600_000))
    assert before - 3_700_000 < await _ref_time(client) < before - 3_500_000


async def test_pushes_name_their_service_only_when_told_to(registry: EmbeddedRegistry, client: WireClient) -> None:
    """Java leaves names out of a push, r-nacos fills them in."""
    await client.subscribe("orders")
    assert "serviceName" not in (await client.told())[1]
    await registry.apply(NamesInPushes())
    await registry.apply(PushNow("orders"))
    _, body = await client.told()
    assert (body["namespace"], body["groupName"], body["serviceName"]) == ("public", "DEFAULT_GROUP", "orders")


async def test_a_threshold_shows_in_queries_and_in_no_push(registry: EmbeddedRegistry, client: WireClient) -> None:
    """An edit of protectThreshold changes what a query says of health without any push."""
    await registry.apply(PushTiming(delay_s=0.0, second=False))
    registry.register("orders", "10.0.0.2", 80, healthy=False)
    await client.subscribe("orders")
    registry.set_threshold("orders", 0.9)
    _, body = await client.ask("ServiceQueryRequest", serviceName="orders")
    assert body["serviceInfo"]["reachProtectionThreshold"] is True
    assert [host["healthy"] for host in body["serviceInfo"]["hosts"]] == [True, True]
    with pytest.raises(TimeoutError):
        await client.told(within=0.1)


async def test_after_a_restart_the_first_list_is_empty_and_providers_return_one_by_one(
    registry: EmbeddedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The story of R-1: an empty answer, an empty push, then the instances one after another, each at its time."""
    registry.register("orders", "10.0.0.2", 80)
    later: list[tuple[float, Callable[[], object]]] = []
    monkeypatch.setattr(registry, "_later", lambda delay, act, *args: later.append((delay, partial(act, *args))))
    await registry.restart(Restart(return_after_s=60.0, return_over_s=60.0))
    returns = [act for delay, act in later if delay >= 60.0]
    async with WireClient(registry.port) as client:
        await client.set_up()
        assert await client.subscribe("orders") == []
        assert await client.pushed() == []
        for come_back, told in zip(returns, ([ONE], [ONE, TWO]), strict=True):
            come_back()
            assert await client.pushed() == told


async def test_a_restart_can_keep_part_of_the_registry(registry: EmbeddedRegistry) -> None:
    """With `keep` the first list after the restart is partial."""
    registry.register("orders", "10.0.0.2", 80)
    await registry.restart(Restart(keep=1, return_after_s=None))
    async with WireClient(registry.port) as client:
        await client.set_up()
        assert await client.subscribe("orders") == [ONE]


async def _ref_time(client: WireClient) -> int:
    _, body = await client.ask("ServiceQueryRequest", serviceName="orders")
    time: int = body["serviceInfo"]["lastRefTime"]
    return time


async def _lifted(registry: EmbeddedRegistry, kind: type[Condition]) -> bool:
    return registry.faults.find(kind, "orders") is None


async def _acked(registry: EmbeddedRegistry) -> bool:
    return all(connection.acks for connection in registry.connections)
