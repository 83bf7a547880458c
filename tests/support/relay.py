"""A wire between a client of the registry and the registry, that knows when which bytes passed, and can be cut.

Both ports of the server have their counterpart here, so a client takes the relay for the server. Pushes are plain
text on the wire: one is recognised by the name of its message and by something that it alone holds.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

from sidecar import clock
from tests.support.ports import free_port
from tests.support.until import until

_GRPC = 1000
"""Distance of the gRPC port from the HTTP port."""

_PUSH = b"NotifySubscriberRequest"


class Relay:
    """Listens on `address` for as long as the block of `relayed` lasts, but for the time that it is cut."""

    def __init__(self, server_port: int, *, ports: Sequence[int] = (0, _GRPC)) -> None:
        """`ports`: which of the two, by their distance from the first."""
        self.port = free_port((0, _GRPC))
        self._server_port = server_port
        self._ports = ports
        self._passed: list[tuple[float, bytes]] = []
        self._open: set[asyncio.Transport] = set()
        self._servers: list[asyncio.Server] = []

    @property
    def address(self) -> str:
        """What the sidecar is given as server address."""
        return f"127.0.0.1:{self.port}"

    async def push_with(self, mark: bytes) -> float:
        """Wall time at which the first push that holds `mark` went to the sidecar, just before it was written."""
        found: list[float] = []

        async def passed() -> bool:
            found.extend(at for at, data in self._passed if _PUSH in data and mark in data)
            return bool(found)

        await until(passed, pause=0.02)
        return found[0]

    def mark(self) -> int:
        """Now, for `has_passed`."""
        return len(self._passed)

    def has_passed(self, mark: bytes, *, since: int) -> bool:
        """Whether bytes with `mark` have gone to the sidecar since then."""
        return any(mark in data for _, data in self._passed[since:])

    async def next_with(self, mark: bytes) -> None:
        """Returns when bytes with `mark` have gone to the sidecar from now on."""
        known = self.mark()

        async def passed() -> bool:
            return self.has_passed(mark, since=known)

        await until(passed, pause=0.02)

    def passing(self, data: bytes) -> None:
        """Called before the bytes are written."""
        self._passed.append((clock.wall(), data))

    async def mend(self) -> None:
        """Listens, again."""
        self._servers = [await self._listen(offset) for offset in self._ports]

    def cut(self) -> None:
        """Connections are closed, and new ones refused."""
        for server in self._servers:
            server.close()
        for transport in self._open.copy():
            transport.abort()

    async def _listen(self, offset: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: _Near(self._server_port + offset, self.passing, self._open), "127.0.0.1", self.port + offset
        )


@asynccontextmanager
async def relayed(server_port: int) -> AsyncIterator[Relay]:
    """A relay before the server whose HTTP port this is."""
    relay = Relay(server_port)
    await relay.mend()
    try:
        yield relay
    finally:
        relay.cut()


class _Near(asyncio.Protocol):
    """The side of the client; what comes before the far side is there waits."""

    def __init__(self, port: int, passing: Callable[[bytes], None], siblings: set[asyncio.Transport]) -> None:
        self._port = port
        self._passing = passing
        self._siblings = siblings
        self._own: asyncio.Transport | None = None
        self._far: asyncio.Transport | None = None
        self._early = b""
        self._dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._own = near = cast("asyncio.Transport", transport)
        self._siblings.add(near)
        self._dialling = asyncio.get_running_loop().create_task(self._dial(near))

    def data_received(self, data: bytes) -> None:
        if self._far is None:
            self._early += data
        elif not self._far.is_closing():
            self._far.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._own is not None:
            self._siblings.discard(self._own)
        if self._far is not None:
            self._far.close()

    async def _dial(self, near: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        try:
            far, _ = await loop.create_connection(lambda: _Far(near, self._passing), "127.0.0.1", self._port)
        except OSError:
            near.abort()
            return
        self._far = far
        far.write(self._early)
        if near.is_closing():
            far.close()


class _Far(asyncio.Protocol):
    """The side of the server."""

    def __init__(self, near: asyncio.Transport, passing: Callable[[bytes], None]) -> None:
        self._near = near
        self._passing = passing

    def data_received(self, data: bytes) -> None:
        if not self._near.is_closing():
            self._passing(data)
            self._near.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._near.close()
