"""What is told of a connection that is over."""

import pytest

from sidecar.cluster.policy import OutlierDetection
from sidecar.telemetry.access_log import text_line
from tests.integration.proxy.tcp.conftest import echo
from tests.support.scripted_peer import Script, ScriptedPeer, Talk
from tests.support.stack import MakeStack
from tests.support.until import settled


async def test_the_log_line_has_bytes_and_no_method(tcp: MakeStack) -> None:
    """As the contract shows it: method, path, protocol and status are missing."""
    async with ScriptedPeer(echo) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(b"x" * 10)
            await app.reader.readexactly(10)
        await settled(lambda: len(proxy.records) == 1)
        line = text_line(proxy.records[0], proxy.records[0].path)
        start, _, rest = line.partition("] ")
        assert start.startswith("[")
        assert rest.startswith('"- - -" 0 - 10 10 ')
        assert rest.endswith(f' - "-" "-" "-" "-" "{peer.address}" service=orders attempts=1 rescued=-\n')
        stats = proxy.upstream.stats
        assert (stats.bytes_to_instance, stats.bytes_to_app) == (10, 10)
        assert stats.tcp_connections == {"-": 1}
        assert stats.attempts == {"ok": 1}
        assert not stats.requests


async def rude(talk: Talk) -> None:
    await talk.reader.readexactly(1)
    talk.reset()


async def polite(talk: Talk) -> None:
    await talk.send(b"hi")
    await rude(talk)


@pytest.mark.parametrize(("script", "bad"), [(rude, True), (polite, False)])
async def test_a_reset_counts_against_an_endpoint_that_had_said_nothing(
    tcp: MakeStack, script: Script, *, bad: bool
) -> None:
    """One that accepts and resets is ejected like one that answers 502; one that had spoken may have had its reasons."""
    async with ScriptedPeer(script) as peer, ScriptedPeer(echo) as well:
        proxy = tcp(outlier_detection=OutlierDetection(consecutive_gateway_failure=2))
        await proxy.open(peer.port, well.port)
        for turn in range(1, 7):
            async with proxy.app() as app:
                await app.send(b"x")
                app.half_close()
                await app.until_closed()
            await settled(lambda turn=turn: len(proxy.records) == turn)  # type: ignore[misc]
        ejected = {endpoint.port: endpoint.ejected for endpoint in proxy.cluster.endpoints.values()}
        assert ejected == {peer.port: bad, well.port: False}
        assert proxy.upstream.stats.attempts["reset"] >= 2
