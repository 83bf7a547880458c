"""What the nodes of a real cluster tell, each for itself, and what becomes of it with us."""

import asyncio
import functools
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sidecar.cluster.policy import Protection
from tests.support.guard_stage import SERVICE, GuardStage, guard_stage
from tests.support.java import TOOLS
from tests.support.nacos_cluster import nacos_cluster
from tests.support.nacos_server import NacosServer
from tests.support.needs import require
from tests.support.plain_provider import plain_providers
from tests.support.providers import providers
from tests.support.registry_play import registry_play
from tests.support.wire_provider import providing

pytestmark = pytest.mark.one_loop


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[NacosServer]]:
    """Two that are one registry. Starting them takes most of the time, so the tests share them: the last one kills one."""
    require(*TOOLS)
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = AsyncExitStack()
        try:
            yield runner.run(stack.enter_async_context(nacos_cluster("3.1.0", 2)))
        finally:
            runner.run(stack.aclose())


async def test_an_empty_list_of_a_real_cluster_is_believed_when_both_nodes_say_so(nodes: list[NacosServer]) -> None:
    """Scaled to zero while the process still listens: gone after `confirm` instead of `max_hold`."""
    protection = Protection(confirm=2.0, max_hold=600.0)
    async with providers(1) as (provider,), providing(nodes[0], "scaled-to-zero", provider.port) as (registered,):
        await registered.register()
        async with registry_play("scaled-to-zero", protection, *(node.address for node in nodes)) as play:
            await play.until(lambda: play.ports == {provider.port})
            await registered.deregister()
            await play.until(lambda: not play.ports)
            assert play.verdicts[-1] == "agrees"
            assert play.ends == {provider.port: "confirmed"}


@pytest.mark.fact("R-13")
@pytest.mark.scenario("S-13", "S-28")
async def test_r_13_one_that_is_listed_twice_and_then_for_ever_costs_no_call(
    nodes: list[NacosServer], tmp_path: Path
) -> None:
    """Its node dies and it registers at another: twice on the list, one endpoint. It leaves in order: listed, a zombie."""
    dying, staying = nodes
    async with (
        plain_providers(tmp_path, 2) as (moving, other),
        providing(dying, SERVICE, moving.port) as (before,),
        providing(staying, SERVICE, moving.port, other.port) as (after, beside),
    ):
        await before.register(metadata={"started": "first"})
        await beside.register()
        async with guard_stage(tmp_path, f"{dying.address},{staying.address}") as stage:
            await stage.all_become("available", [moving, other])
            await dying.kill()
            await after.register(metadata={"started": "again"})
            await stage.holds(functools.partial(_offers, stage, 3))
            await stage.all_become("available", [moving, other])
            await after.deregister()
            await stage.holds(functools.partial(_offers, stage, 2))
            await moving.stop()
            await stage.becomes({moving.address: "quarantined", other.address: "available"})
            await stage.reaches(1, "registry_zombies")
            assert not stage.failed


async def _offers(stage: GuardStage, count: int) -> bool:
    """The last list has so many entries, each with whatever address."""
    return [push["detail"]["offered"] for push in await stage.told("push")][-1:] == [count]
