"""What operators order, in the registry or here: obeyed at once, told everywhere, and no call in flight is lost.

A sidecar process, provider processes and an app that calls all the time; the registry is the embedded one.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.embedded.faults import ForcedList
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.guard_stage import SERVICE
from tests.support.registry_acts import HOST, addresses, leave, lie, scene, tell_the_truth

pytestmark = pytest.mark.own_process


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    async with EmbeddedRegistry(push_delay_s=0.02) as running:
        yield running


@pytest.mark.scenario("S-15")
async def test_weight_zero_is_an_order(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """On one: what is in flight is answered, nothing more begins. On all: 503 after the wait. Nothing is held."""
    async with scene(registry, tmp_path, 2, delay=0.1) as (stage, providers):
        off, on = providers
        registry.edit(SERVICE, HOST, off.port, weight=0.0)
        await stage.becomes({off.address: "disabled", on.address: "available"})
        assert await stage.answered_by() == {on.address: 20}
        carried_out = len(off.executed())
        assert await stage.answered_by() == {on.address: 20}
        assert len(off.executed()) == carried_out
        assert not stage.failed
        registry.edit(SERVICE, HOST, on.port, weight=0.0)
        await stage.all_become("disabled", providers)
        assert await stage.answered_by() == {"503": 20}
        registry.edit(SERVICE, HOST, off.port, weight=1.0)
        await stage.becomes({off.address: "available", on.address: "disabled"})
        assert await stage.answered_by() == {off.address: 20}
        assert await stage.told("push_refused") == []
        assert {call.error.split(" ")[1] for call in stage.failed} == {"no_instance"}


async def test_an_instance_that_an_administrator_disables_is_out_at_once(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """To a subscriber it looks like any other absence in the minute of doubt; the administrators' list tells."""
    async with scene(registry, tmp_path, 2) as (stage, providers):
        off, on = providers
        registry.edit(SERVICE, HOST, off.port, enabled=False)
        await stage.all_become("available", [on])
        assert await stage.answered_by() == {on.address: 20}
        assert await stage.ended_by() == {"confirmed": 1}
        assert [heard["detail"]["verdict"] for heard in await stage.told("second_opinion")] == ["switched_off"]
        registry.edit(SERVICE, HOST, off.port, enabled=True)
        await stage.all_become("available", providers)
        assert not stage.failed


async def test_drop_now_believes_the_list(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """All that is held goes, by name, and calls end with 503 until the list names somebody again."""
    async with scene(registry, tmp_path, 3) as (stage, providers):
        assert (await stage.order("obey")).status == 409
        await lie(registry, ForcedList(SERVICE))
        await stage.all_become("held", providers)
        await stage.calls()
        assert not stage.failed
        dropped = await stage.order("obey")
        assert json.loads(dropped.body) == {"dropped": sorted(addresses(providers))}
        assert await stage.answered_by() == {"503": 20}
        await stage.shows_no_hold()
        await tell_the_truth(registry)
        await stage.all_become("available", providers)
        assert (await stage.answered_by()).keys() <= addresses(providers)
        assert await stage.ended_by() == {"obeyed": 3}
        assert {call.error.split(" ")[1] for call in stage.failed} == {"no_instance"}


async def test_hold_now_keeps_everyone_whatever_the_policy(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """Under a policy that doubts nothing all are held, who refuses comes back, and drop now takes the order back."""
    async with scene(registry, tmp_path, 3, protection=", on_empty: obey, shrink_threshold: 1.0") as (stage, providers):
        assert (await stage.order("hold?ttl=1h")).status == 200
        assert [event["detail"] for event in await stage.told("hold_ordered")] == [{"for_s": 3600.0}]
        leave(registry, providers)
        await stage.all_become("held", providers)
        away, *others = providers
        await away.stop()
        await stage.becomes({away.address: "quarantined"} | {one.address: "held" for one in others})
        await stage.all_serve(others)
        await away.start()
        await stage.all_become("held", providers)
        await stage.all_serve(providers)
        assert not stage.failed
        assert json.loads((await stage.order("obey")).body) == {"dropped": sorted(addresses(providers))}
        assert await stage.answered_by() == {"503": 20}
        assert await stage.ended_by() == {"obeyed": 3}


async def test_eject_takes_an_address_out_until_restore(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """It gets nothing, nor does the process that restarts there; restored it serves. No call is lost."""
    async with scene(registry, tmp_path, 2) as (stage, providers):
        out, on = providers
        assert (await stage.order(f"endpoints/{out.address}/eject?ttl=1h")).status == 200
        await stage.becomes({out.address: "disabled", on.address: "available"})
        await out.stop()
        await out.start()
        assert await stage.answered_by(40) == {on.address: 40}
        assert (await stage.order(f"endpoints/{out.address}/restore")).status == 200
        await stage.all_become("available", providers)
        await stage.all_serve(providers)
        (ejected,), (restored,) = await stage.told("endpoint_ejected"), await stage.told("endpoint_restored")
        assert (ejected["detail"]["reason"], restored["detail"]["by"]) == ("operator", "operator")
        assert not stage.failed
