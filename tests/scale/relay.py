"""What a sidecar and its registry say to each other, in bytes: a relay between the two that counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from functools import partial

from sidecar.tasks import spawn

_OFFSETS = (0, 1000)
"""HTTP, and gRPC beside it."""


@dataclass(slots=True)
class Traffic:
    """So far, all connections together."""

    to_registry: int = 0
    to_sidecar: int = 0

    @property
    def total(self) -> int:
        """Both ways."""
        return self.to_registry + self.to_sidecar

    def since(self, before: "Traffic") -> "Traffic":
        """What came between two looks."""
        return Traffic(self.to_registry - before.to_registry, self.to_sidecar - before.to_sidecar)

    def copy(self) -> "Traffic":
        """As it is at this moment."""
        return self.since(Traffic())


class Relay:
    """Listens at `port` and beside it, and carries everything to `target` and beside that."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.traffic = Traffic()
        self.tasks: set[asyncio.Task[None]] = set()
        """One for each connection that is open."""
        self._target = target

    def accept(self, offset: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection to the port at this distance from the first."""
        task = spawn(self._carry(offset, reader, writer), name="relay")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _carry(self, offset: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError):
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._target + offset)
            with closing(other_writer):
                upwards = spawn(self._pass(reader, other_writer, up=True), name="to registry")
                try:
                    await self._pass(other_reader, writer, up=False)
                finally:
                    upwards.cancel()
                    await asyncio.gather(upwards, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if up:
                    self.traffic.to_registry += len(data)
                else:
                    self.traffic.to_sidecar += len(data)
                writer.write(data)
                await writer.drain()
            writer.close()


@asynccontextmanager
async def relay(port: int, target: int) -> AsyncIterator[Relay]:
    """Open for as long as the block lasts."""
    carrying = Relay(port, target)
    servers = [
        await asyncio.start_server(partial(carrying.accept, offset), "127.0.0.1", port + offset) for offset in _OFFSETS
    ]
    try:
        yield carrying
    finally:
        for server in servers:
            server.close()
        for task in carrying.tasks:
            task.cancel()
        await asyncio.gather(*carrying.tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was closed goes in the next turn
