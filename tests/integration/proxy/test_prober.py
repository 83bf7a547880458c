"""Probes: one an endpoint at a time, and never too many at once."""

import asyncio

import pytest

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.instance import Instance
from sidecar.errors import FAILURES
from sidecar.proxy.prober import Prober
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, full_backlog


def endpoint(port: int) -> Endpoint:
    return Endpoint(Instance("127.0.0.1", port), 0.0)


async def test_a_probe_tells_who_listens() -> None:
    """None for a listener, the row for a refusal."""
    async with ScriptedPeer() as peer:
        prober = Prober()
        assert await prober.probe(endpoint(peer.port), 1.0) is None
        assert await prober.probe(endpoint(free_port()), 1.0) is FAILURES["refused"]
        assert repr(prober) == "<Prober 0 asked>"


@pytest.mark.virtual_time
async def test_who_asks_twice_shares_one_probe() -> None:
    """The endpoint is dialled once."""
    async with ScriptedPeer() as peer:
        prober, one = Prober(), endpoint(peer.port)
        assert await asyncio.gather(*(prober.probe(one, 1.0) for _ in range(5))) == [None] * 5
        await asyncio.sleep(0.02)
        assert len(peer.talks) == 1


@pytest.mark.virtual_time
async def test_probes_wait_for_their_turn() -> None:
    """With one at once, three black holes take three limits."""
    loop = asyncio.get_running_loop()
    with full_backlog() as port:
        prober, began = Prober(at_once=1), loop.time()
        answers = await asyncio.gather(*(prober.probe(endpoint(port), 0.1) for _ in range(3)))
    assert answers == [FAILURES["connect_timeout"]] * 3
    assert loop.time() - began >= 0.3


@pytest.mark.virtual_time
async def test_a_cancelled_probe_leaves_nothing_behind() -> None:
    """The endpoint can be asked again."""
    with full_backlog() as port:
        prober, one = Prober(), endpoint(port)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await prober.probe(one, 5.0)
        assert repr(prober) == "<Prober 0 asked>"
        assert await prober.probe(one, 0.05) is FAILURES["connect_timeout"]
