"""Ports that the app connects to."""

import asyncio
import contextlib
import errno
import socket

import pytest

from sidecar.cluster.policy import ServicePolicy
from sidecar.proxy.descriptors import lowest_free
from sidecar.proxy.listener import Listener, SharedEntrance
from sidecar.proxy.routing import Router
from tests.support.scripted_peer import ScriptedPeer, connected
from tests.support.stack import GET, MakeStack, ask, begin, call, until


async def test_port_0_is_shown_as_bound(stack: MakeStack) -> None:
    """`bound` is what the kernel gave; None before and after."""
    proxy = stack()
    assert proxy.listener.bound is None
    await proxy.open()
    assert proxy.listener.configured == "127.0.0.1:0"
    assert proxy.port > 0
    assert repr(proxy.listener) == f"<Listener orders 127.0.0.1:{proxy.port}>"
    proxy.listener.close_listening()
    assert proxy.listener.bound is None


async def test_an_address_that_is_taken_is_an_error(stack: MakeStack) -> None:
    """open() raises, and leaves nothing open."""
    proxy = stack()
    await proxy.open()
    second = Listener("second", f"127.0.0.1:{proxy.port}", proxy.listener.entrance, proxy.runtime)
    with pytest.raises(OSError, match="in use"):
        await second.open()
    assert second.bound is None


async def test_what_is_accepted_sends_small_writes_at_once_and_finds_dead_hosts(stack: MakeStack) -> None:
    """The options of the listening socket are those of each connection."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            assert (await ask(app)).status == 200
            (connection,) = proxy.runtime.connections
            sock = connection.sock  # type: ignore[attr-defined]
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


async def test_connections_of_a_closed_listener_finish(stack: MakeStack) -> None:
    """New ones are refused, open ones serve on."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        port = proxy.port
        async with proxy.app() as app:
            assert (await ask(app)).status == 200
            proxy.listener.close_listening()
            assert (await ask(app)).status == 200
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)


async def test_who_is_in_the_queue_of_a_listener_that_closes_is_served(stack: MakeStack) -> None:
    """The kernel has accepted them for us: to close would reset them."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        with contextlib.ExitStack() as several:
            apps = [several.enter_context(socket.create_connection(("127.0.0.1", proxy.port))) for _ in range(100)]
            for app in apps:
                app.sendall(GET)
            proxy.listener.close_listening()
            await until(lambda: len(peer.requests) == 100)
            for app in apps:
                app.setblocking(False)
                assert (await proxy.loop.sock_recv(app, 1024)).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.http("H-12", "H-65")
async def test_the_shared_listener_routes_by_host(stack: MakeStack) -> None:
    """By Host or absolute-form target; no match is 502 NR, counted apart from services."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        router = Router({"orders": proxy.upstream, "*.svc": proxy.upstream})
        shared = Listener("shared", "127.0.0.1:0", SharedEntrance(router, ServicePolicy(name="-")), proxy.runtime)
        await shared.open()
        port = int((shared.bound or "").rpartition(":")[2])
        async with connected(port) as app:
            assert (await ask(app)).status == 200
            assert proxy.runtime.stats.unrouted.app_connections == 1
            assert (await ask(app, GET.replace(b"orders", b"A.Svc:80"))).status == 200
            assert (await ask(app, b"GET http://orders/x HTTP/1.1\r\nHost: other\r\n\r\n")).status == 200
            answer = await ask(app, GET.replace(b"orders", b"other"))
            assert (answer.status, answer.error) == (502, "NR no_service attempts=0")
        assert peer.requests[2].startswith(b"GET /x HTTP/1.1\r\nHost: orders\r\n")
        assert proxy.runtime.stats.unrouted.requests == {(502, "NR"): 1}
        assert (proxy.records[-1].service, proxy.records[-1].bytes_sent) == ("-", 34)
        shared.close_listening()


class Short:
    """A listening socket that runs out of descriptors once."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.failures = 0

    def accept(self) -> tuple[socket.socket, object]:
        if not self.failures:
            self.failures += 1
            raise OSError(errno.EMFILE, "too many open files")
        return self._sock.accept()

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)


async def test_accepting_pauses_when_descriptors_run_out_and_recovers(stack: MakeStack) -> None:
    """Nobody who knocks meanwhile is lost."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        assert proxy.listener._sock is not None
        short = Short(proxy.listener._sock)
        proxy.listener._sock = short  # type: ignore[assignment]
        assert (await call(proxy)).status == 200
        assert short.failures == 1


async def test_the_last_descriptors_are_not_for_apps(stack: MakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who came before the mark is served, who comes then when somebody has left."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        assert proxy.listener._sock is not None
        async with proxy.app() as first, proxy.app() as second:
            await until(lambda: len(proxy.runtime.connections) == 2)
            monkeypatch.setattr(proxy.listener, "_full", lowest_free(proxy.listener._sock) + 1)
            async with proxy.app() as third, proxy.app() as late:
                await until(lambda: len(proxy.runtime.connections) == 3)
                assert [(await ask(app)).status for app in (first, second, third)] == [200] * 3
                asked = begin(ask(late))
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(asked), 0.3)
                for app in (first, second):
                    app.close()
                assert (await asked).status == 200
