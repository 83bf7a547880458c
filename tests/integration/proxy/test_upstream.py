"""One service as the data path sees it: breakers, waiters, stalled endpoints, and what a reload leaves behind."""

import asyncio
from dataclasses import replace

from sidecar.cluster.endpoint import State
from sidecar.cluster.policy import CircuitBreakers, OutlierDetection, WaitForInstance
from sidecar.proxy.listener import OwnEntrance
from sidecar.proxy.upstream import Upstream
from tests.support.scripted_peer import OK, ScriptedPeer, Talk, hanging, serving
from tests.support.stack import GET, Answer, MakeStack, begin, call, until


async def test_too_many_requests_are_turned_away(stack: MakeStack) -> None:
    """`max_requests` bounds what is at instances; the next one is answered at once."""
    async with ScriptedPeer(hanging) as peer:
        proxy = stack(circuit_breakers=CircuitBreakers(max_requests=1))
        await proxy.open(peer.port)
        async with proxy.app() as first:
            await first.send(GET)
            await until(lambda: bool(peer.talks))
            answer = await call(proxy)
            assert (answer.status, answer.error) == (503, "UO too_many_requests attempts=0")


async def test_too_many_connections_are_not_opened(stack: MakeStack) -> None:
    """`max_connections` counts busy ones; an idle one of another endpoint gives way first."""
    async with ScriptedPeer(serving) as idle, ScriptedPeer(hanging) as busy:
        proxy = stack(circuit_breakers=CircuitBreakers(max_connections=1))
        await proxy.open(idle.port)
        assert (await call(proxy)).status == 200
        proxy.list(busy.port)
        await until(lambda: proxy.cluster.usable(proxy.now))
        async with proxy.app() as first:
            await first.send(GET)
            await until(lambda: bool(busy.talks))
            answer = await call(proxy)
            assert (answer.status, answer.error) == (503, "UO too_many_connections attempts=0")


async def test_idle_connections_of_a_removed_endpoint_are_closed(stack: MakeStack) -> None:
    """It left the list: nothing is kept open to it."""
    async with ScriptedPeer() as old, ScriptedPeer() as new:
        proxy = stack()
        await proxy.open(old.port, new.port)
        for _ in range(2):
            await call(proxy)
        await until(lambda: proxy.cluster.stats.idle_connections == 2)
        proxy.list(new.port)
        assert proxy.cluster.stats.idle_connections == 1
        await until(old.talks[0].reader.at_eof)


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
        bad_one = proxy.cluster.endpoints[bad.address]
        asked: list[asyncio.Task[Answer]] = []
        while bad_one.state is not State.STALLED and len(asked) < 200:
            asked.append(begin(call(proxy)))
            await asyncio.sleep(0.02)
        assert {(await asyncio.wait_for(one, 5)).status for one in asked} == {200}
        assert proxy.cluster.stats.retries["stall"] >= 1
        assert bad_one.owed == 0
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
        proxy.cluster.endpoints[bad.address].state = State.STALLED
        for connection in proxy.runtime.connections:
            connection.look_for_stall(proxy.upstream, proxy.now)
        answer = await asked
        assert (answer.status, answer.body) == (200, b"me")
        assert proxy.cluster.stats.requests_in_flight == 0
        assert all(e.in_flight == 0 and e.owed == 0 for e in proxy.cluster.endpoints.values())


async def test_a_reload_swaps_the_upstream_under_open_connections(stack: MakeStack) -> None:
    """The request in flight ends under the old one, the next on the same connection goes through the new."""
    go = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        await go.wait()
        await talk.send(OK)
        await talk.serve()

    async with ScriptedPeer(script, serving) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET)
            await until(lambda: bool(peer.requests))
            new = Upstream(proxy.cluster, proxy.runtime, replace(proxy.upstream.policy, via=True))
            new.succeed(proxy.upstream)
            proxy.listener.entrance = OwnEntrance(new)
            go.set()
            assert (await app.head()).startswith(b"HTTP/1.1 200 OK\r\n")
            assert await app.reader.readexactly(2) == b"ok"
            await app.send(GET)
            assert b"\r\nVia: 1.1 nacos-sidecar\r\n" in await app.head()
        await until(lambda: len(peer.requests) == 2)
        assert b"Via" not in peer.requests[0]
        assert b"\r\nVia: 1.1 nacos-sidecar\r\n" in peer.requests[1]
        new.close()


async def test_who_waits_through_a_reload_is_released_by_the_new_upstream(stack: MakeStack) -> None:
    """The old queue is woken from the new one."""
    async with ScriptedPeer() as peer:
        proxy = stack(wait_for_instance=WaitForInstance(timeout=5))
        await proxy.open()
        asked = begin(call(proxy))
        await until(lambda: proxy.cluster.waiting == 1)
        old, proxy.upstream = proxy.upstream, Upstream(proxy.cluster, proxy.runtime)
        proxy.upstream.succeed(old)
        proxy.listener.entrance = OwnEntrance(proxy.upstream)
        proxy.list(peer.port)
        assert (await asked).status == 200
        assert proxy.cluster.waiting == 0


async def test_debug_headers_tell_where_and_how(stack: MakeStack) -> None:
    """`debug_headers`: endpoint, attempts, time, rescue, all with our prefix."""
    async with ScriptedPeer() as peer:
        proxy = stack(debug_headers=True)
        await proxy.open(peer.port)
        head = (await call(proxy)).head.decode()
        assert f"\r\nx-sidecar-endpoint: {peer.address}\r\n" in head
        assert "\r\nx-sidecar-attempts: 1\r\n" in head
        assert "\r\nx-sidecar-rescued: -\r\n" in head
