"""What the registry may say or fail to say while providers serve: no call is lost to it, and everything tells of it.

A sidecar process, provider processes and an app that calls all the time; the registry is the embedded one, so that
each fault comes at its moment. The same on real servers: `make registry-trial`.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.embedded.faults import DetectClients, Detection, ForcedList, Restart, Shape
from sidecar.embedded.model import Instance, ServiceName
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.guard_stage import SERVICE, GuardStage, guard_stage
from tests.support.http_client import request
from tests.support.plain_provider import LINGER, PlainProvider, plain_providers
from tests.support.registry_acts import HOST, addresses, join, leave, lie, scene, tell_the_truth

pytestmark = pytest.mark.own_process


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    async with EmbeddedRegistry(push_delay_s=0.02) as running:
        yield running


# Lists that lie


@pytest.mark.scenario("S-05")
async def test_a_false_empty_list_costs_no_call(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """All three are held and serve, everything says so, and the true list restores them."""
    async with scene(registry, tmp_path, 3) as (stage, providers):
        await lie(registry, ForcedList(SERVICE))
        await stage.all_become("held", providers)
        await stage.shows_hold("empty", providers)
        await stage.all_serve(providers)
        assert await stage.metric("rescued_requests_total", by="guard") > 0
        await tell_the_truth(registry)
        await stage.all_become("available", providers)
        await stage.shows_no_hold()
        assert await stage.ended_by() == {"restored": 3}
        assert not stage.failed


@pytest.mark.scenario("S-07")
async def test_a_list_that_shrinks_to_one_does_not_crush_the_one(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """Of ten the nine that are missed serve on beside the one, which gets less than half of the calls; all return."""
    async with scene(registry, tmp_path, 10) as (stage, providers):
        await lie(registry, ForcedList(SERVICE, Shape.PARTIAL, keep=1))
        the_one, *missed = providers
        await stage.becomes({the_one.address: "available"} | {one.address: "held" for one in missed})
        await stage.shows_hold("shrink", missed)
        await stage.all_serve(providers)
        assert (await stage.answered_by(100))[the_one.address] < 50
        await lie(registry, ForcedList(SERVICE, Shape.PARTIAL, keep=4))
        back, missed = providers[:4], providers[4:]
        await stage.becomes({one.address: "available" for one in back} | {one.address: "held" for one in missed})
        await tell_the_truth(registry)
        await stage.all_become("available", providers)
        await stage.shows_no_hold()
        assert await stage.ended_by() == {"restored": 9}
        assert not stage.failed


@pytest.mark.scenario("S-08", "S-21")
@pytest.mark.parametrize("replicas", [2, 10])
async def test_a_restarted_registry_fills_up_one_by_one(
    registry: EmbeddedRegistry, tmp_path: Path, replicas: int
) -> None:
    """Empty, then partial for far longer than `confirm`: whoever has not registered again yet serves on meanwhile."""
    async with scene(registry, tmp_path, replicas, protection=", confirm: 500ms") as (stage, providers):
        await registry.restart(Restart(return_after_s=None))
        await stage.all_become("held", providers)
        await stage.shows_hold("empty", providers)
        for number, provider in enumerate(providers):
            if number in {0, 1, replicas - 1}:
                repeated = await stage.metric("registry_pushes_total", result="unchanged")
                await stage.reaches(repeated + 2, "registry_pushes_total", result="unchanged")
            join(registry, [provider])
            back, missed = providers[: number + 1], providers[number + 1 :]
            await stage.becomes({one.address: "available" for one in back} | {one.address: "held" for one in missed})
        await stage.all_serve(providers)
        await stage.shows_no_hold()
        assert await stage.ended_by() == {"restored": replicas}
        assert not stage.failed


async def test_an_instance_that_the_registry_loses_for_a_while_serves_on(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """Real servers evict an idle client now and then: its instance vanishes and is back with the next registration."""
    async with scene(registry, tmp_path, 3) as (stage, providers):
        leave(registry, providers[:1])
        await stage.shows_hold("shrink", providers[:1])
        await stage.all_serve(providers)
        join(registry, providers[:1])
        await stage.all_become("available", providers)
        await stage.shows_no_hold()
        assert await stage.ended_by() == {"restored": 1}
        assert not stage.failed


async def test_a_registry_that_evicts_us_again_and_again_is_no_matter(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """Each new session brings the list that is in force already: nothing is doubted, and no call lost."""
    async with scene(registry, tmp_path, 2) as (stage, providers):
        await registry.apply(Detection(evict_anyway=True))
        for session in (2, 3, 4):
            await registry.apply(DetectClients())
            await stage.sidecar.event("registry_connected", count=session)
            await stage.calls()
        await stage.all_serve(providers)
        assert await stage.states() == dict.fromkeys(addresses(providers), "available")
        assert await stage.told("push_refused") == []
        assert not stage.failed


# Farewells


@pytest.mark.scenario("S-06")
async def test_a_service_that_is_really_gone_is_gone_at_once(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """Scaled to zero: probes and calls are refused, which ends every hold; scaled up again, it serves again.

    Nothing fails before the last one has gone, and what fails then says that there is no instance.
    """
    async with scene(registry, tmp_path, 3) as (stage, providers):
        leave(registry, providers)
        *first, last = providers
        for provider in first:
            await provider.stop()
        await stage.all_become("held", [last])
        assert not stage.failed
        await last.stop()
        await stage.becomes({})
        assert await stage.answered_by() == {"503": 20}
        assert (await stage.ended_by()).keys() <= {"gone"}
        await stage.shows_no_hold()
        assert {call.error.split(" ")[1] for call in stage.failed} <= {"refused", "no_instance"}
        await providers[0].start()
        join(registry, providers[:1])
        await stage.all_become("available", providers[:1])
        assert await stage.answered_by() == {providers[0].address: 20}


@pytest.mark.scenario("S-04")
async def test_a_last_instance_that_leaves_alive_serves_until_max_hold(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """With `hold` and one node `confirm` is not enough; after `max_hold` it gets nothing more."""
    protection = ", confirm: 300ms, max_hold: 3s"
    async with scene(registry, tmp_path, 1, protection=protection) as (stage, providers):
        leave(registry, providers)
        await stage.all_become("held", providers)
        await stage.shows_hold("empty", providers)
        assert not stage.failed
        await stage.becomes({})
        assert await stage.answered_by() == {"503": 20}
        assert await stage.ended_by() == {"expired": 1}
        await stage.shows_no_hold()
        (doubted,), (ended,) = await stage.told("push_refused"), await stage.told("hold_ended")
        assert ended["mono_s"] - doubted["mono_s"] >= 3.0
        assert {call.error.split(" ")[1] for call in stage.failed} == {"no_instance"}


@pytest.mark.scenario("S-04")
async def test_a_last_instance_that_leaves_alive_is_obeyed_where_the_policy_says_so(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """With `obey` it gets nothing more, nothing is held, and what was in flight is answered."""
    async with scene(registry, tmp_path, 1, delay=0.1, protection=", on_empty: obey") as (stage, providers):
        leave(registry, providers)
        await stage.becomes({})
        assert await stage.answered_by() == {"503": 20}
        carried_out = len(providers[0].executed())
        await stage.calls()
        assert len(providers[0].executed()) == carried_out
        assert await stage.told("push_refused") == await stage.told("hold_ended") == []
        assert {call.error.split(" ")[1] for call in stage.failed} == {"no_instance"}


# Lists that say too little or too much


@pytest.mark.scenario("S-10")
@pytest.mark.parametrize("threshold", [None, 0.0])
async def test_a_service_called_unhealthy_as_a_whole_is_judged_by_what_we_see(
    registry: EmbeddedRegistry, tmp_path: Path, threshold: float | None
) -> None:
    """All unhealthy, or rewritten as healthy under protectThreshold: those that answer are used, the refusing is not."""
    async with scene(registry, tmp_path, 3, leaving_signals=False) as (stage, providers):
        if threshold is not None:
            registry.set_threshold(SERVICE, threshold)
        down, *up = providers
        await down.stop()
        for provider in providers:
            registry.set_health(SERVICE, HOST, provider.port, healthy=False)
        await stage.becomes({down.address: "quarantined"} | {one.address: "available" for one in up})
        await stage.all_serve(up)
        told = {endpoint["registry"]["healthy"] for endpoint in (await stage.endpoints()).values()}
        assert told == {threshold is not None}
        await down.start()
        await stage.all_become("available", providers)
        assert await stage.told("push_refused") == []
        assert not stage.failed


@pytest.mark.scenario("S-13")
async def test_an_address_that_is_listed_twice_is_one_endpoint(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """A provider registered on two nodes, once unhealthy: one endpoint, used; it stays when one entry goes."""
    async with scene(registry, tmp_path, 2) as (stage, providers):
        twice, service = providers[0], ServiceName(SERVICE)
        double = Instance(HOST, twice.port, weight=3.0, healthy=False, metadata={"node": "other"})
        registry.naming.publish("the other node", service, [double])

        async def heard_of_three() -> bool:
            return [push["detail"]["offered"] for push in await stage.told("push")][-1:] == [3]

        await stage.holds(heard_of_three)
        assert (await stage.endpoints())[twice.address]["registry"]["healthy"]
        leave(registry, [twice])
        registry.naming.publish("the other node", service, [replace(double, healthy=True)])

        async def has_its_weight() -> bool:
            told = (await stage.endpoints())[twice.address]["registry"]
            return bool(told["healthy"] and told["weight"] == double.weight)

        await stage.holds(has_its_weight)
        assert await stage.states() == dict.fromkeys(addresses(providers), "available")
        await stage.all_serve(providers)
        assert await stage.told("push_refused") == []
        assert not stage.failed


# A second node


@pytest.fixture
async def other() -> AsyncIterator[EmbeddedRegistry]:
    """Another node of the same registry, as far as the sidecar knows; what it lists is up to the test."""
    async with EmbeddedRegistry(push_delay_s=0.02) as running:
        yield running


@asynccontextmanager
async def two_nodes(
    registry: EmbeddedRegistry, other: EmbeddedRegistry, folder: Path, count: int
) -> AsyncIterator[tuple[GuardStage, list[PlainProvider]]]:
    """So many providers that both list, and a `confirm` of a second."""
    async with plain_providers(folder, count) as providers:
        for node in (registry, other):
            join(node, providers)
        nodes = f"{registry.address},{other.address}"
        async with guard_stage(folder, nodes, protection=", confirm: 1s") as stage:
            await stage.all_become("available", providers)
            await stage.calls()
            yield stage, providers


async def test_what_two_nodes_miss_is_gone_after_confirm(
    registry: EmbeddedRegistry, other: EmbeddedRegistry, tmp_path: Path
) -> None:
    """A last instance that leaves alive: with two nodes that say so `confirm` is enough, far below `max_hold`."""
    async with two_nodes(registry, other, tmp_path, 1) as (stage, providers):
        for node in (registry, other):
            leave(node, providers)
        await stage.all_become("held", providers)
        await stage.shows_hold("empty", providers)
        assert not stage.failed
        await stage.becomes({})
        assert await stage.answered_by() == {"503": 20}
        await stage.shows_no_hold()
        assert await stage.ended_by() == {"confirmed": 1}
        assert [heard["detail"]["verdict"] for heard in await stage.told("second_opinion")] == ["agrees"]
        (doubted,), (ended,) = await stage.told("push_refused"), await stage.told("hold_ended")
        assert ended["mono_s"] - doubted["mono_s"] >= 1.0
        assert {call.error.split(" ")[1] for call in stage.failed} == {"no_instance"}


async def test_what_one_of_two_nodes_misses_stays_held(
    registry: EmbeddedRegistry, other: EmbeddedRegistry, tmp_path: Path
) -> None:
    """Long after `confirm` those serve on that the other node lists; whom it misses too, leaves."""
    async with two_nodes(registry, other, tmp_path, 3) as (stage, providers):
        told = json.loads((await stage.sidecar.admin("/server_info")).body)["registry"]["server"]
        home, away = (registry, other) if told == registry.address else (other, registry)
        leave(home, providers)
        await stage.shows_hold("empty", providers)

        async def verdict() -> list[str]:
            return [heard["detail"]["verdict"] for heard in await stage.told("second_opinion")]

        async def disagrees() -> bool:
            return await verdict() == ["disagrees"]

        await stage.holds(disagrees)
        repeated = await stage.metric("registry_pushes_total", result="unchanged")
        await stage.reaches(repeated + 3, "registry_pushes_total", result="unchanged")
        await stage.all_serve(providers)
        gone, *others = providers
        leave(away, [gone])
        await stage.all_become("held", others)
        assert await verdict() == ["disagrees", "partly"]
        join(home, others)
        await stage.all_become("available", others)
        assert await stage.ended_by() == {"confirmed": 1, "restored": 2}
        assert not stage.failed


@pytest.mark.scenario("S-14")
async def test_an_address_that_another_service_takes_over_gets_none_of_our_calls(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """Missing from our list and held, it ends, which ends the hold; who listens there next serves its own service."""
    async with plain_providers(tmp_path, 2) as providers:
        moved, staying = providers
        heir = PlainProvider(tmp_path, name="billing", port=moved.port)
        join(registry, providers)
        async with guard_stage(tmp_path, registry.address, others=[heir.name]) as stage:
            await stage.all_become("available", providers)
            await stage.calls()
            leave(registry, [moved])
            await stage.becomes({moved.address: "held", staying.address: "available"})
            await moved.stop()
            await stage.all_become("available", [staying])
            await heir.start()
            try:
                join(registry, [heir])

                async def serves_billing() -> bool:
                    answer = await request(await stage.sidecar.bound(heir.name), path="/echo/bill")
                    return answer.status == 200

                await stage.holds(serves_billing)
                assert await stage.answered_by(60) == {staying.address: 60}
            finally:
                heir.end()
            assert {json.loads(call.body)["service"] for call in stage.load.calls} == {SERVICE}
            assert set(heir.executed()) == {"GET bill"}
            assert (await stage.ended_by()).keys() <= {"gone"}
            assert not stage.failed


# The registry away


@pytest.mark.scenario("S-20")
async def test_providers_that_restart_while_the_registry_is_away_are_no_matter(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """Each restarts on its address under load, all of it before the registry is back, which then knows nobody."""
    async with scene(registry, tmp_path, 3, leaving_signals=False) as (stage, providers):
        await registry.stop()
        await stage.sidecar.event("registry_disconnected")
        for provider in providers:
            await provider.stop()
            states = {one.address: "quarantined" if one is provider else "available" for one in providers}
            await stage.becomes(states)
            await provider.start()
            await stage.all_become("available", providers)
        await stage.all_serve(providers)
        discovery = (await stage.cluster())["discovery"]
        assert (discovery["connected"], discovery["origin"]) == (False, "nacos")
        assert discovery["snapshot_age_s"] > 3 * LINGER
        assert await stage.sidecar.metric("sidecar_registry_connected") == 0
        await registry.restart(Restart(return_after_s=None))
        await stage.all_become("held", providers)
        join(registry, providers)
        await stage.all_become("available", providers)
        assert await stage.ended_by() == {"restored": 3}
        assert not stage.failed
