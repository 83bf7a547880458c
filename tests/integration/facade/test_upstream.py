"""Connections to the real servers."""

import asyncio

import pytest

from sidecar.embedded.faults import BlackHole, Starting
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.facade import upstream as upstream_module
from sidecar.facade.upstream import Upstreams
from sidecar.wire import kind_of
from tests.support.facade_stage import registry_of
from tests.support.ports import free_port
from tests.support.until import settled


async def test_the_first_server_that_takes_clients_is_taken() -> None:
    """One that is down, one that is starting and one that says nothing are passed over."""
    async with EmbeddedRegistry() as starting, EmbeddedRegistry() as silent, EmbeddedRegistry() as ready:
        await starting.apply(Starting())
        await silent.apply(BlackHole())
        down = f"127.0.0.1:{free_port()}"
        upstreams = Upstreams(registry_of(down, starting.address, silent.address, ready.address))
        found = await upstreams.open()
        assert found is not None
        upstream, answer = found
        assert (str(upstream.node), kind_of(answer)) == (ready.address, "ServerCheckResponse")
        assert str(upstreams.registry.in_turn()[0]) == ready.address
        await upstream.close()
        silent.lift("black_hole")


async def test_silent_servers_do_not_cost_the_apps_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: whoever was not reached comes first the next time."""
    monkeypatch.setattr(upstream_module, "OPEN_LIMIT", 0.5)
    async with EmbeddedRegistry() as silent, EmbeddedRegistry() as ready:
        await silent.apply(BlackHole())
        upstreams = Upstreams(registry_of(silent.address, ready.address))
        while str(upstreams.registry.in_turn()[0]) != silent.address:
            upstreams.registry.failed(upstreams.registry.in_turn()[0])
        assert await upstreams.open() is None
        found = await upstreams.open()
        assert found is not None
        assert str(found[0].node) == ready.address
        await found[0].close()
        silent.lift("black_hole")


async def test_no_server_is_none() -> None:
    """At once, where all refuse."""
    assert await Upstreams(registry_of(f"127.0.0.1:{free_port()}")).open() is None


async def test_all_who_wait_hear_when_a_server_is_back() -> None:
    """One look serves them all; who gives up leaves the others waiting."""
    registry = EmbeddedRegistry(port=free_port((0, 1000)))
    upstreams = Upstreams(registry_of(registry.address))
    waiting = [asyncio.ensure_future(upstreams.back()) for _ in range(3)]  # noqa: TID251 - of a test
    await asyncio.sleep(0)
    waiting.pop().cancel()
    async with registry:
        await settled(lambda: all(task.done() for task in waiting))
        await settled(lambda: not len(registry.connections))


async def test_a_close_ends_the_looking() -> None:
    """Whoever waits is let go."""
    upstreams = Upstreams(registry_of(f"127.0.0.1:{free_port()}"))
    waiting = asyncio.ensure_future(upstreams.back())  # noqa: TID251
    await asyncio.sleep(0.01)
    upstreams.close()
    await settled(waiting.done)
    assert waiting.cancelled()
