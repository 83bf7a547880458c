"""A relay between a registry and the sidecar that can lie about lists, where a real server cannot be made to.

    async with lying(server.http_port) as liar:
        run(registry=liar.address)
        await liar.lie(lambda hosts: [])        # pushed at once, and in every answer from now on
        await liar.confess()                    # the truth again, pushed at once

Every connection of the client has one of its own to the server, since a server tells clients by their connections.
What the client says passes untouched, what the server says too, but for lists. HTTP passes as bytes.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import grpc.aio

from sidecar.tasks import spawn
from sidecar.wire import Payload, decode, dump, encode
from tests.support.relay import Relay

_GRPC = 1000
_END: Any = grpc.aio.EOF  # type: ignore[attr-defined] # missing in the stubs
_PUSH = "NotifySubscriberRequest"
_LISTS = frozenset({_PUSH, "SubscribeServiceResponse", "QueryServiceResponse"})
_OWN = "of-the-liar-"
"""How the ids of our own pushes begin; nobody else wants their acknowledgement."""

_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]

Hosts = list[dict[str, Any]]
Lie = Callable[[Hosts], Hosts]
Context = grpc.aio.ServicerContext[bytes, bytes]


class Liar:
    """`address` is what the client is given."""

    def __init__(self, server_port: int, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self._server_port = server_port
        self._lie: Lie | None = None
        self._truth: dict[str, dict[str, Any]] = {}
        """The latest true `serviceInfo` of each service."""
        self._ways: dict[str, _Way] = {}
        self._numbers = itertools.count()
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        unary = grpc.unary_unary_rpc_method_handler(self._unary)
        stream = grpc.stream_stream_rpc_method_handler(self._stream)
        self._server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler("Request", {"request": unary}),
            grpc.method_handlers_generic_handler("BiRequestStream", {"requestBiStream": stream}),
        ))  # fmt: skip

    async def lie(self, lie: Lie) -> None:
        """`lie` makes a list out of the true one."""
        self._lie = lie
        await self._push()

    async def freeze(self) -> None:
        """The list of the one service stays as it is now."""
        (info,) = self._truth.values()
        hosts = info["hosts"]
        self._lie = lambda _: hosts

    async def confess(self) -> None:
        self._lie = None
        await self._push()

    async def open(self) -> None:
        self._server.add_insecure_port(f"127.0.0.1:{self._port + _GRPC}")
        await self._server.start()

    async def close(self) -> None:
        await self._server.stop(grace=None)
        for way in self._ways.values():
            await way.channel.close()

    async def _push(self) -> None:
        for info in self._truth.values():
            fields = {"headers": {}, "requestId": f"{_OWN}{next(self._numbers)}", "module": "naming"}
            payload = Payload(_PUSH, dump({**fields, "serviceInfo": info}))
            for way in self._ways.values():
                way.to_client.put_nowait(encode(self._told(payload)))

    def _told(self, payload: Payload) -> Payload:
        """What the client hears of it; notes what is true."""
        if payload.type not in _LISTS:
            return payload
        body = json.loads(payload.body)
        info = body.get("serviceInfo") or {}
        if info.get("hosts") is None:
            return payload
        self._truth[info["name"]] = info
        if self._lie is None:
            return payload
        told = {**info, "hosts": self._lie(info["hosts"])}
        return Payload(payload.type, dump({**body, "serviceInfo": told}), payload.headers, payload.client_ip)

    def _way(self, peer: str) -> "_Way":
        if peer not in self._ways:
            self._ways[peer] = _Way(self._server_port)
        return self._ways[peer]

    async def _unary(self, data: bytes, context: Context) -> bytes:
        try:
            answer = await self._way(context.peer()).ask(data)
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")
        return encode(self._told(decode(answer)))

    async def _stream(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        peer = context.peer()  # asked later, when the call is over, the library may crash the process
        way = self._way(peer)
        saying = spawn(way.pass_on(requests), name="liar: to the server")
        hearing = spawn(way.listen(self._told), name="liar: to the client")
        try:
            while (data := await way.to_client.get()) is not None:
                yield data
        finally:
            saying.cancel()
            hearing.cancel()
            del self._ways[peer]
            await way.channel.close()


class _Way:
    """One connection of the client, continued."""

    def __init__(self, port: int) -> None:
        self.channel = cast("Any", grpc.aio.insecure_channel(f"127.0.0.1:{port + _GRPC}", options=_OPTIONS))
        self.ask = self.channel.unary_unary("/Request/request")
        self.to_client: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._stream: Any = self.channel.stream_stream("/BiRequestStream/requestBiStream")()

    async def pass_on(self, requests: AsyncIterator[bytes]) -> None:
        """What the client says, but for what nobody asked it."""
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            async for data in requests:
                if _OWN.encode() not in data:
                    await self._stream.write(data)

    async def listen(self, told: Callable[[Payload], Payload]) -> None:
        """What the server says, until it ends."""
        with suppress(grpc.aio.AioRpcError):
            while (data := await self._stream.read()) is not _END:
                self.to_client.put_nowait(encode(told(decode(data))))
        self.to_client.put_nowait(None)


@asynccontextmanager
async def lying(server_port: int) -> AsyncIterator[Liar]:
    """Before the server whose HTTP port this is; honest at first."""
    relay = Relay(server_port, ports=(0,))
    liar = Liar(server_port, relay.port)
    await relay.mend()
    await liar.open()
    try:
        yield liar
    finally:
        relay.cut()
        await liar.close()
