"""Connections that iptables redirects to us: each goes on to where it was meant to go, or to somebody better.

    meant for an address of a service ──▶ tcp: relayed to that instance, or another one
                                     └──▶ http1: as HTTP where the app speaks it (`tcp.hesitant`), else relayed
    meant for anybody else ────────────▶ relayed there as it is
    meant for ourselves, or from us ───▶ reset

**Why some are reset.** A connection that leads back to us would be made again without end: one to a port of ours, and one
that is our own dial, redirected because the rules name another user than the one we run as.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import replace

from sidecar.cluster.addresses import Addresses
from sidecar.cluster.events import RedirectRefused
from sidecar.cluster.policy import Protocol, ServicePolicy, Timeouts
from sidecar.errors import FAILURES
from sidecar.proxy import forward
from sidecar.proxy.forward import Forward
from sidecar.proxy.http1.downstream import AppConnection
from sidecar.proxy.listener import Listener, OwnEntrance, SharedEntrance
from sidecar.proxy.ourselves import Ourselves
from sidecar.proxy.redirected import Place, original_destination, owner
from sidecar.proxy.routing import Router
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.tcp.hesitant import Hesitant
from sidecar.proxy.tcp.relay import Relay
from sidecar.proxy.upstream import Upstream
from sidecar.record import Record

POLICY: ServicePolicy = replace(
    forward.POLICY, protocol=Protocol.TCP, timeouts=Timeouts(connect=5.0, response=None, idle=None)
)
"""Of those that are none of ours: nothing is retried, nothing is limited."""

TOLD_AGAIN = 60.0
"""Seconds in which a reason to refuse is told once."""

_NO_SERVICE = FAILURES["no_service"]

_REMEDIES: Mapping[str, str] = {
    "not_redirected": "connect to the destination itself, or apply the rules: nacos-sidecar iptables --apply",
    "own_address": "let the app call the service, not a port of the sidecar",
    "own_traffic": "run the sidecar as a user of its own, and apply the rules with --uid set to that user",
}


class TransparentEntrance(SharedEntrance):
    """The listener for redirected connections. A reload makes a new one.

    To connections of an earlier configuration, in which their port was the shared listener, it names no service.
    """

    __slots__ = ("_addresses", "_ourselves", "_runtime", "_services", "_strangers", "_told", "_uid")

    def __init__(
        self,
        runtime: Runtime,
        addresses: Addresses,
        services: Mapping[str, Upstream],
        strangers: Forward,
        ourselves: Ourselves,
    ) -> None:
        """`services` by name; `strangers`: those that are none of them."""
        super().__init__(Router(), forward.POLICY)
        self._runtime = runtime
        self._addresses = addresses
        self._services = services
        self._strangers = strangers
        self._ourselves = ourselves
        self._uid = os.geteuid()
        self._told: dict[str, float] = {}

    def named(self, name: str) -> Upstream | None:
        """The service under this configuration."""
        return self._services.get(name)

    def stranger(self, address: str) -> Upstream | None:
        """Whoever is there, as none of our services; None when nobody can be."""
        return self._strangers.towards(address.encode())

    def greet(self, listener: Listener, runtime: Runtime, sock: socket.socket) -> asyncio.Protocol | None:
        meant = original_destination(sock)
        if (why := self._objection(sock, meant)) is not None:
            self._refuse(why, meant)
            return None
        assert meant is not None  # noqa: S101 - that is an objection
        address = str(meant)
        claim = self._addresses.find(address, runtime.now(), self._services)
        if claim is None:
            stranger = self.stranger(address)
            return None if stranger is None else Relay(runtime, stranger, sock).app
        upstream, dialled = self._services[claim.service], claim.address
        if upstream.policy.protocol is Protocol.TCP:
            return Relay(runtime, upstream, sock, dialled).app
        way_in = Dialled(listener, upstream, dialled)
        return Hesitant(runtime, upstream, sock, dialled, lambda own: AppConnection(runtime, way_in, own)).app

    def _objection(self, sock: socket.socket, meant: Place | None) -> str | None:
        if meant is None:
            return "not_redirected"
        if self._ourselves.is_at(*meant):
            return "not_redirected" if sock.getsockname()[1] == meant.port else "own_address"
        return "own_traffic" if owner(sock, meant) == self._uid else None

    def _refuse(self, why: str, meant: Place | None) -> None:
        """Counts, logs and tells."""
        runtime, now = self._runtime, self._runtime.now()
        runtime.stats.unrouted.tcp_connections[_NO_SERVICE.flag] += 1
        if runtime.wants_record(notable=True):
            runtime.log(_refusal(runtime.wall(), meant))
        if now - self._told.get(why, float("-inf")) >= TOLD_AGAIN:
            self._told[why] = now
            where = None if meant is None else str(meant)
            runtime.emit((RedirectRefused(why=why, meant_for=where, do=_REMEDIES[why]),))


class Dialled:
    """The way in of a connection to an instance that the app chose itself.

    It stays with the service whose address that was, under the configuration in force, whatever becomes of the address;
    where that service is gone, with the address itself, as a new connection would.
    """

    __slots__ = ("_dialled", "_entrance", "_listener", "_seen", "_service")

    def __init__(self, listener: Listener, upstream: Upstream, dialled: str) -> None:
        self._listener = listener
        self._service = upstream.policy.name
        self._dialled = dialled
        self._seen = listener.entrance
        self._entrance = OwnEntrance(upstream, dialled)

    @property
    def entrance(self) -> OwnEntrance:
        """Under the configuration that the listener has now, or had last if its port serves another purpose."""
        current = self._listener.entrance
        if current is not self._seen and isinstance(current, TransparentEntrance):
            self._seen = current
            if (upstream := current.named(self._service)) is not None:
                self._entrance = OwnEntrance(upstream, self._dialled)
            elif (stranger := current.stranger(self._dialled)) is not None:
                self._entrance = OwnEntrance(stranger)
        return self._entrance


def _refusal(wall: float, meant: Place | None) -> Record:
    return Record(
        started=wall,
        service="-",
        code=0,
        flags=_NO_SERVICE.flag,
        details=_NO_SERVICE.reason,
        endpoint=None if meant is None else str(meant),
    )
