"""Redirected connections, without the redirect: the test says where each was meant to go, and whose it is."""

from random import Random

import pytest

from sidecar.cluster.events import RedirectRefused, Rescue
from sidecar.cluster.policy import Protocol
from sidecar.proxy.forward import Forward
from sidecar.proxy.listener import SharedEntrance
from sidecar.proxy.ourselves import Ourselves
from sidecar.proxy.routing import Router
from sidecar.proxy.transparent import POLICY, TOLD_AGAIN, TransparentEntrance
from sidecar.proxy.upstream import Upstream
from tests.support.ports import free_port
from tests.support.redirects import Kernel, behind, entrance, greeting
from tests.support.scripted_peer import ScriptedPeer
from tests.support.stack import MakeStack, Stack, ask, read, until

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_http_goes_to_the_instance_that_was_meant_and_else_to_another(stack: MakeStack, kernel: Kernel) -> None:
    """Request by request, on one connection: while it is available, and from the moment on when it is not."""
    async with ScriptedPeer() as meant, ScriptedPeer() as other:
        proxy = await behind(stack, meant, other)
        kernel.to(meant.port)
        async with proxy.app() as app:
            for _ in range(3):
                assert (await ask(app, GET)).status == 200
            assert len(meant.requests) == 3
            proxy.list(other.port)
            assert (await ask(app, GET)).status == 200
        assert len(other.requests) == 1
        assert [record.rescued_by for record in proxy.records] == [None, None, None, "address"]
        assert proxy.cluster.stats.by_address == 4
        (rescue,) = (event for event in proxy.events if isinstance(event, Rescue))
        assert (rescue.endpoint, rescue.dialled) == (other.address, meant.address)


async def test_a_reload_holds_for_connections_that_are_open(stack: MakeStack, kernel: Kernel) -> None:
    """The next request is under the new configuration; where its service is gone, the address itself is asked."""
    async with ScriptedPeer() as peer:
        proxy = await behind(stack, peer)
        kernel.to(peer.port)
        async with proxy.app() as app:
            await ask(app, GET)
            renewed = Upstream(proxy.cluster, proxy.runtime)
            proxy.listener.entrance = entrance(proxy, renewed)
            await app.send(GET)
            await until(
                lambda: (
                    any(connection.uses(renewed) for connection in proxy.runtime.connections) or bool(proxy.records[1:])
                )
            )
            assert (await read(app)).status == 200
            (connection,) = proxy.runtime.connections
            assert connection._way_in.entrance.service is renewed  # type: ignore[attr-defined]
            proxy.listener.entrance = TransparentEntrance(
                proxy.runtime, proxy.addresses, {}, Forward(proxy.runtime, Random(1), Ourselves(set)), Ourselves(set)
            )
            assert (await ask(app, GET)).status == 200
            assert [record.service for record in proxy.records] == ["orders", "orders", "-"]
            proxy.listener.entrance = SharedEntrance(Router(), POLICY)
            assert (await ask(app, GET)).status == 200
            proxy.listener.entrance = entrance(proxy, renewed)
            assert (await ask(app, GET)).status == 200
            assert [record.service for record in proxy.records[3:]] == ["-", "orders"]


async def test_a_tcp_service_is_dialled_at_once_and_elsewhere_if_need_be(stack: MakeStack, kernel: Kernel) -> None:
    """The instance that was meant refuses: another one answers, and it is a rescue."""
    async with ScriptedPeer(greeting) as peer:
        proxy = await behind(stack, protocol=Protocol.TCP)
        dead = free_port()
        proxy.list(dead, peer.port)
        kernel.to(dead)
        for _ in range(2):
            async with proxy.app() as app:
                assert await app.reader.readline() == b"220 ready\r\n"
                app.half_close()
                await app.until_closed()
        await until(lambda: len(proxy.records) == 2)
        assert [record.rescued_by for record in proxy.records] == ["retry", "address"]
        assert proxy.cluster.stats.by_address == 2


async def test_a_connection_goes_to_the_instance_that_was_meant(stack: MakeStack, kernel: Kernel) -> None:
    """Whatever the balancing: the app has chosen. That is no rescue."""
    async with ScriptedPeer(greeting) as one, ScriptedPeer(greeting) as two:
        proxy = await behind(stack, one, two, protocol=Protocol.TCP)
        for meant in (one, one, two, one):
            kernel.to(meant.port)
            async with proxy.app() as app:
                assert await app.reader.readline() == b"220 ready\r\n"
                app.half_close()
                await app.until_closed()
        await until(lambda: len(proxy.records) == 4)
        assert [record.endpoint for record in proxy.records] == [p.address for p in (one, one, two, one)]
        assert {record.rescued_by for record in proxy.records} == {None}


