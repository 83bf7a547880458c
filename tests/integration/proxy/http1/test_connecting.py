"""Dials that fail, seen from the app: not at all."""

import pytest

from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Timeouts
from tests.support.bad_instances import (
    REQUESTS,
)
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, connected, full_backlog
from tests.support.stack import POST, MakeStack, ask, call


@pytest.mark.parametrize("request_name", REQUESTS)
async def test_a_refused_connect_is_never_seen(stack: MakeStack, request_name: str) -> None:
    """Whatever the method and framing, a refusing endpoint costs no request, and it is asked once."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(free_port(), peer.port)
        for _ in range(4):
            answer = await call(proxy, REQUESTS[request_name])
            assert (answer.status, answer.body) == (200, b"ok")
        assert len(peer.requests) == 4
        assert proxy.cluster.stats.attempts["refused"] == 1
        assert proxy.cluster.stats.retries == {"connect_failure": 1}
        assert proxy.cluster.stats.rescued == {"retry": 1}
        assert sorted(r.rescued_by or "-" for r in proxy.records) == ["-", "-", "-", "retry"]


@pytest.mark.virtual_time
async def test_a_connect_that_times_out_goes_elsewhere(stack: MakeStack) -> None:
    """A host that drops every SYN costs `timeouts.connect`, then another is asked."""
    with full_backlog() as port:
        async with ScriptedPeer() as peer:
            proxy = stack(timeouts=Timeouts(connect=0.2))
            await proxy.open(port, peer.port)
            answers = [await call(proxy, POST) for _ in range(2)]
            assert [answer.status for answer in answers] == [200, 200]
            assert proxy.cluster.stats.attempts["connect_timeout"] == 1


async def test_an_instance_with_an_impossible_host_goes_elsewhere(stack: MakeStack) -> None:
    """What no resolver takes is an endpoint like any other that cannot be reached, not a request that hangs."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open()
        instances = (Instance("a..b", 80), Instance("127.0.0.1", peer.port))
        proxy.cluster.apply(Push("orders", instances, Origin.STATIC), proxy.now)
        assert [(await call(proxy, POST)).status for _ in range(2)] == [200, 200]
        assert proxy.cluster.stats.attempts["unreachable"] == 1


async def test_a_large_post_survives_a_refused_connect(stack: MakeStack) -> None:
    """3 MB that no buffer holds arrive whole at the second endpoint: the body is read once a connection exists."""
    body = bytes(range(256)) * 12 * 1024
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(free_port(), peer.port)
        async with connected(proxy.port) as app:
            for _ in range(2):
                answer = await ask(
                    app, b"POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )
                assert answer.status == 200
        assert all(request.partition(b"\r\n\r\n")[2] == body for request in peer.requests)
        assert len(peer.requests) == 2
        assert proxy.cluster.stats.attempts["refused"] == 1
        assert proxy.runtime.replay_bytes == 0
