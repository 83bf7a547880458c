"""Dials that fail, seen from the app: not at all."""

import asyncio
import contextlib
import select
import socket

import pytest

from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Keepalive, Timeouts, WaitForInstance
from tests.support.bad_instances import (
    REQUESTS,
)
from tests.support.descriptors import none_left
from tests.support.ports import free_port
from tests.support.scripted_peer import OK, ScriptedPeer, connected, full_backlog
from tests.support.stack import GET, POST, MakeStack, ask, begin, call, until


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


async def test_a_dial_without_a_descriptor_is_made_when_there_is_one(stack: MakeStack) -> None:
    """The request waits, no endpoint is blamed, and nobody but a look at the clock can tell."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await until(lambda: len(proxy.runtime.connections) == 1)
            with none_left():
                asked = begin(ask(app, POST))
                await until(lambda: proxy.cluster.stats.requests_in_flight == 1)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(asked), 0.3)
            assert (await asked).status == 200
        assert proxy.codes == [(200, "-")]
        assert proxy.cluster.stats.failed == {}


@pytest.mark.virtual_time
async def test_descriptors_that_never_come_are_told_of_when_the_wait_is_over(stack: MakeStack) -> None:
    """503 UO: it is not the instances' fault, and none of them is out for it."""
    async with ScriptedPeer() as peer:
        proxy = stack(wait_for_instance=WaitForInstance(timeout=0.5))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await until(lambda: len(proxy.runtime.connections) == 1)
            with none_left():
                answer = await ask(app, POST)
        assert (answer.status, answer.error) == (503, "UO too_many_connections attempts=0")
        assert proxy.cluster.usable(proxy.now)
        assert proxy.cluster.stats.failed == {}


async def test_an_idle_connection_gives_its_descriptor_to_a_dial(stack: MakeStack) -> None:
    """What is kept for perhaps goes before what is asked for now."""
    proxy = stack(keepalive=Keepalive(non_idempotent_max_idle=1e-9))
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as accepted:
        await proxy.open(listening.getsockname()[1])

        async def dialled() -> None:
            await until(lambda: bool(select.select([listening], [], [], 0)[0]))

        async def answer() -> None:
            instance = accepted.enter_context(listening.accept()[0])
            instance.setblocking(False)
            await proxy.loop.sock_recv(instance, 1024)
            instance.sendall(OK)

        async with proxy.app() as app:
            for request, shortage in ((GET, contextlib.nullcontext()), (POST, none_left())):
                with shortage:
                    asked = begin(ask(app, request))
                    await dialled()
                await answer()
                assert (await asked).status == 200
                await until(lambda: proxy.now > proxy.idle_connection().idle_since)
        assert proxy.cluster.stats.failed == {}
