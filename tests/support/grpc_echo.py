"""A real gRPC server and its client's side, without generated code."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, ClassVar, Self

import grpc
import grpc.aio

from tests.support.ports import free_port
from tests.support.until import settled

PIECE = b"x" * (64 << 10)


class GrpcEcho:
    """Says its name, says back what it hears, and pours without end."""

    NAME: ClassVar[str] = "/Echo/Name"
    CHAT: ClassVar[str] = "/Echo/Chat"
    POUR: ClassVar[str] = "/Echo/Pour"
    OPTIONS: ClassVar[tuple[tuple[str, int], ...]] = (
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.use_local_subchannel_pool", 1),
    )

    def __init__(self, name: str) -> None:
        self.port = free_port()
        self.poured = 0
        """Pieces that have left it."""
        self._name = name.encode()
        self._server: Any = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(None)

    async def start(self) -> None:
        """On its port, anew after `stop`."""
        self._server = grpc.aio.server(options=(*self.OPTIONS, ("grpc.so_reuseport", 0)))
        methods = {
            "Name": grpc.unary_unary_rpc_method_handler(self._say_name),
            "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
            "Pour": grpc.unary_stream_rpc_method_handler(self._pour),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Echo", methods),))
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """In order: what is asked is answered, clients are told to go."""
        await self._server.stop(grace=60.0)

    async def _say_name(self, request: bytes, context: Any) -> bytes:
        del request, context
        return self._name

    async def _chat(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        del context
        async for request in requests:
            yield request
        yield b"end"

    async def _pour(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        del request, context
        while True:
            yield PIECE
            self.poured += 1


def channel_to(port: int) -> Any:
    """A client, to be left by `async with`."""
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=GrpcEcho.OPTIONS)


async def chatting(channel: Any, words: Iterable[bytes]) -> list[bytes]:
    """What is said back: to each word at once, and after the last one."""
    chat = channel.stream_stream(GrpcEcho.CHAT)()
    heard = []
    for word in words:
        await chat.write(word)
        heard.append(await chat.read())
    await chat.done_writing()
    while isinstance(word := await chat.read(), bytes):
        heard.append(word)
    return heard


async def slowly_read(channel: Any, server: GrpcEcho) -> None:
    """Reads until the server has to wait, then on: it goes on, too."""
    stream = channel.unary_stream(GrpcEcho.POUR)(b"")
    assert await stream.read() == PIECE
    held = await _at_rest(server)
    for _ in range(held + 10):
        assert await stream.read() == PIECE
    await settled(lambda: server.poured > held)
    stream.cancel()


async def _at_rest(server: GrpcEcho) -> int:
    """How many pieces left it before it had to wait."""
    while True:
        seen = server.poured
        await asyncio.sleep(0.5)
        if server.poured == seen:
            return seen
