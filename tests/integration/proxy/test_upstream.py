"""One service as the data path sees it: breakers, waiters, stalled endpoints, and what a reload leaves behind."""

import asyncio
from dataclasses import replace

import pytest

from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.policy import CircuitBreakers, Protocol
from sidecar.cluster.standing import Ejection, Verdict
from sidecar.errors import FAILURES
from sidecar.proxy.http1.downstream import AppConnection
from sidecar.proxy.http1.upstream import InstanceConnection
from sidecar.proxy.listener import OwnEntrance
from sidecar.proxy.upstream import Upstream
from tests.support.scripted_peer import OK, Script, ScriptedPeer, Talk, hanging, serving
from tests.support.stack import GET, MakeStack, Stack, begin, call, read, until
from tests.support.until import settled


@pytest.mark.http("H-43", "H-66")
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


@pytest.mark.http("H-43")
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


async def test_requests_of_one_moment_share_the_room_that_is_left(stack: MakeStack) -> None:
    """Two that arrive in the same turn of the loop find one place: one is served, one is turned away."""
    async with ScriptedPeer() as peer:
        proxy = stack(circuit_breakers=CircuitBreakers(max_connections=1))
        await proxy.open(peer.port)
        async with proxy.app() as one, proxy.app() as two:
            await until(lambda: len(proxy.runtime.connections) == 2)
            for connection in proxy.runtime.connections:
                assert isinstance(connection, AppConnection)
                connection.data_received(GET)
            assert sorted([(await read(app)).status for app in (one, two)]) == [200, 503]
        assert len(peer.talks) == 1


async def test_a_dial_that_never_began_gives_its_place_back(stack: MakeStack) -> None:
    """The app leaves before the task of its dial has run once."""
    async with ScriptedPeer() as peer:
        proxy = stack(circuit_breakers=CircuitBreakers(max_connections=1))
        await proxy.open(peer.port)
        async with proxy.app():
            await until(lambda: len(proxy.runtime.connections) == 1)
            (connection,) = proxy.runtime.connections
            assert isinstance(connection, AppConnection)
            connection.data_received(GET)
            connection.cut(FAILURES["cut_by_drain"])
        await until(lambda: not len(proxy.runtime.connections))
        assert (await call(proxy)).status == 200


async def test_a_dial_that_is_cancelled_when_it_succeeds_leaves_no_trace(
    stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app left just then: counted connections are those that exist, or `max_connections` fills up for ever."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        endpoint = proxy.cluster.endpoints[peer.address]
        made = InstanceConnection.connection_made

        def cancel(connection: InstanceConnection, transport: asyncio.BaseTransport) -> None:
            made(connection, transport)
            dial.cancel()

        monkeypatch.setattr(InstanceConnection, "connection_made", cancel)
        dial = begin(proxy.upstream.dial(endpoint))
        with pytest.raises(asyncio.CancelledError):
            await dial
        await until(lambda: bool(peer.talks) and peer.talks[0].reader.at_eof())
        assert proxy.cluster.stats.instance_connections == 0
        assert endpoint.connections_active == 0


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
            proxy.upstream.close()
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


async def test_debug_headers_tell_where_and_how(stack: MakeStack) -> None:
    """`debug_headers`: endpoint, attempts, time, rescue, all with our prefix."""
    async with ScriptedPeer() as peer:
        proxy = stack(debug_headers=True)
        await proxy.open(peer.port)
        head = (await call(proxy)).head.decode()
        assert f"\r\nx-sidecar-endpoint: {peer.address}\r\n" in head
        assert "\r\nx-sidecar-attempts: 1\r\n" in head
        assert "\r\nx-sidecar-rescued: -\r\n" in head


# An endpoint on probation


def saying(answer: bytes, on: asyncio.Event) -> Script:
    """Begins to answer, and goes on until the end of the test."""

    async def script(talk: Talk) -> None:
        await talk.reader.readexactly(1)
        await talk.send(answer)
        await on.wait()

    return script


def on_probation(proxy: Stack, peer: ScriptedPeer) -> Endpoint:
    """It has served an ejection."""
    endpoint = proxy.cluster.endpoints[peer.address]
    endpoint.ejection = Ejection()
    endpoint.ejection.move(Verdict.TRIPPED)
    endpoint.ejection.move(Verdict.SERVED)
    proxy.cluster._follow(endpoint, proxy.now)
    assert endpoint.state is State.PROBATION
    return endpoint


@pytest.mark.parametrize(
    ("protocol", "answer", "state"),
    [
        (Protocol.HTTP1, b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n", State.AVAILABLE),
        (Protocol.HTTP1, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", State.AVAILABLE),
        (Protocol.HTTP1, b"HTTP/1.1 501 X\r\nTransfer-Encoding: chunked\r\n\r\n", State.PROBATION),
        (Protocol.TCP, b"220 ready\r\n", State.AVAILABLE),
    ],
)
async def test_a_probation_ends_with_the_beginning_of_a_good_answer(
    stack: MakeStack, protocol: Protocol, answer: bytes, state: State
) -> None:
    """A tunnel, a stream, a connection of another protocol; not with that of a bad one."""
    on = asyncio.Event()
    async with ScriptedPeer(saying(answer, on)) as peer:
        proxy = stack(protocol=protocol)
        await proxy.open(peer.port)
        endpoint = on_probation(proxy, peer)
        async with proxy.app() as app:
            await app.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"))
            await app.reader.readexactly(10)
            assert endpoint.state is state
            assert endpoint.in_flight == 1
            on.set()
        await settled(lambda: endpoint.in_flight == 0)
