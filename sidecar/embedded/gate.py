"""The TCP gate: stands before the gRPC server and owns its clients' connections.

Why: one TCP connection is one Nacos client, but the gRPC library hides its sockets. Behind the gate every
connection has a handle that knows the client's address and can be closed, reset, or stopped from moving bytes,
which is how a killed, a crashing and a frozen server look from outside.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from sidecar import clock
from sidecar.tasks import spawn

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: close() sends RST instead of FIN."""


class Link:
    """One client connection, from the client's socket to the gRPC server's."""

    __slots__ = ("_client", "_closing", "_early", "_frozen", "_server", "_when_lost", "accepted_at", "peer")

    def __init__(self, client: asyncio.Transport, *, frozen: bool = False) -> None:
        self.peer: tuple[str, int] = client.get_extra_info("peername")[:2]
        self.accepted_at = clock.wall()
        self._when_lost: list[Callable[[], object]] = []
        self._client = client
        self._server: asyncio.Transport | None = None
        self._frozen = frozen
        self._closing = False
        self._early = bytearray()

    def __repr__(self) -> str:
        return f"<Link {self.peer[0]}:{self.peer[1]}{' frozen' * self._frozen}>"

    def when_lost(self, act: Callable[[], object]) -> None:
        """Calls `act` once the client's connection is over."""
        self._when_lost.append(act)

    def lost(self) -> None:
        for act in self._when_lost:
            act()

    def close(self) -> None:
        """FIN after what is already written; a frozen link keeps silent until it thaws."""
        self._closing = True
        if not self._frozen:
            self._client.close()

    def drop(self) -> None:
        """What the kernel does for a process that ends: unwritten bytes are lost."""
        for transport in (self._client, self._server):
            if transport is not None:
                transport.abort()

    def reset(self) -> None:
        """RST, at once."""
        if not self._client.is_closing():
            sock = self._client.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._client.abort()

    def freeze(self) -> None:
        """Moves no byte any more, in either direction."""
        self._frozen = True
        self.pause(self._client)
        self.pause(self._server)

    def thaw(self) -> None:
        """Goes on as if nothing had been."""
        self._frozen = False
        if self._closing:
            self._client.close()
        elif self._server is not None:
            self._move()

    def bridge(self, server: asyncio.Transport) -> None:
        """The way to the gRPC server is open; bytes move unless the link is frozen."""
        self._server = server
        if self._frozen:
            self.pause(server)
        else:
            self._move()

    def received(self, data: bytes) -> None:
        """From the client, to the gRPC server.

        uvloop reads on after connection_made although it was told to pause there, so bytes may come too early.
        """
        if self._server is None or self._frozen:
            self._early += data
            self.pause(self._client)
        else:
            self._server.write(data)

    def _move(self) -> None:
        if self._early and self._server is not None:
            self._server.write(bytes(self._early))
            self._early.clear()
        self.resume(self._client)
        self.resume(self._server)

    def pause(self, source: asyncio.Transport | None) -> None:
        if source is not None and not source.is_closing():
            source.pause_reading()

    def resume(self, source: asyncio.Transport | None) -> None:
        if source is not None and not source.is_closing() and not self._frozen:
            source.resume_reading()


class Gate:
    """Accepts on a socket of ours and relays to the gRPC server on `server_port` of loopback."""

    __slots__ = ("_by_port", "_empty", "_frozen", "_links", "_listener", "_server_port")

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._by_port: dict[int, Link] = {}
        self._empty = asyncio.Event()
        self._frozen = False

    def __repr__(self) -> str:
        return f"<Gate {len(self._links)} links, {'open' if self._listener else 'closed'}>"

    async def open(self, listening: socket.socket) -> None:
        """Starts to accept on a bound socket."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _ClientSide(self), sock=listening)

    async def close(self) -> None:
        """Stops to accept and drops every link, as the end of a process does; returns when all are gone."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._frozen = False
        for link in tuple(self._links):
            link.drop()
        if self._links:
            await self._empty.wait()

    def link(self, server_side_port: int) -> Link | None:
        """The link whose connection the gRPC server sees coming from that port."""
        return self._by_port.get(server_side_port)

    def reset(self) -> None:
        for link in tuple(self._links):
            link.reset()

    def freeze(self) -> None:
        """Stops all links, those to come too; the port stays open."""
        self._frozen = True
        for link in self._links:
            link.freeze()

    def thaw(self) -> None:
        self._frozen = False
        for link in tuple(self._links):
            link.thaw()

    def accepted(self, side: "_ClientSide", client: asyncio.Transport) -> Link:
        """A client connected; the way to the gRPC server is made in the background."""
        link = Link(client, frozen=self._frozen)
        self._links.add(link)
        self._empty.clear()
        spawn(self._bridge(link, side, client), name="registry-gate")
        return link

    def lost(self, link: Link, server_side_port: int | None) -> None:
        """The client's connection is over."""
        self._links.discard(link)
        link.lost()
        if server_side_port is not None:
            self._by_port.pop(server_side_port, None)
        if not self._links:
            self._empty.set()

    async def _bridge(self, link: Link, side: "_ClientSide", client: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        try:
            server, _ = await loop.create_connection(lambda: _Side(link, client), "127.0.0.1", self._server_port)
        except OSError:
            client.abort()
            return
        if client.is_closing():
            server.close()
            return
        side.other, side.server_side_port = server, server.get_extra_info("sockname")[1]
        self._by_port[side.server_side_port] = link
        link.bridge(server)


class _Side(asyncio.Protocol):
    """One half of a link: what arrives here leaves by `other`."""

    __slots__ = ("link", "other")

    def __init__(self, link: Link | None = None, other: asyncio.Transport | None = None) -> None:
        self.link = link
        self.other = other

    def data_received(self, data: bytes) -> None:
        if self.other is not None and not self.other.is_closing():  # uvloop's objects to a write once it is closed
            self.other.write(data)

    def pause_writing(self) -> None:
        if self.link is not None:
            self.link.pause(self.other)

    def resume_writing(self) -> None:
        if self.link is not None:
            self.link.resume(self.other)

    def connection_lost(self, _error: Exception | None) -> None:
        if self.other is not None:
            self.other.close()


class _ClientSide(_Side):
    __slots__ = ("_gate", "server_side_port")

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate
        self.server_side_port: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        client = cast("asyncio.Transport", transport)
        client.pause_reading()
        # asyncio sets this itself only on sockets that were made with IPPROTO_TCP, not on accepted ones.
        client.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.link = self._gate.accepted(self, client)

    def data_received(self, data: bytes) -> None:
        if self.link is not None:
            self.link.received(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.link is not None:
            self._gate.lost(self.link, self.server_side_port)
        super().connection_lost(error)
