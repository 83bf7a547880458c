"""A port that the app connects to: bind, accept, hand each connection to the data path.

Accepting is done here and not by the loop's server, because running out of descriptors must pause it: one loop's
server would drop the waiting connections, the other's log an error a second.
"""

import asyncio
import contextlib
import errno
import socket

from sidecar.cluster.policy import Protocol, ServicePolicy
from sidecar.proxy.descriptors import full_for_apps, lowest_free
from sidecar.proxy.http1.downstream import AppConnection
from sidecar.proxy.routing import Router
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.sockets import reset_on_close, tune
from sidecar.proxy.tcp.relay import Relay
from sidecar.proxy.unnamed import Unnamed
from sidecar.proxy.upstream import Upstream
from sidecar.tasks import spawn

BACKLOG = 1024
"""Connections that the kernel accepts for us while the loop is busy."""

_AT_ONCE = 64
"""Connections accepted in one turn of the loop: requests in flight must have theirs, too."""

_PAUSE = 0.1
"""Seconds without accepting after descriptors have run out; the kernel keeps whoever knocks."""

_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class OwnEntrance:
    """A service's own listener: all of it goes there, whatever Host says."""

    __slots__ = ("dialled", "policy", "service", "unnamed")

    def __init__(self, service: Upstream, dialled: str | None = None) -> None:
        """`dialled`: the address of the instance that the app had connected to, where we came between."""
        self.service: Upstream | None = service
        self.dialled = dialled
        self.unnamed: Unnamed | None = None
        self.policy = service.policy

    def route(self, authority: bytes | None) -> Upstream | None:
        """Never asked: `service` says it all."""
        del authority
        return self.service

    def greet(self, listener: "Listener", runtime: Runtime, sock: socket.socket) -> asyncio.Protocol | None:
        """What serves a new connection."""
        service = self.service
        if service is not None and service.policy.protocol is Protocol.TCP:
            return Relay(runtime, service, sock).app
        return AppConnection(runtime, listener, sock)


class SharedEntrance:
    """The shared listener: the host names the service."""

    __slots__ = ("_router", "dialled", "policy", "service", "unnamed")

    def __init__(self, router: Router[Upstream], policy: ServicePolicy, unnamed: Unnamed | None = None) -> None:
        """`unnamed`: what is done with hosts that name none; default: they are refused."""
        self._router = router
        self.service: Upstream | None = None
        self.dialled: str | None = None
        self.unnamed = unnamed
        self.policy = policy
        """Before a request is routed: limits and the clocks of the app's side."""

    def route(self, authority: bytes | None) -> Upstream | None:
        return None if authority is None else self._router.find(authority)

    def greet(self, listener: "Listener", runtime: Runtime, sock: socket.socket) -> asyncio.Protocol | None:
        """What serves a new connection; None: it is to be reset."""
        return AppConnection(runtime, listener, sock)


class Listener:
    """One listening socket. A reload swaps `entrance`; requests in flight end under the old one."""

    __slots__ = ("__weakref__", "_full", "_runtime", "_sock", "configured", "entrance", "name")

    def __init__(self, name: str, configured: str, entrance: OwnEntrance | SharedEntrance, runtime: Runtime) -> None:
        self.name = name
        self.configured = configured
        self.entrance = entrance
        self._runtime = runtime
        self._sock: socket.socket | None = None
        self._full = full_for_apps()
        """The first number of a descriptor that is not for an app."""

    def __repr__(self) -> str:
        return f"<Listener {self.name} {self.bound or 'closed'}>"

    @property
    def bound(self) -> str | None:
        """`ip:port` as the kernel sees it; None while it is not open."""
        if self._sock is None:
            return None
        host, port = self._sock.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def open(self) -> None:
        """Binds and accepts from now on; raises OSError when the address cannot be had."""
        host, _, port = self.configured.rpartition(":")
        found = await self._runtime.loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tune(sock)  # what is accepted inherits it: five system calls less for each connection
            sock.setblocking(False)
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError:
            sock.close()
            raise
        self._sock = sock
        self._runtime.loop.add_reader(sock.fileno(), self._accept)

    def close_listening(self) -> None:
        """Refuses from now on; open connections finish, and so do those that the kernel has accepted for us already.

        But for those of them that the last descriptors would go to: they are reset.
        """
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._runtime.loop.remove_reader(sock.fileno())
        with contextlib.suppress(OSError):
            for _ in range(BACKLOG + 1):  # more fit into no queue; who keeps knocking must not keep us
                number = self._accept_one(sock)
                if number is None or number >= self._full:
                    break
        sock.close()

    def _accept(self) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            for _ in range(_AT_ONCE):
                number = self._accept_one(sock)
                if number is None:
                    return
                if number >= self._full:
                    self._pause(sock)
                    return
        except OSError as error:
            if error.errno not in _SHORTAGE:
                raise
            self._pause(sock)

    def _accept_one(self, sock: socket.socket) -> int | None:
        """The number of its descriptor; None when nobody waits. Raises OSError when there is none for it."""
        while True:
            try:
                connection, _ = sock.accept()
            except BlockingIOError:
                return None
            except ConnectionAbortedError:
                continue
            connection.setblocking(False)
            spawn(self._meet(connection), name="accept")
            return connection.fileno()

    async def _meet(self, sock: socket.socket) -> None:
        try:
            protocol = self.entrance.greet(self, self._runtime, sock)
            if protocol is None:
                reset_on_close(sock)
                sock.close()
            else:
                await self._runtime.loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError:
            sock.close()

    def _pause(self, sock: socket.socket) -> None:
        loop = self._runtime.loop
        loop.remove_reader(sock.fileno())
        loop.call_later(_PAUSE, self._go_on, sock)

    def _go_on(self, sock: socket.socket) -> None:
        if self._sock is not sock:
            return
        if lowest_free(sock) < self._full:
            self._runtime.loop.add_reader(sock.fileno(), self._accept)
        else:
            self._runtime.loop.call_later(_PAUSE, self._go_on, sock)
