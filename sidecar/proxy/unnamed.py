"""Requests on the shared listener whose host is no name of a service: an instance's address, or somebody else's.

An app that goes through us as through a proxy names instances by `ip:port`. Whose that is, `cluster.addresses` knows. What
is nobody's is refused, or sent on to where it says.

While lists are still to come (after a start, or after a reload that added a service) an unknown address may be one of
theirs: it is worth waiting for, as a request for a service without a list is.
"""

import socket
from collections.abc import Mapping

from sidecar.cluster.addresses import Addresses, ip_of, parted
from sidecar.cluster.instance import Origin
from sidecar.proxy.forward import Forward
from sidecar.proxy.http1.request import RequestHead
from sidecar.proxy.upstream import Upstream

LEARNS_FOR = 15.0
"""Seconds in which lists are expected: a service whose list never comes must not make all others slow for ever."""

Destination = tuple[Upstream, str | None]
"""Whom a request is for, and the address by which it said so, if it did."""


class Unnamed:
    """Immutable; a reload makes a new one."""

    __slots__ = ("_addresses", "_forward", "_learns_until", "_services")

    def __init__(
        self, addresses: Addresses, services: Mapping[str, Upstream], *, forward: Forward | None = None, now: float
    ) -> None:
        """`services`: by name, those that an address may mean; `forward` None: what is nobody's is refused."""
        self._addresses = addresses
        self._services = services
        self._forward = forward
        self._learns_until = now + LEARNS_FOR

    def __repr__(self) -> str:
        return f"<Unnamed {'sent on' if self._forward else 'refused'}, {self._addresses!r}>"

    def by_address(self, authority: bytes, now: float) -> Destination | None:
        """The service that has, or had, an instance there."""
        claim = self._addresses.find(authority.decode("latin-1"), now, self._services)
        return None if claim is None else (self._services[claim.service], claim.address)

    def may_learn(self, authority: bytes, now: float) -> bool:
        """Whether a list that is still to come may tell whose it is."""
        if now >= self._learns_until or ip_of(parted(authority.decode("latin-1"))[0]) is None:
            return False
        return not all(map(_is_known, self._services.values()))

    def beyond(self, request: RequestHead, sock: socket.socket) -> Upstream | None:
        """The host itself, for an app beside us that takes us for a proxy; `sock` is the app's."""
        if self._forward is None or not request.absolute or request.authority is None or not _is_beside_us(sock):
            return None
        return self._forward.towards(request.authority)


def _is_known(service: Upstream) -> bool:
    """Its list is not from disk, nor missing."""
    return service.cluster.has_list and service.cluster.origin is not Origin.DISK


def _is_beside_us(sock: socket.socket) -> bool:
    """The other side is on loopback."""
    try:
        peer = ip_of(sock.getpeername()[0])
    except OSError:  # it is gone
        return False
    return peer is not None and peer.is_loopback
