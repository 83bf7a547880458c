"""After 101."""

import asyncio

import pytest

from sidecar.cluster.policy import (
    Timeouts,
)
from tests.support.scripted_peer import (
    ScriptedPeer,
    Talk,
)
from tests.support.stack import GET, MakeStack, begin, until
from tests.support.until import PATIENCE


async def websocket(talk: Talk) -> None:
    """Switches, then echoes until the other side ends, and says goodbye."""
    await talk.request()
    await talk.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello")
    while data := await talk.reader.read(65536):
        await talk.send(data)
    await talk.send(b"bye")


UPGRADE = GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")


@pytest.mark.http("H-56")
async def test_after_101_bytes_go_both_ways(stack: MakeStack) -> None:
    """Bytes behind the head, on either side, are the first of the tunnel; half-closes are passed on."""
    async with ScriptedPeer(websocket) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(UPGRADE + b"early")
            assert (await app.head()).startswith(b"HTTP/1.1 101 ")
            assert await app.reader.readexactly(10) == b"helloearly"
            block = bytes(range(256)) * 4096
            sending = begin(app.send(block))
            assert await app.reader.readexactly(len(block)) == block
            await sending
            app.half_close()
            assert await app.until_closed() == b"bye"
        await until(lambda: bool(proxy.codes))
        assert proxy.codes == [(101, "-")]
        assert proxy.cluster.stats.idle_connections == 0


@pytest.mark.virtual_time
async def test_a_silent_tunnel_ends_after_idle(stack: MakeStack) -> None:
    """The response clock no longer counts, the idle one does."""
    async with ScriptedPeer(websocket) as peer:
        proxy = stack(timeouts=Timeouts(response=0.2, idle=0.6))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(UPGRADE)
            await app.reader.readuntil(b"hello")
            await asyncio.sleep(0.4)
            await app.send(b"x")
            assert await app.reader.readexactly(1) == b"x"
            assert await asyncio.wait_for(app.until_closed(), PATIENCE) in {b"", b"bye"}
        await until(lambda: bool(proxy.codes))
        assert proxy.codes == [(101, "-")]


@pytest.mark.parametrize("resets", [True, False])
async def test_a_tunnel_that_an_app_breaks_off_is_broken_off(stack: MakeStack, resets: bool) -> None:  # noqa: FBT001 - parametrized
    """RST stays RST, so that the instance does not take what it got for all; FIN stays FIN."""
    ends: list[str] = []

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        try:
            await talk.reader.read()
        except ConnectionResetError:
            ends.append("reset")
        else:
            ends.append("end")

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(UPGRADE)
            await app.head()
            await app.send(b"half a mess")
            if resets:
                app.reset()
            else:
                app.half_close()
            await until(lambda: bool(ends))
        assert ends == ["reset" if resets else "end"]


@pytest.mark.one_loop
async def test_an_instance_that_takes_no_more_of_a_tunnel_is_let_go(stack: MakeStack) -> None:
    """After the idle limit, and as long again for its last bytes: it would take a place among the connections for ever."""

    async def stuck(talk: Talk) -> None:
        await talk.request()
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await talk.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        await on.wait()

    on = asyncio.Event()
    async with ScriptedPeer(stuck) as peer:
        proxy = stack(timeouts=Timeouts(idle=0.5))
        await proxy.open(peer.port)
        endpoint = proxy.cluster.endpoints[peer.address]
        async with proxy.app() as app:
            await app.send(UPGRADE)
            await app.head()
            app.writer.write(b"x" * 16_000_000)
            await until(lambda: endpoint.connections == 1)
            await until(lambda: endpoint.connections == 0)
        on.set()
        assert proxy.codes == [(101, "-")]


async def test_an_idle_limit_of_years_ends_no_tunnel_badly(stack: MakeStack) -> None:
    """It is more milliseconds than the kernel can count."""
    async with ScriptedPeer(websocket) as peer:
        proxy = stack(timeouts=Timeouts(idle=876000 * 3600.0))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(UPGRADE)
            await app.head()
            app.half_close()
            assert (await app.until_closed()).endswith(b"bye")
        await until(lambda: proxy.cluster.endpoints[peer.address].connections == 0)
        assert proxy.codes == [(101, "-")]
