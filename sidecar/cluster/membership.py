"""Who belongs to a service: takes lists as they arrive, asks the guard, and keeps the endpoints.

On first start: a list from disk is in force at once, each of its endpoints dialled before use. The first list that
comes from the registry or is static needs no such dial: there is nothing better to use meanwhile, and a refused
connect moves on. An empty first list counts only when it is still empty 5 s later, for a restarted registry says
empty first.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.events import (
    EndpointAdded,
    EndpointIsSelf,
    EndpointRemoved,
    Event,
    HoldEnded,
    PushArrived,
    PushRefused,
    SecondOpinionHeard,
    SnapshotApplied,
)
from sidecar.cluster.guard import End, Guard, Input, Offer
from sidecar.cluster.instance import Instance, Origin, Push, Statement, Via, View
from sidecar.cluster.policy import ServicePolicy
from sidecar.cluster.quarantine import Quarantine, Reach
from sidecar.cluster.snapshot import EMPTY, Difference, Snapshot, difference, is_on, read, switched_off
from sidecar.cluster.stats import ServiceStats

EMPTY_BELIEVED = 5.0
"""Seconds after which an empty first list is a list: a restarted server fills up within 2 to 3 s as a rule."""

RESULTS: Mapping[Input, str] = {
    Input.PLAUSIBLE: "applied",
    Input.SHRUNK: "shrink_refused",
    Input.EMPTY: "empty_refused",
}


class _Told(NamedTuple):
    """The last list that an event had, and the flag that came with it."""

    instances: tuple[Instance, ...]
    protect: bool


class Membership:
    """The endpoints of one service by address, the list in force, and the guard over it."""

    def __init__(self, policy: ServicePolicy, *, stats: ServiceStats, own: frozenset[str], now: float) -> None:
        self.policy = policy
        self.endpoints: dict[str, Endpoint] = {}
        self.guard = Guard(policy.protection, now)
        self.has_list = False
        self.origin: Origin | None = None
        self.confirmed_at: float | None = None
        self.touched: dict[Endpoint, None] = {}
        """Endpoints whose facts changed here, in order; whoever keeps their states empties it."""
        self.shut: dict[str, float] = {}
        """Addresses that the operator keeps out, listed or not, and until when."""
        self._stats = stats
        self._own = own
        self._latest = EMPTY
        self._told = _Told((), protect=False)
        self._repeated = False
        """The list in force has been said a second time, and that was told."""
        self._order: tuple[int, int] | None = None
        self._empty_until = math.inf
        self._started = False

    def update_policy(self, policy: ServicePolicy) -> None:
        """Another policy with the same discovery."""
        self.policy = policy
        self.guard.policy = policy.protection

    def apply(self, push: Push, now: float) -> list[Event]:
        """Takes a list: counts it, judges it when it says something new, and puts in force what is believed."""
        if self._order is not None and (push.epoch, push.sequence) < self._order:
            return [self._arrived(push, "stale")]
        self._order = push.epoch, push.sequence
        news = read(push, self.policy.discovery)
        change = difference(self._latest, news)
        known_origin, self.origin = self.origin is push.origin, push.origin
        if push.origin is Origin.NACOS:
            self.confirmed_at = now
        if known_origin and not change:
            self.guard.same_answer()
            self._notice_list(now)
            return self._said_again(push)
        return self._take(push, news, change, now)

    def hear(self, statement: Statement, now: float) -> list[Event]:
        """A registry node answered a question that a doubt had raised."""
        guard, discovery = self.guard, self.policy.discovery
        if statement.view is View.EVERYTHING:
            off = switched_off(statement, discovery)
            ended = guard.switched_off(off, statement.asked_at, now)
            return [self._heard(statement, "switched_off", ended), *self._let_go(ended)] if ended else []
        verdict = guard.second_answer(read(statement, discovery).offered(), statement.asked_at)
        if verdict is None:
            return []
        missed = guard.missed_twice()
        return [self._heard(statement, verdict.value, guard.held.keys() - missed, misses=len(missed))]

    def gone(self, endpoint: Endpoint, now: float) -> list[Event]:
        """A connect to a held endpoint failed."""
        return self._let_go(self.guard.gone(endpoint.address, now))

    def obey(self, now: float) -> list[Event]:
        """The operator believes the registry."""
        return self._let_go(self.guard.obey(now))

    def tick(self, now: float) -> list[Event]:
        """Ends holds whose time is over; believes in an empty first list."""
        self._notice_list(now)
        ended = self.guard.tick(now)
        return self._let_go(ended) if ended else []

    def next_due(self, now: float) -> float:
        """When `tick` will have something to do."""
        return min(self.guard.next_due(now), math.inf if self.has_list else self._empty_until)

    def in_force(self) -> tuple[Instance, ...]:
        """What is listed and what is held."""
        return tuple(endpoint.instance for endpoint in self.endpoints.values() if endpoint.present)

    def knows(self, endpoint: Endpoint) -> bool:
        """Whether it is one of ours still, be it only for what is in flight."""
        return self.endpoints.get(endpoint.address) is endpoint

    def forget(self, endpoint: Endpoint) -> None:
        """Drops an endpoint that has left and has nothing in flight."""
        if not endpoint.present and not endpoint.in_flight and self.knows(endpoint):
            del self.endpoints[endpoint.address]

    def _take(self, push: Push, news: Snapshot, change: Difference, now: float) -> list[Event]:
        self._latest = news
        verdict, ended = self.guard.judge(self._offer(news), now)
        self._repeated = False
        events: list[Event] = [self._arrived(push, RESULTS[verdict], self._whole(push))]
        if verdict is not Input.PLAUSIBLE:
            events.append(self._refused(len(news.instances)))
        arrivals = self._list(news, change, now, trusted=not self._started and push.origin is not Origin.DISK)
        self._hold()
        departures = [*self._let_go(ended), *self._unlist(change.removed)]
        events += arrivals + departures
        added, removed = _count(EndpointAdded, arrivals), _count(EndpointRemoved, departures)
        if added or removed or change.changed:
            events.append(
                SnapshotApplied(
                    service=self.policy.name,
                    origin=push.origin.value,
                    instances=sum(endpoint.present for endpoint in self.endpoints.values()),
                    added=added,
                    removed=removed,
                    changed=len(change.changed),
                )
            )
        self._notice_list(now)
        return events

    def _offer(self, news: Snapshot) -> Offer:
        used = [e for e in self.endpoints.values() if e.present and is_on(e.instance)]
        listed = frozenset(news.instances)
        return Offer(
            listed=listed,
            offered=news.offered(),
            off=frozenset(address for address, one in news.instances.items() if not is_on(one)),
            in_use=frozenset(e.address for e in used if not e.shunned or e.hold is not None),
            refusing=frozenset(e.address for e in used if e.refusing and e.hold is None),
        )

    def _list(self, news: Snapshot, change: Difference, now: float, *, trusted: bool) -> list[Event]:
        """Puts listed instances in force. Those of a `trusted` list need no dial, those known from disk included."""
        events: list[Event] = []
        for address in news.instances if trusted else (*change.added, *change.changed):
            instance = news.instances[address]
            endpoint = self.endpoints.get(address)
            if endpoint is None or not endpoint.present:
                endpoint = self._add(address, instance, now, events)
                endpoint.quarantine = None if trusted else Quarantine(now)
            elif trusted and endpoint.quarantine is not None and endpoint.quarantine.reach is Reach.UNDIALLED:
                endpoint.quarantine = None
            endpoint.instance, endpoint.listed = instance, True
            endpoint.shunned = address in news.shunned
            self.touched[endpoint] = None
        for address in change.removed:
            if (known := self.endpoints.get(address)) is not None:
                known.listed = False
                self.touched[known] = None
        return events

    def _hold(self) -> None:
        for address, hold in self.guard.held.items():
            endpoint = self.endpoints[address]
            if endpoint.hold is not hold:
                endpoint.hold = hold
                self.touched[endpoint] = None

    def _add(self, address: str, instance: Instance, now: float, events: list[Event]) -> Endpoint:
        endpoint = self.endpoints.get(address)
        if endpoint is None:
            endpoint = self.endpoints[address] = Endpoint(instance, now)
        else:
            endpoint.begin_anew(now)
        until = self.shut.get(address, -math.inf)
        endpoint.shut_until = until if until > now else -math.inf
        events.append(EndpointAdded(service=self.policy.name, endpoint=address, weight=instance.weight))
        if address in self._own:
            endpoint.is_self = True
            events.append(EndpointIsSelf(service=self.policy.name, endpoint=address))
        return endpoint

    def _let_go(self, ended: Mapping[str, End]) -> list[Event]:
        events: list[Event] = []
        for left, (address, end) in zip(range(len(ended) - 1, -1, -1), ended.items(), strict=True):
            self._stats.holds_ended[end.value] += 1
            still = len(self.guard.held) + left
            events.append(HoldEnded(service=self.policy.name, endpoint=address, by=end.value, left=still))
            endpoint = self.endpoints[address]
            endpoint.hold = None
            self.touched[endpoint] = None
            if not endpoint.listed:
                events.append(self._remove(endpoint))
        return events

    def _unlist(self, addresses: Iterable[str]) -> list[Event]:
        """Removes those that are missing and not held."""
        missing = [self.endpoints[address] for address in addresses if address in self.endpoints]
        return [self._remove(endpoint) for endpoint in missing if endpoint.present and endpoint.hold is None]

    def _remove(self, endpoint: Endpoint) -> Event:
        endpoint.present = False
        self.touched[endpoint] = None
        self.forget(endpoint)
        return EndpointRemoved(service=self.policy.name, endpoint=endpoint.address, in_flight=endpoint.in_flight)

    def _notice_list(self, now: float) -> None:
        if self._latest.instances and self.origin is not Origin.DISK:
            self._started = True
        if self.has_list or self.origin is None:
            return
        if self._latest.instances:
            self.has_list = True
        elif self._empty_until == math.inf:
            self._empty_until = now + EMPTY_BELIEVED
        elif now >= self._empty_until:
            self.has_list = self._started = True

    def _heard(self, statement: Statement, verdict: str, lists: Iterable[str], *, misses: int | None = None) -> Event:
        return SecondOpinionHeard(
            service=self.policy.name,
            server=statement.server,
            verdict=verdict,
            misses=misses,
            lists=tuple(sorted(lists)),
        )

    def _refused(self, offered: int) -> Event:
        return PushRefused(
            service=self.policy.name, why=self.guard.doubt.value, kept=len(self.guard.held), offered=offered
        )

    def _said_again(self, push: Push) -> list[Event]:
        """A list that changes nothing for us. Queries bring the same every few seconds: of those the first is told."""
        whole = self._whole(push) if self._says_more(push) else None
        arrived = self._arrived(push, "unchanged", whole)
        if push.via is Via.QUERY and self._repeated and whole is None:
            return []
        self._repeated = True
        return [arrived]

    def _says_more(self, push: Push) -> bool:
        """Whether it differs from what was told all the same: in its flag, or in what our filters leave out."""
        told, listed = self._told, push.instances
        if told.protect is not bool(push.protect):
            return True
        return listed != told.instances and Counter(listed) != Counter(told.instances)

    def _whole(self, push: Push) -> tuple[Instance, ...]:
        """All of it, to be told."""
        self._told = _Told(push.instances, protect=bool(push.protect))
        return push.instances

    def _arrived(self, push: Push, result: str, instances: tuple[Instance, ...] | None = None) -> Event:
        self._stats.pushes[result] += 1
        return PushArrived(
            service=self.policy.name,
            origin=push.origin.value,
            via=push.via.value,
            epoch=push.epoch,
            offered=len(push.instances),
            result=result,
            protect=push.protect,
            instances=instances,
        )


def _count(kind: type[Event], events: Sequence[Event]) -> int:
    return sum(isinstance(event, kind) for event in events)
