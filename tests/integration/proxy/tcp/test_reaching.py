"""The way to an instance: refused dials move on, nobody usable waits, and every end is counted."""

from typing import Any

import pytest

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.policy import CircuitBreakers, OutlierDetection, Retry, Timeouts, WaitForInstance
from sidecar.proxy.upstream import Upstream
from tests.integration.proxy.tcp.conftest import echo
from tests.support.descriptors import none_left
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, Talk, full_backlog
from tests.support.stack import MakeStack, Stack
from tests.support.until import settled

WITHOUT_QUARANTINE = OutlierDetection(quarantine_on_connect_failure=False, consecutive_gateway_failure=None)


async def says_hello(talk: Talk) -> None:
    await talk.send(b"hello")
    await talk.until_closed()


async def hello(proxy: Stack) -> bytes:
    async with proxy.app() as app:
        return await app.reader.readexactly(5)


async def reset_by(proxy: Stack) -> None:
    """A connection that gets nothing but RST."""
    async with proxy.app() as app:
        with pytest.raises(ConnectionResetError):
            await app.reader.read()


async def test_a_refused_dial_moves_on(tcp: MakeStack) -> None:
    """The app sees the other instance; the retry, the rescue and the try are told."""
    async with ScriptedPeer(says_hello) as peer:
        proxy = tcp()
        refusing = free_port()
        await proxy.open(refusing, peer.port)
        for _ in range(2):
            assert await hello(proxy) == b"hello"
        await settled(lambda: len(proxy.records) == 2)
        rescued = [record for record in proxy.records if record.rescued_by == "retry"]
        assert [(one.attempts, one.tries[0].outcome, one.endpoint) for one in rescued] == [(2, "refused", peer.address)]
        stats = proxy.upstream.stats
        assert (stats.attempts["refused"], stats.retries["connect_failure"], stats.rescued["retry"]) == (1, 1, 1)


@pytest.mark.virtual_time
async def test_a_dial_that_hangs_moves_on(tcp: MakeStack) -> None:
    """After `timeouts.connect`."""
    with full_backlog() as hanging:
        async with ScriptedPeer(says_hello) as peer:
            proxy = tcp(timeouts=Timeouts(connect=0.1))
            await proxy.open()
            proxy.add(peer.port, first=hanging)
            assert await hello(proxy) == b"hello"
            assert proxy.upstream.stats.attempts["connect_timeout"] == 1


async def test_without_connect_failure_in_retry_on_nothing_moves(tcp: MakeStack) -> None:
    """`retry_on: []` leaves it at one dial."""
    async with ScriptedPeer(says_hello) as peer:
        proxy = tcp(retry=Retry(retry_on=frozenset()))
        await proxy.open()
        proxy.add(peer.port, first=free_port())
        await reset_by(proxy)
        assert proxy.codes == [(0, "UF")]


async def test_nobody_usable_waits_for_the_restart_of_the_only_instance(tcp: MakeStack) -> None:
    """What the app sent meanwhile arrives; rescued by waiting."""
    peer = ScriptedPeer(echo)
    port = free_port()
    proxy = tcp(wait_for_instance=WaitForInstance(timeout=30.0))
    await proxy.open(port)
    async with proxy.app() as app:
        await app.send(b"early")
        await settled(lambda: proxy.upstream.stats.waiting == 1)
        await peer.open(port)
        assert await app.reader.readexactly(5) == b"early"
    await settled(lambda: len(proxy.records) == 1)
    assert proxy.upstream.stats.waits["served"] >= 1
    assert proxy.upstream.stats.waiting == 0
    await peer.close()


@pytest.mark.virtual_time
async def test_after_the_wait_the_app_is_reset(tcp: MakeStack) -> None:
    """No list: UH; a list that refuses: UF."""
    proxy = tcp(wait_for_instance=WaitForInstance(timeout=0.2))
    await proxy.open()
    await reset_by(proxy)
    proxy.list(free_port())
    await reset_by(proxy)
    assert [(record.flags, record.details) for record in proxy.records] == [("UH", "no_instance"), ("UF", "refused")]
    assert proxy.upstream.stats.waits["timeout"] == 2


