"""The data path without a network: one app, some instances, requests that go straight over pooled connections.

What is left is our own work for a request, the same each time, so that it can be counted.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable, Sequence
from random import Random
from typing import cast

from sidecar.cluster.addresses import Addresses
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import ServicePolicy
from sidecar.proxy.http1.downstream import AppConnection, WayIn
from sidecar.proxy.http1.upstream import InstanceConnection
from sidecar.proxy.listener import OwnEntrance, SharedEntrance
from sidecar.proxy.routing import Router
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.unnamed import Unnamed
from sidecar.proxy.upstream import Upstream

REQUEST = (
    b"GET /orders/7 HTTP/1.1\r\nHost: orders\r\nAccept: application/json\r\nUser-Agent: okhttp/4.9.3\r\n"
    b"Accept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n"
)
BY_ADDRESS = (
    b"GET http://127.0.0.1:82/orders/7 HTTP/1.1\r\nHost: 127.0.0.1:82\r\nAccept: application/json\r\n"
    b"User-Agent: okhttp/4.9.3\r\nAccept-Encoding: gzip\r\nProxy-Connection: keep-alive\r\n\r\n"
)
"""The same from a JVM that takes us for its proxy, to an instance of its own choice."""
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 31 Jan 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 60\r\nConnection: keep-alive\r\n\r\n" + b"x" * 60
)

POST = (
    b"POST /orders HTTP/1.1\r\nHost: orders\r\nAccept: application/json\r\nUser-Agent: okhttp/4.9.3\r\n"
    b"Accept-Encoding: gzip\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n"
    + b"x"
    * 60
)
CHUNKED = (
    b"HTTP/1.1 200 \r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    b"Date: Sat, 31 Jan 2026 10:00:00 GMT\r\nKeep-Alive: timeout=60\r\nConnection: keep-alive\r\n\r\n"
    b"3c\r\n" + b"x" * 60 + b"\r\n0\r\n\r\n"
)
"""As a Spring application on Tomcat answers."""

PIECE = 256 * 1024
"""Bytes that the loop reads at once of what is large."""


def large(pieces: int) -> list[bytes]:
    """An answer as it comes: its head with the first piece of its body, then the others."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
    first, *others = [bytes(PIECE)] * pieces
    return [head % (pieces * PIECE) + first, *others]


def upload(pieces: int) -> list[bytes]:
    """A request as it comes: its head alone, then its body."""
    head = b"PUT /orders/7/scan HTTP/1.1\r\nHost: orders\r\nContent-Length: %d\r\n\r\n"
    return [head % (pieces * PIECE), *[bytes(PIECE)] * pieces]


_NOW = 1000.0
"""Time stands still, so no connection idles long enough to be looked at."""

_UNUSED = cast("socket.socket", None)


class _Loop:
    """Nothing is ever due."""

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> None:
        pass

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        raise AssertionError("the straight path leaves nothing for later")


class _Transport:
    """Keeps what was written to it, and which one was written to last."""

    latest: "_Transport"

    def __init__(self, protocol: InstanceConnection | AppConnection) -> None:
        self.protocol = protocol
        self.written: list[bytes] = []

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.written.append(data)
        _Transport.latest = self


class _WayIn:
    def __init__(self, entrance: OwnEntrance | SharedEntrance) -> None:
        self.entrance = entrance


class StraightPath:
    """Call it for one exchange."""

    def __init__(self, instances: int = 3, sock: socket.socket = _UNUSED, *, shared: bool = False) -> None:
        """What takes part.

        `sock`: what connections to instances are looked at by, where a request wants that. `shared`: through the listener
        that finds the service by the host, or by the address; else through its own.
        """
        loop = cast("asyncio.AbstractEventLoop", _Loop())
        self.runtime = Runtime(loop=loop, now=itertools.repeat(_NOW).__next__)
        addresses = Addresses(600.0)
        policy = ServicePolicy(name="orders")
        self.cluster = Cluster(policy, rng=Random(1), now=_NOW, claims=addresses.of("orders"))
        listed = tuple(Instance("127.0.0.1", 81 + number) for number in range(instances))
        self.cluster.apply(Push("orders", listed, Origin.STATIC), _NOW)
        self.upstream = Upstream(self.cluster, self.runtime)
        self._sock = sock
        self._transports = [self._instance(endpoint) for endpoint in self.cluster.endpoints.values()]
        unnamed = Unnamed(addresses, {"orders": self.upstream}, now=_NOW)
        sharing = SharedEntrance(Router({"orders": self.upstream}), policy, unnamed)
        entrance = sharing if shared else OwnEntrance(self.upstream)
        self._app = AppConnection(self.runtime, cast("WayIn", _WayIn(entrance)), _UNUSED)
        self._to_app = _Transport(self._app)
        self._app.connection_made(cast("asyncio.Transport", self._to_app))

    def __call__(self, request: Sequence[bytes] = (REQUEST,), answer: Sequence[bytes] = (ANSWER,)) -> None:
        """Each in pieces as they come."""
        for piece in request:
            self._app.data_received(piece)
        instance = _Transport.latest.protocol
        for piece in answer:
            instance.data_received(piece)

    def written(self) -> tuple[list[bytes], list[bytes]]:
        """What went to the app and to instances since the last look."""
        to_instances = [data for transport in self._transports for data in transport.written]
        to_app = list(self._to_app.written)
        for transport in (self._to_app, *self._transports):
            transport.written.clear()
        return to_app, to_instances

    def _instance(self, endpoint: Endpoint) -> _Transport:
        """A connection that waits in the pool."""
        connection = InstanceConnection(self.upstream, endpoint, self._sock)
        transport = _Transport(connection)
        connection.connection_made(cast("asyncio.Transport", transport))
        connection.count()
        self.upstream.pool.put(endpoint, connection, _NOW)
        return transport
