"""A trial that lasts: an endpoint on probation is available again when it begins to answer well."""

import asyncio

import pytest

from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.policy import Protocol
from sidecar.cluster.standing import Ejection, Verdict
from tests.support.scripted_peer import Script, ScriptedPeer, Talk
from tests.support.stack import GET, MakeStack, Stack
from tests.support.until import settled


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
