"""Who belongs to a service: takes lists as they arrive, asks the guard, and has the roster follow.

On first start: a list from disk is in force at once, each of its endpoints dialled before use. The first list that
comes from the registry or is static needs no such dial: there is nothing better to use meanwhile, and a refused
connect moves on. An empty first list counts only when it is still empty 5 s later, for a restarted registry says
empty first.

A list is judged as a whole and holds begin at once; what it adds, changes and removes is put on the backlog, what it
adds first, so that a service which is on its way to another list never has fewer endpoints than it needs.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sidecar.cluster.addresses import Claims
from sidecar.cluster.backlog import Backlog
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.events import Event, PushArrived, PushRefused, SecondOpinionHeard, SnapshotApplied
from sidecar.cluster.guard import End, Guard, Input, Offer
from sidecar.cluster.instance import Instance, Origin, Push, Silence, Statement, Via, View
from sidecar.cluster.opinion import Verdict
from sidecar.cluster.policy import ServicePolicy
from sidecar.cluster.roster import Released, Roster
from sidecar.cluster.snapshot import EMPTY, Difference, Snapshot, difference, read, switched_off
from sidecar.cluster.stats import ServiceStats

EMPTY_BELIEVED = 5.0
"""Seconds after which an empty first list is a list: a restarted server fills up within 2 to 3 s as a rule."""

LIGHT = 16
"""Instances whose judgement costs as much as one endpoint that follows it."""

RESULTS: Mapping[Input, str] = {
    Input.PLAUSIBLE: "applied",
    Input.SHRUNK: "shrink_refused",
    Input.EMPTY: "empty_refused",
}


class _Told(NamedTuple):
    """The last list that an event had, and the flag that came with it."""

    instances: tuple[Instance, ...]
    protect: bool


class _News(NamedTuple):
    """A list that says something new."""

    push: Push
    snapshot: Snapshot
    change: Difference


class _Progress(NamedTuple):
    """A list on its way into force, and how many endpoints had come and gone before it."""

    news: _News
    added: int
    removed: int


class Membership:
    """The list in force of one service, the guard over it, and the roster that follows both."""

    def __init__(
        self,
        policy: ServicePolicy,
        *,
        stats: ServiceStats,
        own: frozenset[str],
        now: float,
        claims: Claims | None = None,
    ) -> None:
        self.policy = policy
        self.roster = Roster(policy.name, stats=stats, own=own, claims=claims)
        self.guard = Guard(policy.protection, now)
        self.has_list = False
        self.origin: Origin | None = None
        self.confirmed_at: float | None = None
        self.ever_listed = False
        """Any list, be it from disk, had an instance for us."""
        self.offered = 0
        """Instances on the latest list, before the filters."""
        self.backlog = Backlog()
        """What is decided, and not yet done to everyone whom it concerns; whoever keeps the states works it off."""
        self._stats = stats
        self._latest = EMPTY
        self._told = _Told((), protect=False)
        self._repeated = False
        """The list in force has been said a second time, and that was told."""
        self._order: tuple[int, int] | None = None
        self._empty_until = math.inf
        self._started = False

    def update_policy(self, policy: ServicePolicy, now: float) -> None:
        """Another policy with the same discovery."""
        self.policy = policy
        self._let_go(self.guard.update_policy(policy.protection, now))
        self.backlog.put(list(self.roster.endpoints.values()), self._touch)

    def connected(self, epoch: int) -> None:
        """A registry session has begun: its lists are the newest from now on, be it that another feed's had a later number."""
        self._order = epoch, -1

    def take(self, push: Push, now: float) -> list[Event]:
        """Takes a list: counts it, has it judged when it says something new, and what is believed put in force."""
        if self._order is not None and (push.epoch, push.sequence) < self._order:
            return [self._arrived(push, "stale")]
        self._order = push.epoch, push.sequence
        news = read(push, self.policy.discovery)
        change = difference(self._latest, news)
        known_origin, self.origin = self.origin is push.origin, push.origin
        self.offered = len(push.instances)
        if push.origin is not Origin.STATIC:
            self.confirmed_at = now - push.age
        if known_origin and not change:
            self.guard.same_answer()
            self._notice_list(now)
            return self._said_again(push)
        size = max(len(push.instances), len(self.roster.endpoints))
        self.backlog.put([_News(push, news, change)], self._judge, weight=size // LIGHT)
        return []

    def hear(self, said: Statement | Silence, now: float) -> list[Event]:
        """A registry node answered a question that a doubt had raised, or none did."""
        return self._weigh(said, now) if isinstance(said, Statement) else self._miss(said)

    def gone(self, endpoint: Endpoint, now: float) -> list[Event]:
        """A connect to a held endpoint failed."""
        ended = self.guard.gone(endpoint.address, now).get(endpoint.address)
        return [] if ended is None else self.roster.release(Released(endpoint, ended, len(self.guard.held)), now)

    def obey(self, now: float) -> None:
        """The operator believes the registry."""
        self._let_go(self.guard.obey(now))

    def tick(self, now: float) -> None:
        """Ends holds whose time is over; believes in an empty first list."""
        self._notice_list(now)
        self._let_go(self.guard.tick(now))

    def next_due(self, now: float) -> float:
        """When `tick` will have something to do."""
        return min(self.guard.next_due(now), math.inf if self.has_list else self._empty_until)

    def _weigh(self, statement: Statement, now: float) -> list[Event]:
        guard, discovery = self.guard, self.policy.discovery
        if statement.view is View.EVERYTHING:
            off = switched_off(statement, discovery)
            ended = guard.switched_off(off, statement.asked_at, now)
            self._let_go(ended)
            return [self._heard(statement, "switched_off", ended)] if ended else []
        verdict = guard.second_answer(read(statement, discovery).offered(), statement.asked_at)
        if verdict is None:
            return []
        missed = guard.missed_twice()
        return [self._heard(statement, verdict.value, guard.held.keys() - missed, misses=len(missed))]

    def _miss(self, silence: Silence) -> list[Event]:
        if not self.guard.second_silent(silence.asked_at):
            return []
        servers = ",".join(silence.servers)
        return [SecondOpinionHeard(service=self.policy.name, server=servers, verdict=Verdict.SILENT.value)]

    def _judge(self, news: _News, now: float) -> list[Event]:
        """Decides what becomes of everyone: facts about holds change at once, all else when its turn comes."""
        push, snapshot, change = news
        self._latest = snapshot
        self._repeated = False
        verdict, ended = self.guard.judge(self._offer(snapshot), now)
        events: list[Event] = [self._arrived(push, RESULTS[verdict], self._whole(push))]
        if verdict is not Input.PLAUSIBLE:
            events.append(self._refused(len(snapshot.instances)))
        progress = _Progress(news, self.roster.added, self.roster.removed)
        self._enlist(news)
        self._hold()
        self._let_go(ended)
        self.backlog.put(change.removed, self._strike)
        self.backlog.put([progress], self._finish)
        return events

    def _offer(self, news: Snapshot) -> Offer:
        used = [
            e for e in self.roster.endpoints.values() if e.present and (one := e.instance).enabled and one.weight > 0
        ]  # as is_on(), which costs a call for each of thousands
        listed, off = news.listed(), news.off()
        return Offer(
            listed=listed,
            offered=listed - off - news.shunned,
            off=off,
            in_use=frozenset([e.address for e in used if not e.shunned or e.hold is not None]),
            refusing=frozenset([e.address for e in used if e.quarantine is not None and e.refusing and e.hold is None]),
        )

    def _enlist(self, news: _News) -> None:
        """Instances of a `trusted` list need no dial, those known from disk included."""
        trusted = not self._started and news.push.origin is not Origin.DISK
        instances, shunned = news.snapshot.instances, news.snapshot.shunned
        addresses = instances if trusted else (*news.change.added, *news.change.changed)

        def enlist(address: str, now: float) -> list[Event]:
            return self.roster.enlist(instances[address], now, shunned=address in shunned, trusted=trusted)

        self.backlog.put(addresses, enlist)

    def _hold(self) -> None:
        self.backlog.put(self.roster.hold(self.guard.held), self._touch)

    def _let_go(self, ended: Mapping[str, End]) -> None:
        self.backlog.put(self.roster.let_go(ended, left=len(self.guard.held)), self._release)

    def _touch(self, endpoint: Endpoint, now: float) -> Sequence[Event]:
        del now
        self.roster.touch(endpoint)
        return ()

    def _release(self, released: Released, now: float) -> Sequence[Event]:
        return self.roster.release(released, now)

    def _strike(self, address: str, now: float) -> Sequence[Event]:
        return self.roster.strike(address, now)

    def _finish(self, progress: _Progress, now: float) -> Sequence[Event]:
        """A list is in force."""
        self._notice_list(now)
        push, _, change = progress.news
        added, removed = self.roster.added - progress.added, self.roster.removed - progress.removed
        if not (added or removed or change.changed):
            return ()
        return [
            SnapshotApplied(
                service=self.policy.name,
                origin=push.origin.value,
                instances=sum(endpoint.present for endpoint in self.roster.endpoints.values()),
                added=added,
                removed=removed,
                changed=len(change.changed),
            )
        ]

    def _notice_list(self, now: float) -> None:
        if self._latest.instances:
            self.ever_listed = True
            self._started |= self.origin is not Origin.DISK
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