@pytest.mark.virtual_time
async def test_without_quarantine_the_same_one_is_dialled_again_for_as_long_as_the_wait(tcp: MakeStack) -> None:
    """Pauses double; the search ends."""
    proxy = tcp(outlier_detection=WITHOUT_QUARANTINE, wait_for_instance=WaitForInstance(timeout=0.5))
    await proxy.open(free_port())
    await reset_by(proxy)
    assert proxy.upstream.stats.attempts["refused"] == 3  # at 0, 0.1 and 0.3 s
    assert proxy.codes == [(0, "UF")]


async def test_a_full_queue_is_told(tcp: MakeStack) -> None:
    """`max_queued` bounds the connections that wait."""
    proxy = tcp(wait_for_instance=WaitForInstance(timeout=60.0, max_queued=1))
    await proxy.open()
    async with proxy.app():
        await settled(lambda: proxy.upstream.stats.waiting == 1)
        await reset_by(proxy)
        assert [record.details for record in proxy.records] == ["queue_full"]


async def test_an_app_that_leaves_while_it_waits_leaves_no_trace(tcp: MakeStack) -> None:
    """Neither in the queue nor in the counts."""
    proxy = tcp(wait_for_instance=WaitForInstance(timeout=60.0))
    await proxy.open()
    async with proxy.app() as app:
        await settled(lambda: proxy.upstream.stats.waiting == 1)
        app.reset()
        await settled(lambda: proxy.codes == [(0, "DC")])
        await settled(lambda: proxy.upstream.stats.waiting == 0)
    assert not proxy.upstream.waiting
    assert proxy.upstream.stats.waits["app_left"] == 1
    assert proxy.upstream.stats.requests_in_flight == 0


async def test_an_app_that_leaves_while_a_dial_is_under_way_blames_nobody(tcp: MakeStack) -> None:
    """The endpoint is as free as before."""
    with full_backlog() as hanging:
        proxy = tcp(timeouts=Timeouts(connect=30.0))
        await proxy.open(hanging)
        endpoint = proxy.cluster.endpoints[f"127.0.0.1:{hanging}"]
        async with proxy.app() as app:
            await settled(lambda: endpoint.in_flight == 1)
            app.reset()
            await settled(lambda: endpoint.in_flight == 0)
        assert endpoint.quarantine is None
        assert proxy.upstream.stats.instance_connections == 0


async def test_more_connections_than_allowed_are_reset(tcp: MakeStack) -> None:
    """`max_connections`: our own limit, no endpoint is to blame."""
    async with ScriptedPeer(says_hello) as peer:
        proxy = tcp(circuit_breakers=CircuitBreakers(max_connections=1))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.reader.readexactly(5)
            await reset_by(proxy)
            assert [record.details for record in proxy.records] == ["too_many_connections"]
        await settled(lambda: proxy.upstream.stats.instance_connections == 0)
        assert await hello(proxy) == b"hello"


async def test_a_dial_without_a_descriptor_is_made_when_there_is_one(tcp: MakeStack) -> None:
    """The app's connection waits, and nobody is blamed."""
    async with ScriptedPeer(says_hello) as peer:
        proxy = tcp()
        await proxy.open()
        async with proxy.app() as app:
            await settled(lambda: proxy.cluster.waiting == 1)
            with none_left():
                proxy.list(peer.port)
                (endpoint,) = proxy.cluster.endpoints.values()
                await settled(lambda: endpoint.requests == 1 and endpoint.in_flight == 0)
                assert not peer.talks
            assert await app.reader.readexactly(5) == b"hello"
        await settled(lambda: bool(proxy.records))
        assert [(record.flags, record.attempts) for record in proxy.records] == [("-", 1)]


async def test_an_instance_that_resets_at_once_is_a_refusal(tcp: MakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process accepts and dies before a byte was sent: another one serves."""

    async def lost_at_once(self: Upstream, endpoint: Endpoint, factory: Any, **how: Any) -> Any:
        end = await connect(self, endpoint, factory, **how)
        if endpoint.port == dying.port:
            end.abort()
            await settled(lambda: end.gone)
        return end

    connect = Upstream.connect
    monkeypatch.setattr(Upstream, "connect", lost_at_once)
    async with ScriptedPeer(says_hello) as peer, ScriptedPeer(says_hello) as dying:
        proxy = tcp()
        await proxy.open()
        proxy.add(peer.port, first=dying.port)
        assert await hello(proxy) == b"hello"
        await settled(lambda: len(proxy.records) == 1)
        assert [one.outcome for one in proxy.records[0].tries] == ["refused", "ok"]
        await settled(lambda: proxy.upstream.stats.instance_connections == 0)
