"""A connection from accept to its end."""

import pytest

from sidecar.cluster.policy import CircuitBreakers, Timeouts
from sidecar.errors import FAILURES
from tests.integration.proxy.tcp.conftest import echo, relay_of
from tests.support.scripted_peer import ScriptedPeer, Talk, hanging
from tests.support.stack import MakeStack
from tests.support.until import settled


async def test_the_endpoint_is_busy_for_as_long_as_the_connection_lasts(tcp: MakeStack) -> None:
    """Connections are balanced by how many an endpoint has open."""
    async with ScriptedPeer(echo) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        endpoint = proxy.cluster.endpoints[peer.address]
        async with proxy.app() as app:
            await app.send(b"x")
            await app.reader.readexactly(1)
            assert (endpoint.in_flight, proxy.upstream.stats.requests_in_flight) == (1, 1)
            assert proxy.upstream.stats.instance_connections == 1
        await settled(lambda: endpoint.in_flight == 0)
        await settled(lambda: proxy.upstream.stats.instance_connections == proxy.upstream.stats.app_connections == 0)
        assert proxy.upstream.stats.requests_in_flight == 0
        assert len(proxy.runtime.connections) == 0


@pytest.mark.virtual_time
async def test_a_connection_on_which_nothing_moves_is_reset(tcp: MakeStack) -> None:
    """After `timeouts.idle`; the endpoint is not blamed."""
    async with ScriptedPeer(hanging) as peer:
        proxy = tcp(timeouts=Timeouts(idle=0.3))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(b"x")
            with pytest.raises(ConnectionResetError):
                await app.reader.read()
        assert proxy.codes == [(0, "UT")]
        assert proxy.cluster.endpoints[peer.address].consecutive_failures == 0


@pytest.mark.virtual_time
async def test_bytes_of_either_side_keep_it_open(tcp: MakeStack) -> None:
    """The idle limit counts from the newest byte."""

    async def ticking(talk: Talk) -> None:
        for _ in range(8):
            await talk.send(await talk.reader.readexactly(1))

    async with ScriptedPeer(ticking) as peer:
        proxy = tcp(timeouts=Timeouts(idle=0.5))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            relay = await relay_of(proxy)
            await settled(lambda: relay.instance is not None)
            for _ in range(3):
                relay.last_byte -= 100
                await app.send(b"x")
                await app.reader.readexactly(1)
                assert relay.last_byte > proxy.now - 100
                relay._expired(relay.last_byte + 0.4)
                assert not relay.over
            relay._expired(relay.last_byte + 0.6)
            assert relay.over


async def test_without_an_idle_limit_nothing_ends_it(tcp: MakeStack) -> None:
    """`idle: null`."""
    async with ScriptedPeer(hanging) as peer:
        proxy = tcp(timeouts=Timeouts(idle=None))
        await proxy.open(peer.port)
        async with proxy.app():
            relay = await relay_of(proxy)
            await settled(lambda: relay.instance is not None)
            relay._expired(relay.last_byte + 1e9)
            assert not relay.over


async def test_more_connections_at_a_time_than_allowed_are_reset(tcp: MakeStack) -> None:
    """`max_requests` counts connections here."""
    async with ScriptedPeer(echo) as peer:
        proxy = tcp(circuit_breakers=CircuitBreakers(max_requests=1))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(b"x")
            await app.reader.readexactly(1)
            async with proxy.app() as second:
                with pytest.raises(ConnectionResetError):
                    await second.reader.read()
            assert [(record.flags, record.details) for record in proxy.records] == [("UO", "too_many_requests")]


async def test_drain_sees_it_as_busy_and_cuts_it(tcp: MakeStack) -> None:
    """A silent connection may wait for something: it is not closed as idle, and cut at the end."""
    async with ScriptedPeer(hanging) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await settled(lambda: proxy.upstream.stats.instance_connections == 1)
            assert proxy.runtime.connections.close_idle() == 0
            assert proxy.runtime.connections.in_flight_under(proxy.upstream)
            assert proxy.runtime.connections.abort_active(FAILURES["cut_by_drain"]) == 1
            with pytest.raises(ConnectionResetError):
                await app.reader.read()
        assert proxy.codes == [(0, "LR")]
        assert not proxy.runtime.connections.in_flight_under(proxy.upstream)


@pytest.mark.virtual_time
async def test_an_app_that_takes_none_of_the_last_bytes_is_reset(tcp: MakeStack) -> None:
    """A peer that stays and does not read would hold the connection for ever."""

    async def flood(talk: Talk) -> None:
        talk.writer.write(b"x" * 16_000_000)
        talk.half_close()

    async with ScriptedPeer(flood) as peer:
        proxy = tcp(timeouts=Timeouts(idle=5.0))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            relay = await relay_of(proxy)
            app.half_close()
            app.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await settled(lambda: relay.app.unwritten > 0)
            relay.end(None)
            await settled(lambda: len(proxy.runtime.connections) == 0)
