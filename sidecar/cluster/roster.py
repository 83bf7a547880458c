"""The endpoints of one service by address: the only place where one comes, stays or goes.

Nothing is decided here. Each step concerns one endpoint and leaves all of them as a service that works, for thousands
may be on their way (`backlog`) while calls go on.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sidecar.cluster.addresses import Addresses, Claims
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.events import EndpointAdded, EndpointIsSelf, EndpointRemoved, Event, HoldEnded
from sidecar.cluster.guard import End, Hold
from sidecar.cluster.instance import Instance
from sidecar.cluster.quarantine import Quarantine, Reach
from sidecar.cluster.stats import ServiceStats


class Released(NamedTuple):
    """An endpoint whose hold has ended, why, and how many are held still."""

    endpoint: Endpoint
    end: End
    left: int


class Roster:
    """Who is in the service, and whom a step has touched."""

    def __init__(self, service: str, *, stats: ServiceStats, own: frozenset[str], claims: Claims | None = None) -> None:
        """`claims`: where it is said whose an address is, for calls that name only that; default: nowhere."""
        self.endpoints: dict[str, Endpoint] = {}
        """By address; those that left stay until nothing of theirs is in flight."""
        self.touched: dict[Endpoint, None] = {}
        """Endpoints whose facts changed, in order; whoever keeps their states empties it."""
        self.shut: dict[str, float] = {}
        """Addresses that the operator keeps out, listed or not, and until when."""
        self.added = self.removed = 0
        """How many have ever come and gone."""
        self._service = service
        self._stats = stats
        self._own = own
        self.claims = claims or Addresses(0.0).of(service)

    def __repr__(self) -> str:
        return f"<Roster of {len(self.endpoints)}>"

    def in_force(self) -> tuple[Instance, ...]:
        """What is listed and what is held."""
        return tuple(endpoint.instance for endpoint in self.endpoints.values() if endpoint.present)

    def update_own(self, addresses: frozenset[str]) -> list[Event]:
        """These are ourselves from now on."""
        events: list[Event] = []
        for address in self._own ^ addresses:
            endpoint = self.endpoints.get(address)
            if endpoint is not None:
                endpoint.is_self = address in addresses
                self.touch(endpoint)
                if endpoint.is_self:
                    events.append(EndpointIsSelf(service=self._service, endpoint=address))
        self._own = addresses
        return events

    def knows(self, endpoint: Endpoint) -> bool:
        """Whether it is one of ours still, be it only for what is in flight."""
        return self.endpoints.get(endpoint.address) is endpoint

    def touch(self, endpoint: Endpoint) -> None:
        """Its facts changed."""
        self.touched[endpoint] = None

    def enlist(self, instance: Instance, now: float, *, shunned: bool, trusted: bool) -> list[Event]:
        """A list in force names it. On a `trusted` one it needs no dial, be it known from disk."""
        events: list[Event] = []
        endpoint = self.endpoints.get(instance.address)
        if endpoint is None or not endpoint.present:
            endpoint = self._add(instance, now, events)
            endpoint.quarantine = None if trusted else Quarantine(now)
        elif trusted and endpoint.quarantine is not None and endpoint.quarantine.reach is Reach.UNDIALLED:
            endpoint.quarantine = None
        endpoint.instance, endpoint.listed = instance, True
        endpoint.shunned = shunned
        self.claims.lists(instance.address, now)
        self.touch(endpoint)
        return events

    def strike(self, address: str, now: float) -> list[Event]:
        """A list in force does not name it any more: it leaves unless it is held."""
        endpoint = self.endpoints.get(address)
        if endpoint is None:
            return []
        endpoint.listed = False
        self.claims.misses(address, now)
        self.touch(endpoint)
        return [self._remove(endpoint, now)] if endpoint.present and endpoint.hold is None else []

    def hold(self, holds: Mapping[str, Hold]) -> list[Endpoint]:
        """These are kept against the list, from now on; those to whom that is news are to be touched."""
        news = []
        for address, hold in holds.items():
            endpoint = self.endpoints[address]
            if endpoint.hold is not hold:
                endpoint.hold = hold
                news.append(endpoint)
        return news

    def let_go(self, ended: Mapping[str, End], *, left: int) -> Iterable[Released]:
        """These are held no more, from now on, and `left` others still are; to be released in this order."""
        endpoints = [self.endpoints[address] for address in ended]
        for endpoint in endpoints:
            endpoint.hold = None
        counts = range(left + len(ended) - 1, left - 1, -1)
        return map(Released, endpoints, ended.values(), counts)

    def release(self, released: Released, now: float) -> list[Event]:
        """It is held no more, and leaves unless it is listed."""
        endpoint, end, left = released
        self._stats.holds_ended[end.value] += 1
        events: list[Event] = [HoldEnded(service=self._service, endpoint=endpoint.address, by=end.value, left=left)]
        endpoint.hold = None
        self.touch(endpoint)
        if endpoint.present and not endpoint.listed:
            events.append(self._remove(endpoint, now))
        return events

    def forget(self, endpoint: Endpoint) -> None:
        """Drops an endpoint that has left and has nothing in flight."""
        if not endpoint.present and not endpoint.in_flight and self.knows(endpoint):
            del self.endpoints[endpoint.address]

    def _add(self, instance: Instance, now: float, events: list[Event]) -> Endpoint:
        address = instance.address
        endpoint = self.endpoints.get(address)
        if endpoint is None:
            endpoint = self.endpoints[address] = Endpoint(instance, now)
        else:
            endpoint.begin_anew(now)
        until = self.shut.get(address, -math.inf)
        endpoint.shut_until = until if until > now else -math.inf
        self.added += 1
        events.append(EndpointAdded(service=self._service, endpoint=address, weight=instance.weight))
        endpoint.is_self = address in self._own
        if endpoint.is_self:
            events.append(EndpointIsSelf(service=self._service, endpoint=address))
        return endpoint

    def _remove(self, endpoint: Endpoint, now: float) -> Event:
        endpoint.present = False
        self.claims.lets_go(endpoint.address, now)
        self.removed += 1
        self.touch(endpoint)
        self.forget(endpoint)
        return EndpointRemoved(service=self._service, endpoint=endpoint.address, in_flight=endpoint.in_flight)
