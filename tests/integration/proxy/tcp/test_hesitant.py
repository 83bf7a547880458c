"""A connection to an http1 service's address: HTTP or not, by what is said and by whom first."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.policy import WaitForInstance
from sidecar.errors import FAILURES
from sidecar.proxy.tcp import hesitant
from sidecar.proxy.upstream import Upstream
from tests.support.ports import free_port
from tests.support.redirects import Kernel, behind, greeting
from tests.support.scripted_peer import OK, ScriptedPeer, Talk, answering, hanging
from tests.support.stack import MakeStack, ask, begin, read, until

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_request_in_pieces_is_a_request(stack: MakeStack, kernel: Kernel) -> None:
    """However late its first line is whole; an instance sees all of it once."""
    async with ScriptedPeer() as peer:
        proxy = await behind(stack, peer)
        kernel.to(peer.port)
        async with proxy.app() as app:
            for piece in (b"PO", b"ST /a HT", b"TP/1.1\r", b"\nHost: x\r\nContent-Length: 4\r\n\r\nbo", b"dy"):
                await app.send(piece)
                await asyncio.sleep(0.03)
            assert (await read(app)).status == 200
        (request,) = peer.requests
        assert request.endswith(b"\r\n\r\nbody")
        assert proxy.codes == [(200, "-")]


async def test_an_app_that_is_slow_to_speak_is_served_as_http_all_the_same(stack: MakeStack, kernel: Kernel) -> None:
    """An instance was dialled meanwhile, for it might have spoken first: it is let go of, and nothing was counted."""
    async with ScriptedPeer(hanging, answering(OK)) as peer:
        proxy = await behind(stack, peer)
        kernel.to(peer.port)
        async with proxy.app() as app:
            await until(lambda: len(peer.talks) == 1)
            await until(lambda: proxy.cluster.stats.requests_in_flight == 1)
            assert proxy.cluster.stats.by_address == 0, "a counter never falls"
            assert (await ask(app, GET)).status == 200
            await until(peer.talks[0].reader.at_eof)
        assert proxy.codes == [(200, "-")]
        stats = proxy.cluster.stats
        assert (stats.requests_in_flight, stats.tcp_connections, stats.by_address) == (0, {}, 1)
        assert stats.attempts == {"ok": 1}
        await until(lambda: stats.app_connections == 0)
        assert [endpoint.in_flight for endpoint in proxy.cluster.endpoints.values()] == [0]


@pytest.mark.parametrize("end", [Talk.close, Talk.reset])
async def test_an_instance_that_stops_before_a_slow_app_has_spoken_does_not_end_its_connection(
    stack: MakeStack, kernel: Kernel, end: Callable[[Talk], None]
) -> None:
    """It had accepted, and was about to stop: another one is dialled, and the request that comes at last is answered."""

    async def stop(talk: Talk) -> None:
        end(talk)

    async with ScriptedPeer(stop) as stopping, ScriptedPeer(hanging, answering(OK)) as other:
        proxy = await behind(stack, stopping, other)
        kernel.to(stopping.port)
        async with proxy.app() as app:
            await until(lambda: len(other.talks) == 1)
            assert (await ask(app, GET)).status == 200
        assert len(stopping.talks) == 1
        assert proxy.codes == [(200, "-")]
        await until(lambda: proxy.cluster.stats.app_connections == 0)
        assert [endpoint.in_flight for endpoint in proxy.cluster.endpoints.values()] == [0, 0]


async def test_one_whose_end_comes_together_with_its_connection_is_about_to_stop_as_well(
    stack: MakeStack, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop may hear of both in one turn, and tell of the end first."""

    async def ended_at_once(self: Upstream, endpoint: Endpoint, factory: Any, **how: Any) -> Any:
        end = await connect(self, endpoint, factory, **how)
        if endpoint.port == stopping.port:
            await until(lambda: end.ended)
        return end

    async def stop(talk: Talk) -> None:
        talk.half_close()
        await talk.until_closed()

    connect = Upstream.connect
    monkeypatch.setattr(Upstream, "connect", ended_at_once)
    async with ScriptedPeer(stop) as stopping, ScriptedPeer(hanging, answering(OK)) as other:
        proxy = await behind(stack, stopping, other)
        kernel.to(stopping.port)
        async with proxy.app() as app:
            await until(lambda: len(other.talks) == 1)
            assert (await ask(app, GET)).status == 200
        assert len(stopping.talks) == 1
        assert proxy.codes == [(200, "-")]
        await until(lambda: proxy.cluster.stats.instance_connections == proxy.cluster.stats.idle_connections)
        assert [endpoint.in_flight for endpoint in proxy.cluster.endpoints.values()] == [0, 0]


