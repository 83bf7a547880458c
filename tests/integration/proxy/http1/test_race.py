"""A stalled endpoint and another one, asked at once."""

import asyncio

import pytest

from sidecar.cluster.endpoint import State
from sidecar.cluster.policy import CircuitBreakers, OutlierDetection, Retry, Timeouts
from sidecar.errors import FAILURES
from sidecar.proxy.http1.downstream import AppConnection
from tests.support.scripted_peer import OK, Script, ScriptedPeer, Talk, hanging
from tests.support.stack import GET, POST, Answer, MakeStack, Stack, ask, begin, call, read, until
from tests.support.until import PATIENCE


def freezing(thaw: asyncio.Event) -> Script:
    """Takes a request at once, and answers it with `me` after the thaw; later ones at once."""

    async def frozen(talk: Talk) -> None:
        await talk.request()
        await thaw.wait()
        await talk.send(OK.replace(b"ok", b"me"))
        await talk.serve()

    return frozen


def stall(proxy: Stack, peer: ScriptedPeer, state: State = State.STALLED) -> None:
    """The watch finds that the peer fell silent; another fact may still name its state."""
    endpoint = proxy.cluster.endpoints[peer.address]
    endpoint.stalled = proxy.cluster._stalls.found = True
    endpoint.state = state
    proxy.upstream.wake(proxy.now)


def settled(proxy: Stack) -> bool:
    """No count is off, above or below."""
    counts = [count for e in proxy.cluster.endpoints.values() for count in (e.in_flight, e.owed)]
    return proxy.cluster.stats.requests_in_flight == 0 and not any(counts)


@pytest.mark.virtual_time
async def test_no_post_finds_out_whether_a_frozen_endpoint_lives(stack: MakeStack) -> None:
    """When nobody waits for it any more it is tried again, but not by what would be lost if it is frozen still."""

    async def frozen(talk: Talk) -> None:
        await talk.request()
        await hanging(talk)

    async with ScriptedPeer(frozen) as bad, ScriptedPeer() as good:
        proxy = stack(outlier_detection=OutlierDetection(stall_after=0.3))
        await proxy.open(bad.port, good.port)
        await found_frozen(proxy, bad)
        await until(lambda: proxy.cluster.endpoints[bad.address].state is State.AVAILABLE)
        before = len(bad.requests)
        assert [(await call(proxy, POST)).status for _ in range(20)] == [200] * 20
        assert len(bad.requests) == before
        await found_frozen(proxy, bad)
        assert len(bad.requests) > before


async def found_frozen(proxy: Stack, bad: ScriptedPeer) -> None:
    """GETs until the silence of that peer shows; all are answered."""
    asked: list[asyncio.Task[Answer]] = []
    while proxy.cluster.endpoints[bad.address].state is not State.STALLED:
        assert len(asked) < 200
        asked.append(begin(call(proxy)))
        await asyncio.sleep(0.02)
    assert {(await asyncio.wait_for(one, PATIENCE)).status for one in asked} == {200}


@pytest.mark.virtual_time
async def test_a_request_that_waits_on_a_frozen_endpoint_is_answered_by_another(stack: MakeStack) -> None:
    """`stall`: a second attempt elsewhere, the first stays as witness until the other's head comes."""

    async def frozen(talk: Talk) -> None:
        await talk.request()
        await talk.send(OK)
        await hanging(talk)

    async with ScriptedPeer(frozen, hanging) as bad, ScriptedPeer() as good:
        proxy = stack(outlier_detection=OutlierDetection(stall_after=0.3))
        await proxy.open(bad.port, good.port)
        for _ in range(2):
            assert (await call(proxy)).status == 200
        await found_frozen(proxy, bad)
        assert proxy.cluster.stats.retries["stall"] >= 1
        assert proxy.cluster.endpoints[bad.address].owed == 0
        assert {record.rescued_by for record in proxy.records if len(record.tries) > 1} == {"retry"}


async def test_a_witness_that_answers_after_all_wins(stack: MakeStack) -> None:
    """Whichever head comes first is passed on, the other attempt is given up."""
    thaw = asyncio.Event()

    async def frozen(talk: Talk) -> None:
        await talk.request()
        await thaw.wait()
        await talk.send(OK.replace(b"ok", b"me"))
        await talk.serve()

    async def slow(talk: Talk) -> None:
        await talk.request()
        thaw.set()
        await hanging(talk)

    async with ScriptedPeer(frozen) as bad, ScriptedPeer(slow) as other:
        proxy = stack()
        await proxy.open(bad.port, other.port)
        proxy.add(other.port, first=bad.port)
        asked = begin(call(proxy))
        await until(lambda: bool(bad.requests))
        stall(proxy, bad)
        answer = await asked
        assert (answer.status, answer.body) == (200, b"me")
        assert settled(proxy)


