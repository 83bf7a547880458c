"""Requests to the HTTP interface of the real servers: one connection each, to the first that takes it.

Why no pool: a client of 1.x asks now and then, and on a connection of its own no request is ever lost to a server that
closed an idle one. Until it is connected nothing was sent, so a server that refuses costs nothing but a try.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.facade.http1 import LARGEST_HEAD, Event, NotHttpError, ResponseReader
from sidecar.facade.registry import Node, Registry

CONNECT_LIMIT = 1.0
"""Seconds for each server."""

SILENCE = 90.0
"""Seconds without a byte of an answer; the longest that clients ask to wait is half a minute."""

_PIECE = 64 * 1024


class AwayError(Exception):
    """No server can be reached; nothing was sent."""


class Exchange:
    """One request to one server, and its answer as it comes."""

    def __init__(self, node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str) -> None:
        self.node = node
        self._reader = reader
        self._writer = writer
        self._answer = ResponseReader(method)
        self.raw = b""
        """What came, until it could be read as the head of an answer."""

    async def send(self, data: bytes) -> None:
        """Some more of the request; raises OSError."""
        self._writer.write(data)
        await self._writer.drain()

    async def events(self) -> AsyncIterator[Event]:
        """Head, pieces, end. Raises NotHttpError, OSError or TimeoutError where the answer is none, or is cut."""
        while True:
            while (event := self._answer.next()) is not None:
                yield event
            if self._answer.complete:
                return
            data = await self.more()
            if not self._answer.headed:
                self.raw += data
            if data:
                self._answer.feed(data)
            else:
                self._answer.end()
            if not self._answer.headed and len(self.raw) > LARGEST_HEAD:
                raise NotHttpError(f"a head of more than {LARGEST_HEAD} bytes")

    async def more(self) -> bytes:
        """Bytes as they come; empty at the end."""
        async with asyncio.timeout(SILENCE):
            return await self._reader.read(_PIECE)

    def close(self) -> None:
        """Whatever is under way is over."""
        self._writer.transport.abort()


class HttpNodes:
    """Opens exchanges; the context of TLS is made once."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._context: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"<HttpNodes of {self.registry!r}>"

    @asynccontextmanager
    async def exchange(self, method: str) -> AsyncIterator[Exchange]:
        """With the first server that takes the connection; raises AwayError where none does."""
        for node in self.registry.in_turn():
            try:
                async with asyncio.timeout(CONNECT_LIMIT):
                    reader, writer = await self._connected(node)
            except (OSError, TimeoutError):
                self.registry.failed(node)
                continue
            exchange = Exchange(node, reader, writer, method)
            try:
                yield exchange
            finally:
                exchange.close()
            return
        raise AwayError

    async def _connected(self, node: Node) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls = self.registry.tls
        if tls is None or tls.context is None:
            return await asyncio.open_connection(node.host, node.port)
        if self._context is None:
            try:
                self._context = await asyncio.to_thread(tls.context)
            except Exception as error:
                raise OSError("no TLS with these files") from error
        return await asyncio.open_connection(
            node.host, node.port, ssl=self._context, server_hostname=tls.server_name or node.host
        )


async def whole(exchange: Exchange, limit: int) -> tuple[Event, bytes]:
    """The head of its answer, and all of the body, of at most `limit` bytes; raises as `events` does."""
    head: Event | None = None
    pieces: list[bytes] = []
    size = 0
    async for event in exchange.events():
        if isinstance(event, bytes):
            size += len(event)
            if size > limit:
                raise NotHttpError(f"more than {limit} bytes")
            pieces.append(event)
        elif head is None:
            head = event
    if head is None:
        raise NotHttpError("no answer")
    return head, b"".join(pieces)
