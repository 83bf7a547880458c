"""A real Redis, and a client for what no client library would do: half-close, and replies that nobody reads."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.needs import find
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.until import until


class Redis:
    """One server, which keeps what it is told in a file; it may be started anew on its port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        folder.mkdir()
        self.child: Child

    async def start(self) -> None:
        """Returns when it answers."""
        self.child = Child(
            [
                *(str(find("redis-server")), "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--appendonly", "yes", "--dir", str(self._folder)),
            ],
            log=self._folder / "redis.log",
        )

        async def there() -> bool:
            with contextlib.suppress(OSError):
                return await tell(self.port, "PING") == b"+PONG\r\n"
            return False

        await until(there)


async def tell(port: int, *words: str) -> bytes:
    """One command over a connection of its own; the first line of the reply."""
    async with conversation(port) as (reader, writer):
        writer.write(command(*words))
        return await reader.readline()


def command(*words: str) -> bytes:
    """As clients write it."""
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


@contextlib.asynccontextmanager
async def conversation(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
