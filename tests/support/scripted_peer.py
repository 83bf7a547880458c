"""An instance, or an app, that does on the wire exactly what a test says: byte for byte, and at the chosen moment."""

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from tests.support.ports import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Talk:
    """One connection as a script sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.requests: list[bytes] = []
        """Whole requests read on this connection: head and body as they came."""

    async def head(self) -> bytes:
        """The next head, with its empty line; b"" at the end."""
        try:
            return await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            return error.partial

    async def request(self) -> bytes:
        """The next whole request, recorded; b"" at the end."""
        head = await self.head()
        if head:
            head += await self.body(head)
            self.requests.append(head)
        return head

    async def body(self, head: bytes) -> bytes:
        """The body that `head` announces, as it came (chunked stays chunked)."""
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length:
            return await self.reader.readexactly(int(length[1]))
        if not re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            return b""
        taken = b""
        while True:
            line = await self.reader.readuntil(b"\n")
            size = int(line, 16)
            if not size:
                return taken + line + await self._trailers()
            taken += line + await self.reader.readexactly(size + 2)

    async def _trailers(self) -> bytes:
        taken = b""
        while not taken.endswith(b"\r\n\r\n") and taken != b"\r\n":
            taken += await self.reader.readline()
        return taken

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def serve(self, answer: bytes = OK) -> None:
        """Answers every request in the same way until the other side ends."""
        while await self.request():
            await self.send(answer)

    async def until_closed(self) -> bytes:
        """Everything that comes until the other side ends; a reset is an end, too."""
        with contextlib.suppress(ConnectionError):
            return await self.reader.read()
        return b""

    def half_close(self) -> None:
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Ends with RST."""
        reset(self.writer)

    @property
    def sock(self) -> socket.socket:
        sock: socket.socket = self.writer.get_extra_info("socket")
        return sock


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a stream with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def is_reset(sock: socket.socket) -> bool:
    """RST has come, read or not: the connection's state is CLOSE (tcp(7), TCP_INFO)."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 7


Script = Callable[[Talk], Awaitable[None]]


async def serving(talk: Talk) -> None:
    """A healthy instance."""
    await talk.serve()


async def hanging(talk: Talk) -> None:
    """Reads, and never says a word."""
    await talk.until_closed()


def answering(answer: bytes) -> Script:
    """A healthy instance with an answer of its own."""

    async def script(talk: Talk) -> None:
        await talk.serve(answer)

    return script


class ScriptedPeer:
    """A listening peer; connection N runs `scripts[N]`, later ones the last script."""

    def __init__(self, *scripts: Script, host: str = "127.0.0.1") -> None:
        self._host = host
        self.scripts: Sequence[Script] = scripts or (serving,)
        self.talks: list[Talk] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._closed = False
        self.port = 0

    @property
    def address(self) -> str:
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    @property
    def requests(self) -> list[bytes]:
        """Whole requests, of all connections, in order of connections."""
        return [request for talk in self.talks for request in talk.requests]

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self, port: int = 0) -> None:
        """Listens (again), on the port it had or on a free one."""
        self._closed = False
        self._server = await asyncio.start_server(self._met, self._host, port or self.port or free_port(), backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """From now on connects are refused; what is open stays."""
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        """Refuses, and ends every connection."""
        self._closed = True
        self.stop_listening()
        for talk in self.talks:
            talk.writer.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:  # it was accepted a moment before
            writer.close()
            return
        talk = Talk(reader, writer)
        script = self.scripts[min(len(self.talks), len(self.scripts) - 1)]
        self.talks.append(talk)
        task = asyncio.get_running_loop().create_task(self._play(script, talk))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, script: Script, talk: Talk) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await script(talk)
        talk.writer.close()


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose kernel drops every SYN: a connect hangs until its time is over."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.asynccontextmanager
async def connected(port: int, host: str = "127.0.0.1") -> AsyncIterator[Talk]:
    """The app's side of one connection."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield Talk(reader, writer)
    finally:
        if writer.transport.get_write_buffer_size():
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
