"""The gRPC face: raw-byte handlers for the two methods that Nacos clients call, and whose connection a call came on.

gRPC hides its sockets, but it tells a call's peer: one address and port is one TCP connection, which is one client.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio

from sidecar.cluster.stats import ProcessStats
from sidecar.facade.client import Client
from sidecar.facade.offers import Offer, Offers
from sidecar.facade.registry import Registry
from sidecar.facade.upstream import LARGEST, Upstreams
from sidecar.tasks import spawn
from sidecar.wire import WireError

MOST_CLIENTS = 256
"""Connections at once; an app has a handful."""

IDLE = 15.0
"""Seconds after which a connection that never opened its stream, and asks nothing, is forgotten."""

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a taken port is an error
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.max_send_message_length", -1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),  # clients may ping as often as they like
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
)

PROTOCOL = "grpc"

Context = grpc.aio.ServicerContext[bytes, bytes]


class GrpcFace:
    """One port; made and closed on the running loop."""

    def __init__(self, upstreams: Upstreams, offers: Offers, stats: ProcessStats, wall: Callable[[], float]) -> None:
        self._upstreams = upstreams
        self._offers = offers
        self._stats = stats
        self._wall = wall
        self._clients: dict[str, Client] = {}
        self._server: grpc.aio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<GrpcFace {len(self._clients)} clients>"

    def __len__(self) -> int:
        """Connections of the app."""
        return len(self._clients)

    async def open(self, host: str, port: int) -> None:
        """Binds and accepts; raises OSError where the port cannot be had."""
        server = grpc.aio.server(options=_OPTIONS)
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("Request", {"request": unary(self._unary)}),
                grpc.method_handlers_generic_handler("BiRequestStream", {"requestBiStream": stream(self._stream)}),
            )
        )
        try:
            server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except RuntimeError as error:
            raise OSError(f"gRPC port {port} cannot be had") from error
        await server.start()
        self._server = server
        self._sweep()

    async def close(self, grace: float) -> None:
        """The app's clients see their connections end; calls under way get `grace` seconds."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._server is not None:
            await self._server.stop(grace or None)
        for client in tuple(self._clients.values()):
            await client.close()
        self._clients.clear()
        self._count()

    def heed(self, offer: Offer) -> None:
        """What is in force of a service has changed."""
        for client in self._clients.values():
            client.heed(offer)

    def part_from_others(self, registry: Registry) -> None:
        """Connections to servers that are none of these end."""
        for client in self._clients.values():
            client.part_from_others(registry)

    async def _unary(self, data: bytes, context: Context) -> bytes:
        client = await self._of(context)
        client.busy += 1
        result = "failed"
        try:
            answer, result = await client.ask(data, context.time_remaining())
        except WireError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")
        finally:
            client.busy -= 1
            client.used_at = asyncio.get_running_loop().time()
            self._stats.facade_requests[PROTOCOL, result] += 1
        return answer

    async def _stream(self, requests: AsyncIterator[bytes], context: Context) -> None:
        client = await self._of(context)
        client.busy += 1
        try:
            await client.converse(requests, context.write)
        finally:
            if self._clients.get(client.name) is client:
                del self._clients[client.name]
            self._count()
            spawn(client.close(), name="façade lets a client go")
        # A stream that ends well goes unnoticed by some clients; one that breaks is opened anew by all of them.
        await context.abort(grpc.StatusCode.UNAVAILABLE, "sidecar: connect again, the registry is back")

    async def _of(self, context: Context) -> Client:
        """Whose connection it is."""
        peer: Any = context.peer()
        client = self._clients.get(peer)
        if client is None:
            if len(self._clients) >= MOST_CLIENTS:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"sidecar: more than {MOST_CLIENTS} clients")
            client = self._clients[peer] = Client(peer, self._upstreams, self._offers, self._wall)
            self._count()
        return client

    def _count(self) -> None:
        self._stats.facade_connections[PROTOCOL] = len(self._clients)

    def _sweep(self) -> None:
        """Connections without a stream end without a word."""
        loop = asyncio.get_running_loop()
        for name, client in tuple(self._clients.items()):
            if not client.busy and loop.time() - client.used_at > IDLE:
                del self._clients[name]
                spawn(client.close(), name="façade lets a client go")
        self._count()
        self._sweeping = loop.call_later(IDLE / 3, self._sweep)