async def test_a_server_that_ends_a_long_silence_is_heard(
    stack: MakeStack, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its idle limit is not a stop: the app gets the end, and the instance is not held to refuse."""
    monkeypatch.setattr(hesitant, "HUNG_UP", 0.0)

    async def tire(talk: Talk) -> None:
        talk.half_close()
        await talk.until_closed()

    async with ScriptedPeer(tire) as peer, ScriptedPeer(hanging) as other:
        proxy = await behind(stack, peer, other)
        kernel.to(peer.port)
        async with proxy.app() as app:
            assert await app.until_closed() == b""
        assert other.talks == []
        assert proxy.cluster.stats.quarantines == 0


async def test_one_that_speaks_while_nobody_is_reached_waits_as_a_request(stack: MakeStack, kernel: Kernel) -> None:
    """The search for an instance that was begun for its silence ends, and another one begins for its request."""
    async with ScriptedPeer() as peer:
        proxy = await behind(stack, wait_for_instance=WaitForInstance(timeout=60.0))
        dead = free_port()
        proxy.list(dead)
        kernel.to(dead)
        async with proxy.app() as app:
            await until(lambda: proxy.cluster.waiting == 1)
            await app.send(GET)
            await until(lambda: proxy.cluster.waiting == 1 and proxy.cluster.stats.waits["app_left"] == 1)
            proxy.list(peer.port)
            assert (await read(app)).status == 200
        assert proxy.codes == [(200, "-")]
        assert proxy.records[-1].rescued_by == "wait"


async def test_another_protocol_is_relayed_to_whom_it_was_meant_for(stack: MakeStack, kernel: Kernel) -> None:
    """From its first odd byte on, to an http1 service's address as well."""

    async def echo(talk: Talk) -> None:
        await talk.send(await talk.reader.readexactly(5))

    async with ScriptedPeer(echo) as peer, ScriptedPeer(echo) as other:
        proxy = await behind(stack, peer, other)
        kernel.to(peer.port)
        async with proxy.app() as app:
            await app.send(b"GE", b"T\x00\x01")
            assert await app.reader.readexactly(5) == b"GET\x00\x01"
        await until(lambda: proxy.cluster.stats.tcp_connections == {"-": 1})
        assert proxy.cluster.stats.by_address == 1
        assert len(peer.talks) == 1


async def test_the_server_may_speak_first(stack: MakeStack, kernel: Kernel) -> None:
    """At an http1 service's address: its greeting comes unasked, and what the app says then is not taken for HTTP."""
    async with ScriptedPeer(greeting) as peer:
        proxy = await behind(stack, peer)
        kernel.to(peer.port)
        async with proxy.app() as app:
            assert await app.reader.readline() == b"220 ready\r\n"
            await app.send(b"GET / HTTP/1.1\r\n")
            assert await app.reader.readline() == b"250 GET / HTTP/1.1\r\n"
            app.half_close()
            assert await app.until_closed() == b""
        assert proxy.codes == [(0, "-")]


async def test_what_could_have_become_a_request_goes_on_when_the_server_speaks(
    stack: MakeStack, kernel: Kernel
) -> None:
    """Half a word was held back; from now on nothing is."""

    async def after_all(talk: Talk) -> None:
        await asyncio.sleep(0.1)
        await talk.send(b"220 ready\r\n")
        await talk.send(b"250 " + await talk.reader.readline())

    async with ScriptedPeer(after_all) as peer:
        proxy = await behind(stack, peer)
        kernel.to(peer.port)
        async with proxy.app() as app:
            await until(lambda: len(peer.talks) == 1)
            await app.send(b"PU")
            assert await app.reader.readline() == b"220 ready\r\n"
            await app.send(b"SH\r\n")
            assert await app.reader.readline() == b"250 PUSH\r\n"


async def test_an_end_without_a_word_is_passed_on(stack: MakeStack, kernel: Kernel) -> None:
    """A connection that is only looked at is one for the instance, too; so is half a request line that ends."""
    heard: list[bytes] = []

    async def listen(talk: Talk) -> None:
        heard.append(await talk.until_closed())

    async with ScriptedPeer(listen) as peer:
        proxy = await behind(stack, peer)
        kernel.to(peer.port)
        for word in (b"", b"GET /"):
            async with proxy.app() as app:
                await app.send(word)
                app.half_close()
                assert await app.until_closed() == b""
        assert heard == [b"", b"GET /"]


async def test_an_app_that_leaves_at_once_leaves_nothing(stack: MakeStack, kernel: Kernel) -> None:
    """Reset before anybody had spoken: no instance is dialled, nothing is in flight or counted."""
    async with ScriptedPeer() as peer:
        proxy = await behind(stack, peer)
        kernel.to(peer.port)
        async with proxy.app() as app:
            await until(lambda: len(proxy.runtime.connections) == 1)
            app.reset()
            await until(lambda: len(proxy.runtime.connections) == 0)
        stats = proxy.cluster.stats
        assert (stats.app_connections, stats.requests_in_flight) == (0, 0)
        await asyncio.sleep(0.05)
        assert peer.talks == []


async def test_drain_cuts_one_that_has_not_spoken(stack: MakeStack, kernel: Kernel) -> None:
    """With RST, as any other that is open."""
    async with ScriptedPeer(hanging) as peer:
        proxy = await behind(stack, peer)
        kernel.to(peer.port)
        async with proxy.app() as app:
            await until(lambda: len(proxy.runtime.connections) == 1)
            await until(lambda: len(peer.talks) == 1)
            assert proxy.runtime.connections.abort_active(FAILURES["cut_by_drain"]) == 1
            assert proxy.cluster.stats.tcp_connections == {"LR": proxy.cluster.stats.by_address} == {"LR": 1}
            with pytest.raises(ConnectionResetError):
                await app.reader.read()


async def test_many_connections_do_not_mix(stack: MakeStack, kernel: Kernel) -> None:
    """HTTP on each of them, at once, of which some are slow to speak."""
    async with ScriptedPeer() as peer:
        proxy = await behind(stack, peer)
        kernel.to(peer.port)

        async def app(number: int) -> list[int]:
            async with proxy.app() as talk:
                await asyncio.sleep(0.005 * number)
                return [(await ask(talk, GET)).status for _ in range(5)]

        assert await asyncio.gather(*(begin(app(number)) for number in range(12))) == [[200] * 5] * 12
        assert proxy.codes == [(200, "-")] * 60
