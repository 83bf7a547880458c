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

    def __init__(
        self, instances: int = 3, sock: socket.socket = _UNUSED, *, shared: bool = False, services: int = 1
    ) -> None:
        """What takes part.

        `sock`: what connections to instances are looked at by, where a request wants that. `shared`: through the listener
        that finds the service by the host, or by the address; else through its own. `services`: `orders`, `orders1`, …
        """
        loop = cast("asyncio.AbstractEventLoop", _Loop())
        self.runtime = Runtime(loop=loop, now=itertools.repeat(_NOW).__next__)
        self.runtime.splices = False  # there is no kernel in between: a large upload goes the way of a chunked one
        self._addresses = Addresses(600.0)
        self._sock = sock
        self._transports: list[_Transport] = []
        names = ["orders", *(f"orders{number}" for number in range(1, services))]
        upstreams = {name: self._service(name, instances) for name in names}
        self.upstream = upstreams["orders"]
        self.cluster = self.upstream.cluster
        unnamed = Unnamed(self._addresses, upstreams, now=_NOW)
        sharing = SharedEntrance(Router(upstreams), self.upstream.policy, unnamed)
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

    def _service(self, name: str, instances: int) -> Upstream:
        """With a connection to each of its instances."""
        cluster = Cluster(ServicePolicy(name=name), rng=Random(1), now=_NOW, claims=self._addresses.of(name))
        listed = tuple(Instance("127.0.0.1", 81 + number) for number in range(instances))
        cluster.apply(Push(name, listed, Origin.STATIC), _NOW)
        upstream = Upstream(cluster, self.runtime)
        self._transports += [self._instance(upstream, endpoint) for endpoint in cluster.endpoints.values()]
        return upstream

    def _instance(self, upstream: Upstream, endpoint: Endpoint) -> _Transport:
        """A connection that waits in the pool."""
        connection = InstanceConnection(upstream, endpoint, self._sock)
        transport = _Transport(connection)
        connection.connection_made(cast("asyncio.Transport", transport))
        connection.count()
        upstream.pool.put(endpoint, connection, _NOW)
        return transport