# Strangers


async def test_who_is_no_instance_is_relayed_as_it_is(stack: MakeStack, kernel: Kernel) -> None:
    """HTTP, too: one dial, nothing of it is read; counted and logged under no service."""
    async with ScriptedPeer(greeting) as stranger, ScriptedPeer() as web:
        proxy = await behind(stack)
        kernel.to(stranger.port)
        async with proxy.app() as app:
            assert await app.reader.readline() == b"220 ready\r\n"
            app.half_close()
            await app.until_closed()
        kernel.to(web.port)
        async with proxy.app() as app:
            await app.send(b"GET / HTTP/1.1\nHost: not by the book\r\n\r\n")
            assert (await read(app)).status == 200
            app.half_close()
            await app.until_closed()
        assert web.requests == [b"GET / HTTP/1.1\nHost: not by the book\r\n\r\n"]
        await until(lambda: len(proxy.records) == 2)
        assert [(record.service, record.endpoint, record.flags) for record in proxy.records] == [
            ("-", stranger.address, "-"),
            ("-", web.address, "-"),
        ]
        assert proxy.runtime.stats.unrouted.tcp_connections == {"-": 2}
        assert proxy.runtime.stats.unrouted.app_connections == 0


async def test_a_stranger_that_refuses_is_dialled_once(stack: MakeStack, kernel: Kernel) -> None:
    """The app's connection is reset: it had been accepted before we could know."""
    proxy = await behind(stack)
    kernel.to(free_port())
    for _ in range(3):
        async with proxy.app() as app:
            with pytest.raises(ConnectionResetError):
                await app.reader.read()
    await until(lambda: proxy.runtime.stats.unrouted.tcp_connections == {"UF": 3})
    assert proxy.runtime.stats.unrouted.attempts == {"refused": 3}


# Ourselves


async def is_reset(proxy: Stack) -> None:
    with pytest.raises(ConnectionResetError):
        async with proxy.app() as app:
            await app.reader.read()


@pytest.mark.parametrize("why", ["not_redirected", "own_address", "own_traffic"])
async def test_what_would_come_back_is_reset(stack: MakeStack, kernel: Kernel, why: str) -> None:
    """And told once a minute, with what to do."""
    own = free_port()
    proxy = stack()
    proxy.listener.entrance = found = entrance(proxy, own=lambda: {proxy.port, own})
    await proxy.open()
    kernel.to({"not_redirected": proxy.port, "own_address": own, "own_traffic": free_port()}[why])
    kernel.owner = found._uid if why == "own_traffic" else -1
    for _ in range(3):
        await is_reset(proxy)
    (told,) = (event for event in proxy.events if isinstance(event, RedirectRefused))
    assert (told.why, told.meant_for) == (why, str(kernel.meant))
    assert told.do
    assert proxy.runtime.stats.unrouted.tcp_connections == {"NR": 3}
    assert [(record.service, record.flags, record.details) for record in proxy.records] == [
        ("-", "NR", "no_service")
    ] * 3
    found._told[why] -= TOLD_AGAIN
    await is_reset(proxy)
    assert len([event for event in proxy.events if isinstance(event, RedirectRefused)]) == 2


async def test_what_the_kernel_knows_nothing_of_was_not_redirected(stack: MakeStack, kernel: Kernel) -> None:
    """A connection to the port itself, on a machine without any rule."""
    proxy = await behind(stack)
    kernel.meant = None
    await is_reset(proxy)
    (told,) = (event for event in proxy.events if isinstance(event, RedirectRefused))
    assert (told.why, told.meant_for) == ("not_redirected", None)


async def test_an_owner_that_is_not_known_is_somebody_else(stack: MakeStack, kernel: Kernel) -> None:
    """Where the kernel does not tell, the rules are trusted."""
    async with ScriptedPeer(greeting) as peer:
        kernel.to(peer.port)
        kernel.owner = None
        proxy = await behind(stack)
        async with proxy.app() as app:
            assert await app.reader.readline() == b"220 ready\r\n"