@pytest.mark.virtual_time
async def test_a_witness_that_is_gone_back_to_has_what_is_left_of_its_time(stack: MakeStack) -> None:
    """`per_try_timeout` counts from when it was asked; and who failed beside it is not asked again."""

    async def break_off(talk: Talk) -> None:
        await talk.request()
        talk.reset()

    async with ScriptedPeer(hanging) as bad, ScriptedPeer(break_off) as other:
        proxy = stack(retry=Retry(per_try_timeout=2.0), timeouts=Timeouts(response=9.0))
        await proxy.open(bad.port, other.port)
        proxy.add(other.port, first=bad.port)
        began = proxy.now
        asked = begin(call(proxy))
        await until(lambda: proxy.cluster.endpoints[bad.address].owed == 1)
        await asyncio.sleep(1.0)
        stall(proxy, bad)
        await until(lambda: len(other.requests) == 1)
        assert (await asked).status == 504
        assert 2.0 <= proxy.now - began < 3.0
        assert len(other.requests) == 1
        assert settled(proxy)


@pytest.mark.parametrize("state", [State.HELD, State.LEAVING])
async def test_an_endpoint_that_stalls_under_another_name_is_left_too(stack: MakeStack, state: State) -> None:
    """Held or leaving comes before stalled in the order of states, and says nothing against a second attempt."""
    async with ScriptedPeer(hanging) as bad, ScriptedPeer() as other:
        proxy = stack()
        await proxy.open(bad.port, other.port)
        proxy.add(other.port, first=bad.port)
        asked = begin(call(proxy))
        await until(lambda: proxy.cluster.endpoints[bad.address].owed == 1)
        stall(proxy, bad, state)
        assert (await asked).body == b"ok"
        assert settled(proxy)


async def test_without_room_for_a_second_attempt_the_first_is_waited_for(stack: MakeStack) -> None:
    """At `max_connections` a stalled request keeps its place: its late answer is its own, and the next has its own."""
    thaw = asyncio.Event()
    async with ScriptedPeer(freezing(thaw)) as bad, ScriptedPeer() as other:
        proxy = stack(circuit_breakers=CircuitBreakers(max_connections=1))
        await proxy.open(bad.port, other.port)
        proxy.add(other.port, first=bad.port)
        async with proxy.app() as app:
            await app.send(GET)
            await until(lambda: bool(bad.requests))
            stall(proxy, bad)
            thaw.set()
            assert (await read(app)).body == b"me"
            assert (await ask(app)).body == b"ok"
        assert proxy.codes == [(200, "-"), (200, "-")]
        await until(lambda: settled(proxy))


async def test_a_request_that_ends_takes_its_witness_along(stack: MakeStack) -> None:
    """However it ends: the stalled connection is closed, so that nothing of it reaches the app's next request."""
    async with ScriptedPeer(freezing(asyncio.Event())) as bad, ScriptedPeer(hanging) as other:
        proxy = stack()
        await proxy.open(bad.port, other.port)
        proxy.add(other.port, first=bad.port)
        async with proxy.app() as app:
            await app.send(GET)
            await until(lambda: bool(bad.requests))
            stall(proxy, bad)
            await until(lambda: bool(other.talks))
            exchange = _connection(proxy).exchange
            assert exchange is not None
            assert exchange.attempt is not None
            exchange.attempt.lost(FAILURES["reset"], proxy.now)
            exchange.fail(FAILURES["no_instance"], proxy.now)
            assert (await read(app)).status == 503
            await until(lambda: proxy.cluster.stats.instance_connections == 0)
            assert settled(proxy)


async def test_what_comes_for_a_request_that_is_over_reaches_nobody(stack: MakeStack) -> None:
    """A late answer, whoever forgot to close its connection, does not become the answer of the next request."""
    thaw = asyncio.Event()
    async with ScriptedPeer(freezing(thaw), Talk.serve) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET)
            await until(lambda: bool(peer.requests))
            exchange = _connection(proxy).exchange
            assert exchange is not None
            exchange.fail(FAILURES["no_instance"], proxy.now)
            assert (await read(app)).status == 503
            thaw.set()
            await until(lambda: proxy.cluster.stats.instance_connections == 0)
            assert (await ask(app)).body == b"ok"
            assert settled(proxy)


def _connection(proxy: Stack) -> AppConnection:
    connection = next(iter(proxy.runtime.connections))
    assert isinstance(connection, AppConnection)
    return connection
