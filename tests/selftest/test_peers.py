"""That every proxy of the comparison does what its configuration promises; the comparisons themselves build on it."""

import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.peers import envoy
from tests.peers.peer import Terms
from tests.peers.start import PEERS, TOOLS, started
from tests.support.bad_instances import SERVER_ERROR
from tests.support.http_client import request
from tests.support.needs import missing
from tests.support.process import is_running
from tests.support.scripted_peer import ScriptedPeer, Talk, connected
from tests.support.stack import ask

pytestmark = [pytest.mark.one_loop, pytest.mark.needs(*TOOLS)]


@pytest.fixture(params=PEERS)
def name(request: pytest.FixtureRequest) -> str:
    """Of a proxy."""
    if request.param == "envoy":
        try:
            envoy.binary()
        except subprocess.CalledProcessError as error:
            missing(f"pip cannot bring Envoy: {error.stderr.decode()}")
    return str(request.param)


@asynccontextmanager
async def instances(count: int) -> AsyncIterator[list[ScriptedPeer]]:
    """So many healthy ones."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(ScriptedPeer()) for _ in range(count)]


async def asked(port: int, method: str, times: int) -> list[int]:
    """The statuses of so many calls, one after the other."""
    return [(await request(port, method, "/a", body=b"body" if method == "POST" else b"")).status for _ in range(times)]


async def test_a_refusing_instance_costs_no_call_and_a_new_list_takes_force(name: str, tmp_path: Path) -> None:
    """GET and POST go to another one; instances of a new list are asked, those of the old one no more.

    The sidecar does not let go of one that answers when a list misses it soon after the start; so it ends here.
    """
    async with instances(3) as (first, second, third), started(name, [first.address, second.address], tmp_path) as peer:
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*", peer.version)
        assert all(map(is_running, peer.pids))
        assert await asked(peer.port, "GET", 20) == [200] * 20
        assert first.requests
        assert second.requests
        await first.close()
        assert await asked(peer.port, "GET", 20) + await asked(peer.port, "POST", 20) == [200] * 40
        await peer.use([third.address])
        if name == "sidecar":
            await second.close()
        before = len(second.requests)
        assert await asked(peer.port, "GET", 20) == [200] * 20
        assert len(second.requests) == before
        assert len(third.requests) == 20
        pids = peer.pids
    assert not any(map(is_running, pids))


async def test_what_may_have_been_executed_is_tried_again_only_when_that_does_no_harm(
    name: str, tmp_path: Path
) -> None:
    """An instance that ends without an answer: the GET is answered by another one, the POST fails and came once."""

    async def rude(talk: Talk) -> None:
        await talk.request()

    async with (
        ScriptedPeer(rude) as bad,
        ScriptedPeer() as good,
        started(name, [bad.address, good.address], tmp_path) as peer,
    ):
        while not bad.requests:
            assert await asked(peer.port, "GET", 1) == [200]
        await peer.use([bad.address])
        await good.close()
        assert await asked(peer.port, "POST", 1) != [200]
        assert len([sent for sent in bad.requests if sent.startswith(b"POST")]) == 1


async def test_connections_to_instances_are_kept(name: str, tmp_path: Path) -> None:
    """Calls over one connection of an app do not each need one to an instance."""
    async with ScriptedPeer() as only, started(name, [only.address], tmp_path) as peer, connected(peer.port) as app:
        assert [(await ask(app)).status for _ in range(10)] == [200] * 10
        assert len(only.requests) == 10
        assert len([talk for talk in only.talks if talk.requests]) <= 2


async def test_500_is_asked_of_another_instance_where_the_terms_say_so(name: str, tmp_path: Path) -> None:
    """A GET is answered by the other one; a POST that was answered so is answered so."""

    async def broken(talk: Talk) -> None:
        await talk.serve(SERVER_ERROR)

    terms = Terms(repeat_500=True)
    async with (
        ScriptedPeer(broken) as bad,
        ScriptedPeer() as good,
        started(name, [bad.address, good.address], tmp_path, terms) as peer,
    ):
        while not bad.requests:
            assert await asked(peer.port, "GET", 1) == [200]
        assert good.requests
        await peer.use([bad.address])
        await good.close()
        before = len(bad.requests)
        assert await asked(peer.port, "POST", 1) == [500]
        assert len(bad.requests) == before + 1
