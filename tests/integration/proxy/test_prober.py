"""Probes: one an address at a time, and never too many at once."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.instance import Instance
from sidecar.cluster.policy import Tls
from sidecar.errors import FAILURES
from sidecar.proxy.prober import Prober
from sidecar.proxy.trust import Trust
from tests.support.certificates import Authority
from tests.support.descriptors import none_left
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, full_backlog, hanging
from tests.support.until import until


def endpoint(port: int) -> Endpoint:
    return Endpoint(Instance("127.0.0.1", port), 0.0)


async def test_a_probe_tells_who_listens() -> None:
    """None for a listener, the row for a refusal."""
    async with ScriptedPeer() as peer:
        prober = Prober()
        assert await prober.probe(endpoint(peer.port), 1.0) is None
        assert await prober.probe(endpoint(free_port()), 1.0) is FAILURES["refused"]
        assert repr(prober) == "<Prober 0 asked>"


async def test_services_that_list_one_address_share_one_probe() -> None:
    """Five ask, one connection is made; who asks afterwards makes the next."""
    async with ScriptedPeer() as peer:
        prober = Prober()
        for connections in (1, 2):
            assert await asyncio.gather(*(prober.probe(endpoint(peer.port), 1.0) for _ in range(5))) == [None] * 5

            async def arrived(connections: int = connections) -> bool:
                return len(peer.talks) >= connections

            await until(arrived, within=10, pause=0.01)
            assert len(peer.talks) == connections


async def test_a_handshake_is_not_vouched_for_by_a_connect(tmp_path: Path) -> None:
    """Two services list one address, one of them with TLS: one after the other they get answers of their own."""
    async with ScriptedPeer(hanging) as peer:
        trust, prober = Trust(Tls(ca_file=Authority(tmp_path).file)), Prober()
        trust.read()
        where = endpoint(peer.port)
        plain, secured = await asyncio.gather(prober.probe(where, 60.0), prober.probe(where, 0.3, trust))
        assert plain is None
        assert secured is FAILURES["connect_timeout"]
        assert await prober.probe(where, 60.0) is None


@pytest.mark.virtual_time
async def test_who_is_more_patient_asks_again() -> None:
    """A time-out of somebody else's limit is no answer; the next dial begins when that one is over."""
    with full_backlog() as port:
        prober = Prober()
        hasty = asyncio.ensure_future(prober.probe(endpoint(port), 0.05))  # noqa: TID251
        patient = asyncio.ensure_future(prober.probe(endpoint(port), 0.5))  # noqa: TID251
        assert await hasty is FAILURES["connect_timeout"]
        assert not patient.done()
        assert await patient is FAILURES["connect_timeout"]


@pytest.mark.virtual_time
async def test_probes_wait_for_their_turn() -> None:
    """With one at once, three black holes take three limits."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        ports = [stack.enter_context(full_backlog()) for _ in range(3)]
        prober, began = Prober(at_once=1), loop.time()
        answers = await asyncio.gather(*(prober.probe(endpoint(port), 0.1) for port in ports))
    assert answers == [FAILURES["connect_timeout"]] * 3
    assert loop.time() - began >= 0.29


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


async def test_our_own_shortage_says_nothing_about_an_endpoint() -> None:
    """Without a descriptor the probe is made later: its failure would put out a healthy endpoint, and end a hold."""
    async with ScriptedPeer() as peer:
        with none_left():
            asked = asyncio.ensure_future(Prober().probe(endpoint(peer.port), 1.0))  # noqa: TID251
            await asyncio.sleep(0.01)
        assert await asked is None
