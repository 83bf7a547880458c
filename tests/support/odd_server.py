"""An HTTP server that answers each path with bytes of the test's choice, HTTP or not, or never."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from sidecar.discovery.options import Server


def answer(status: str, body: str = "") -> bytes:
    """A whole answer; `status` is code and phrase."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


class OddServer:
    """`seen` holds the head and body of each request as they came."""

    def __init__(self, answers: Mapping[str, bytes | None]) -> None:
        self.answers = dict(answers)
        self.seen: list[str] = []
        self._serving: set[asyncio.Task[None] | None] = set()
        self.server = Server("127.0.0.1", 0, 0)

    async def asked(self) -> bool:
        """Whether a whole request has come."""
        return bool(self.seen)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection; None is never answered, an unknown path is 404."""
        self._serving.add(asyncio.current_task())
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()

    async def close(self) -> None:
        """Ends what is still waited for."""
        serving = [task for task in self._serving if task is not None]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length")), 0
            )
            self.seen.append(head + (await reader.readexactly(length)).decode())
            reply = self.answers.get(head.split()[1].partition("?")[0], answer("404 Not Found"))
            if reply is None:
                await reader.read()
            else:
                writer.write(reply)


@contextlib.asynccontextmanager
async def odd_server(answers: Mapping[str, bytes | None]) -> AsyncIterator[OddServer]:
    """Serves on a free port."""
    odd = OddServer(answers)
    listening = await asyncio.start_server(odd.serve, "127.0.0.1", 0)
    odd.server = Server("127.0.0.1", listening.sockets[0].getsockname()[1], 1)
    try:
        yield odd
    finally:
        listening.close()
        await odd.close()
