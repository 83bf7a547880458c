"""A gRPC server that keeps every byte it is sent, and says exactly what a test wants said."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self, cast

import grpc
import grpc.aio

from sidecar.facade.answers import checked
from sidecar.wire import encode, kind_of

Context = grpc.aio.ServicerContext[bytes, bytes]


class RawRegistry:
    """Answers ServerCheck; everything else as told."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.said: list[bytes] = []
        """On streams."""
        self.answer = b""
        self.port = 0
        self._to_say: asyncio.Queue[bytes] = asyncio.Queue()
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("Request", {"request": unary(self._unary)}),
                grpc.method_handlers_generic_handler("BiRequestStream", {"requestBiStream": stream(self._stream)}),
            )
        )

    async def __aenter__(self) -> Self:
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._server.stop(None)

    def say(self, data: bytes) -> None:
        """On the next stream that is open."""
        self._to_say.put_nowait(data)

    async def _unary(self, data: bytes, _context: Context) -> bytes:
        if kind_of(data) == "ServerCheckRequest":
            return encode(checked("raw"))
        self.asked.append(data)
        return self.answer

    async def _stream(self, requests: AsyncIterator[bytes], context: Context) -> None:
        async def listen() -> None:
            async for data in requests:
                self.said.append(data)

        listening = asyncio.get_running_loop().create_task(listen())
        try:
            while True:
                await context.write(await self._to_say.get())
        finally:
            listening.cancel()


class RawClient:
    """One connection that sends bytes, and gets them."""

    def __init__(self, port: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        self._channel = cast("Any", grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options))
        self.ask: Any = self._channel.unary_unary("/Request/request")
        self.stream: Any = None

    def open(self) -> None:
        """The stream."""
        self.stream = self._channel.stream_stream("/BiRequestStream/requestBiStream")()

    async def close(self) -> None:
        if self.stream is not None:
            self.stream.cancel()
        await self._channel.close()
