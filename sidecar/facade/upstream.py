"""A gRPC connection to a real server, one for each of the app's: the registry takes a connection for a client.

**Which server:** the first that is connected within a second and answers ServerCheck with what it is; one that says it
is starting does as little as one that is down.

**When none does:** `back` waits until one does again, for all who wait in one go.
"""

import asyncio
from contextlib import suppress
from typing import Any, cast

import grpc
import grpc.aio

from sidecar.facade.registry import Node, Registry
from sidecar.tasks import spawn
from sidecar.wire import Payload, WireError, encode, kind_of

LARGEST = 32 << 20
"""Bytes of a message: lists have megabytes, configurations ten at most."""

CONNECT_LIMIT = 1.0
CHECK_LIMIT = 1.0
"""Seconds for each server."""

OPEN_LIMIT = 2.0
"""Seconds for all of them: the app gives ours three. Those that were not reached come first the next time."""

RETRY_LOW, RETRY_HIGH = 0.25, 2.0
"""Seconds between two looks for a server, doubling, ±20 %."""

SERVER_CHECK = encode(Payload("ServerCheckRequest", b'{"module":"internal"}'))

_OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a TCP connection of its own
    ("grpc.enable_retries", 0),  # whether a request may be repeated is the app's to know
    ("grpc.enable_http_proxy", 0),
)

_DECIDED = {
    grpc.ChannelConnectivity.READY,
    grpc.ChannelConnectivity.TRANSIENT_FAILURE,
    grpc.ChannelConnectivity.SHUTDOWN,
}


class Upstream:
    """One connection to one server."""

    def __init__(self, node: Node, channel: grpc.aio.Channel) -> None:
        self.node = node
        self._channel = cast("Any", channel)
        self._request = self._channel.unary_unary("/Request/request")

    def __repr__(self) -> str:
        return f"<Upstream {self.node}>"

    async def ask(self, data: bytes, limit: float | None) -> bytes:
        """The answer within so many seconds; raises grpc.aio.AioRpcError."""
        answer: bytes = await self._request(data, timeout=limit)
        return answer

    def stream(self) -> Any:
        """A call of `read` and `write`."""
        return self._channel.stream_stream("/BiRequestStream/requestBiStream")()

    async def close(self) -> None:
        """Its server takes the client for gone."""
        with suppress(Exception):  # a half-open channel may object; it is gone either way
            await self._channel.close()


class Upstreams:
    """Opens them, and knows when there is no server to open one to."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._looking: asyncio.Task[None] | None = None

    async def open(self, check: bytes = SERVER_CHECK) -> tuple[Upstream, bytes] | None:
        """A connection and what its server answered to `check`; None when there is no server."""
        with suppress(TimeoutError):
            async with asyncio.timeout(OPEN_LIMIT):
                for node in self.registry.in_turn():
                    self.registry.failed(node)  # until it has shown otherwise
                    found = await self._open(node, check)
                    if found is not None:
                        self.registry.took(node)
                        return found
        return None

    async def back(self) -> None:
        """Returns when a server takes clients."""
        if self._looking is None or self._looking.done():
            self._looking = spawn(self._look(), name="façade looks for the registry")
        await asyncio.shield(self._looking)

    def close(self) -> None:
        """Whoever waits for `back` waits no longer."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        pause = RETRY_LOW
        while (found := await self.open()) is None:
            await asyncio.sleep(pause * (0.8 + 0.4 * self.registry.rng.random()))
            pause = min(pause * 2, RETRY_HIGH)
        await found[0].close()

    async def _open(self, node: Node, check: bytes) -> tuple[Upstream, bytes] | None:
        channel = await self._channel(node)
        if channel is None:
            return None
        upstream = Upstream(node, channel)
        taken = False
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                await _decided(channel)
            answer = await upstream.ask(check, CHECK_LIMIT)
            taken = kind_of(answer) == "ServerCheckResponse"
        except (TimeoutError, grpc.aio.AioRpcError, WireError):
            return None
        finally:
            if not taken:
                await upstream.close()
        return (upstream, answer) if taken else None

    async def _channel(self, node: Node) -> grpc.aio.Channel | None:
        """Plain or in TLS; None where that cannot be had."""
        tls = self.registry.tls
        if tls is None:
            return grpc.aio.insecure_channel(node.grpc_target, options=_OPTIONS)
        try:
            trust = await tls.trust(node)
        except Exception:  # noqa: BLE001 - whatever the files or the server are: told where lists are fetched
            return None
        credentials = grpc.ssl_channel_credentials(trust.roots, trust.key, trust.chain)
        name = (("grpc.ssl_target_name_override", trust.name),) if trust.name else ()
        return grpc.aio.secure_channel(node.grpc_target, credentials, options=(*_OPTIONS, *name))


async def _decided(channel: grpc.aio.Channel) -> None:
    """Returns when it is connected, or cannot be."""
    state = channel.get_state(try_to_connect=True)
    while state not in _DECIDED:
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)
