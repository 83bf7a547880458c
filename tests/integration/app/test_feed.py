"""A doubted list and the registry nodes that are asked about it: embedded nodes, a real session, short clocks."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from sidecar.cluster.events import SecondOpinionHeard
from sidecar.cluster.policy import Protection
from sidecar.embedded.faults import HttpAnswer, Profile
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.registry_play import PATIENT, QUICK, RegistryPlay, registry_play


@dataclass(frozen=True)
class Stage:
    """Nodes that all list instances 1, 2 and 3 of `orders`, and a play that knows them."""

    play: RegistryPlay
    nodes: Sequence[EmbeddedRegistry]

    @property
    def home(self) -> EmbeddedRegistry:
        """The node that the session is at."""
        return next(node for node in self.nodes if node.address == self.play.home)

    @property
    def others(self) -> list[EmbeddedRegistry]:
        return [node for node in self.nodes if node is not self.home]


@asynccontextmanager
async def stage(protection: Protection, count: int) -> AsyncIterator[Stage]:
    """So many nodes."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(EmbeddedRegistry(push_delay_s=0.0)) for _ in range(count)]
        for node in nodes:
            for port in (1, 2, 3):
                node.register("orders", "127.0.0.1", port)
        play = await stack.enter_async_context(registry_play("orders", protection, *(node.address for node in nodes)))
        await play.until(lambda: play.ports == {1, 2, 3})
        yield Stage(play, nodes)


def lose(node: EmbeddedRegistry, *ports: int) -> None:
    for port in ports:
        node.deregister("orders", "127.0.0.1", port)


async def test_an_empty_list_on_which_two_nodes_agree_is_believed() -> None:
    """Scaled to zero for good while the instances still answer: gone after `confirm`, long before `max_hold`."""
    async with stage(QUICK, 2) as found:
        for node in found.nodes:
            lose(node, 1, 2, 3)
        await found.play.until(lambda: not found.play.ports)
        assert found.play.verdicts[-1] == "agrees"
        assert set(found.play.ends.values()) == {"confirmed"}
        assert len(found.play.ends) == 3


async def test_what_the_second_node_still_lists_is_used_on() -> None:
    """The own node lies or lags: whom the other misses too is confirmed, one after the other, and nobody else."""
    async with stage(QUICK, 2) as found:
        lose(found.home, 1, 2, 3)
        (other,) = found.others
        for lost in (1, 2, 3):
            lose(other, lost)
            await found.play.until(lambda lost=lost: lost not in found.play.ports)  # type: ignore[misc]
            assert found.play.ports == {1, 2, 3} - set(range(lost + 1))
        assert found.play.verdicts[0] in {"partly", "disagrees"}
        assert set(found.play.ends.values()) == {"confirmed"}


async def test_a_shrink_needs_the_second_node_where_there_is_one() -> None:
    """Three to one on the own node alone is not confirmed; once the other misses them too, it is."""
    async with stage(QUICK, 2) as found:
        lose(found.home, 2, 3)
        await found.play.until(lambda: "disagrees" in found.play.verdicts)
        lose(found.others[0], 2, 3)
        await found.play.until(lambda: found.play.ports == {1})
        assert found.play.verdicts[-1] == "agrees"
        assert set(found.play.ends.values()) == {"confirmed"}


async def test_a_node_that_is_down_agrees_with_nobody() -> None:
    """Nothing is confirmed while it is away; once it is back, its word counts."""
    async with stage(QUICK, 2) as found:
        (other,) = found.others
        await other.stop()
        for node in found.nodes:
            lose(node, 1, 2, 3)
        await found.play.pass_time(4.0)
        assert found.play.ports == {1, 2, 3}
        assert found.play.verdicts == []
        await other.start()
        await found.play.until(lambda: not found.play.ports)
        assert set(found.play.verdicts) == {"agrees"}


async def test_the_third_node_is_asked_when_the_second_is_silent() -> None:
    """It agrees in its place."""
    async with stage(QUICK, 3) as found:
        silent = found.others[0]
        await silent.apply(HttpAnswer(delay_s=30.0))
        for node in found.nodes:
            if node is not silent:
                lose(node, 1, 2, 3)
        await found.play.until(lambda: not found.play.ports)
        assert set(found.play.ends.values()) == {"confirmed"}
        (told,) = {event.server for event in found.play.events if isinstance(event, SecondOpinionHeard)}
        assert told != silent.address


@pytest.mark.parametrize("version", ["2.5.1", "3.1.0"])
async def test_the_last_instances_disabled_are_let_go_at_once(version: str) -> None:
    """They vanish from the list as if they were gone; the list for administrators knows better, on a single node."""
    async with stage(PATIENT, 1) as found:
        await found.home.apply(Profile(version))
        for port in (1, 2, 3):
            found.home.edit("orders", "127.0.0.1", port, enabled=False)
        await found.play.until(lambda: not found.play.ports)
        assert set(found.play.ends.values()) == {"confirmed"}
        assert set(found.play.verdicts) == {"switched_off"}
        for port in (1, 2, 3):
            found.home.edit("orders", "127.0.0.1", port, enabled=True)
        await found.play.until(lambda: found.play.ports == {1, 2, 3})


async def test_of_those_that_vanish_only_the_disabled_one_is_let_go() -> None:
    """One disabled, two deregistered: these two are held on."""
    async with stage(PATIENT, 1) as found:
        lose(found.home, 2, 3)
        found.home.edit("orders", "127.0.0.1", 1, enabled=False)
        await found.play.until(lambda: 1 not in found.play.ports)
        await found.play.pass_time(2.0)
        assert found.play.ports == {2, 3}
        assert found.play.ends == {1: "confirmed"}


async def test_a_list_for_administrators_that_is_closed_to_us_says_nothing() -> None:
    """403: the question was asked, and what is not listed is held on as it was without it."""
    async with stage(PATIENT, 1) as found:
        path = "/nacos/v3/admin/ns/instance/list"
        await found.home.apply(HttpAnswer(path, status=403, times=1))
        for port in (1, 2, 3):
            found.home.edit("orders", "127.0.0.1", port, enabled=False)
        await found.play.until(lambda: not found.home.faults.find(HttpAnswer, path))
        await found.play.pass_time(2.0)
        assert found.play.ports == {1, 2, 3}
        assert found.play.ends == {}
