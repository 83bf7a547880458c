"""A dial that fails says how, in the words of the table."""

import asyncio
import errno
import socket
from pathlib import Path

import pytest

from sidecar.errors import FAILURES
from sidecar.proxy import connect
from sidecar.proxy.sockets import BLACK_HOLE_MS, end_writing, reset_on_close
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, full_backlog
from tests.support.stack import until


def descriptors() -> int:
    """Open ones of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_listener_is_connected_and_a_probe_hangs_up() -> None:
    """None is success; the peer sees a connection without a byte."""
    async with ScriptedPeer() as peer:
        assert await connect.probe("127.0.0.1", peer.port, 1.0) is None
        await until(lambda: bool(peer.talks) and peer.talks[0].reader.at_eof())
        assert peer.requests == []


async def test_a_probe_is_over_when_its_connection_is_closed() -> None:
    """So that the next one never meets it: the process has as many descriptors as before."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = descriptors()
        assert await connect.probe("127.0.0.1", listener.getsockname()[1], 1.0) is None
        assert descriptors() == before


async def test_a_closed_port_refuses() -> None:
    """The promise that nothing was sent."""
    assert await connect.probe("127.0.0.1", free_port(), 1.0) is FAILURES["refused"]


@pytest.mark.virtual_time
async def test_a_black_hole_times_out() -> None:
    """Within the limit, whatever the kernel would do."""
    loop = asyncio.get_running_loop()
    with full_backlog() as port:
        began = loop.time()
        assert await connect.probe("127.0.0.1", port, 0.15) is FAILURES["connect_timeout"]
        assert loop.time() - began < 1.0


async def test_an_address_without_a_route_is_unreachable() -> None:
    """So is an address family that this host lacks, or a name that does not resolve."""
    assert await connect.probe("127.0.0.1", 0, 1.0) in {FAILURES["refused"], FAILURES["unreachable"]}
    assert await connect.probe("255.255.255.255", 80, 1.0) is FAILURES["unreachable"]


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".local", "", "a b"])
async def test_a_host_that_can_be_no_name_is_unreachable(host: str) -> None:
    """The registry hands on whatever was registered; an empty label or one over 63 bytes is refused before DNS."""
    assert await connect.probe(host, 80, 1.0) in {FAILURES["unreachable"], FAILURES["refused"]}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), "refused"),
        (ConnectionResetError(errno.ECONNRESET, ""), "refused"),
        (OSError(errno.EINVAL, ""), "refused"),
        (TimeoutError(), "connect_timeout"),
        (TimeoutError(errno.ETIMEDOUT, ""), "connect_timeout"),
        (OSError(errno.EHOSTUNREACH, ""), "unreachable"),
        (OSError(errno.ENETUNREACH, ""), "unreachable"),
        (OSError(errno.EMFILE, ""), "too_many_connections"),
        (OSError(errno.EADDRNOTAVAIL, ""), "too_many_connections"),
        (socket.gaierror(-2, ""), "unreachable"),
        (UnicodeError(), "unreachable"),
    ],
)
def test_every_error_has_a_row(error: Exception, reason: str) -> None:
    """Our own shortage is never the instance's fault."""
    assert connect.failure_of(error) is FAILURES[reason]


def test_the_end_of_a_connection_has_a_row() -> None:
    """FIN is `closed`, everything else `reset`."""
    assert connect.lost(None) is FAILURES["closed"]
    assert connect.lost(ConnectionResetError()) is FAILURES["reset"]


async def test_the_socket_is_tuned_for_small_writes_and_dead_hosts() -> None:
    """No delay, keep-alive probes, and a limit for unacknowledged bytes."""

    class Made(asyncio.Protocol):
        def __init__(self, sock: socket.socket) -> None:
            self.sock = sock
            self.transport: asyncio.BaseTransport | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

    async with ScriptedPeer() as peer:
        made = await connect.dial("127.0.0.1", peer.port, 1.0, Made)
        sock = made.sock
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == BLACK_HOLE_MS
        assert made.transport is not None
        made.transport.close()
        await asyncio.sleep(0)


async def test_an_end_may_be_said_to_a_peer_that_has_reset() -> None:
    """The loop has not seen it yet, and nothing breaks off in the middle of what it was doing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.getsockname())
        transport.pause_reading()
        peer, _ = server.accept()
        reset_on_close(peer)
        peer.close()
        for _ in range(2):
            end_writing(transport)
        transport.abort()
        end_writing(transport)
