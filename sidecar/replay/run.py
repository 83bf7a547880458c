"""The core under a clock of its own: facts at their times, and in between what time alone brings about.

Time goes in beats, as in the application: what is due is done at the next one. Dials are fed when they ended, whoever
made them, so that no guess at when a call or a hurried probe would have come stands between two configurations; when
probes come (`probe_interval`, `probe_backoff`, waiting calls) is therefore not compared.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.events import Event
from sidecar.cluster.instance import Instance, Silence, Statement, View
from sidecar.cluster.opinion import IN_VAIN, Verdict
from sidecar.cluster.policy import Probe, ServicePolicy
from sidecar.replay.decision import Decision, decisions, without_echoes
from sidecar.replay.dials import Answer, Dialled, Dials
from sidecar.replay.fact import Connected, Disconnected, Fact, Heard, Listed, Order, Ordered
from sidecar.replay.story import Story

BEAT = 0.05
"""Seconds between two looks at what is due, as in the application."""

AFTERWARDS = 1.0
"""Seconds that are replayed beyond the last event: what it made due may have been recorded just before it, or not."""


@dataclass(frozen=True, slots=True)
class Assumption:
    """From `at` on a probe of `address` was answered without knowledge; `answer` is what it was told."""

    at: float
    address: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the core decided, in order, and what had to be assumed for it. `listed`: every address it ever knew."""

    decisions: tuple[Decision, ...]
    assumptions: tuple[Assumption, ...]
    listed: frozenset[str]


class Even:
    """Randomness without surprise: the middle, so that back-offs have no jitter."""

    @staticmethod
    def random() -> float:
        """Half."""
        return 0.5


def replay(story: Story, policy: ServicePolicy, *, own_addresses: frozenset[str] = frozenset()) -> Outcome:
    """Feeds a story to the core under this policy."""
    run = _Run(story, _without_calls(policy), own_addresses)
    run.until(story.ends + AFTERWARDS)
    return Outcome(tuple(without_echoes(run.decisions)), tuple(run.assumptions.values()), frozenset(run.listed))


def _without_calls(policy: ServicePolicy) -> ServicePolicy:
    """Nothing of calls is known: nobody owes answers, and how a choice falls does not matter."""
    return replace(
        policy,
        outlier_detection=replace(policy.outlier_detection, stall_after=None),
        load_balancing=replace(policy.load_balancing, slow_start=0.0),
    )


class _Run:
    def __init__(self, story: Story, policy: ServicePolicy, own_addresses: frozenset[str]) -> None:
        self._facts = story.facts
        self._now = self._facts[0].at
        self._cluster = Cluster(policy, rng=Even(), now=self._now, own_addresses=own_addresses)
        self._dials = Dials(fact for fact in story.facts if isinstance(fact, Dialled))
        self._dialling: defaultdict[str, list[Endpoint]] = defaultdict(list)
        """Probes under way, by address: the recording knows how they ended."""
        self.decisions: list[Decision] = []
        self.assumptions: dict[str, Assumption] = {}
        self.listed: set[str] = set()

    def until(self, end: float) -> None:
        """All facts, and all that time brings about until `end`."""
        for fact in self._facts:
            self._beat_until(fact.at)
            self._now = max(self._now, fact.at)
            if isinstance(fact, Dialled) and fact.probe and self._cluster.next_due <= self._now:
                self._drive()  # the heartbeat of the recording that started this probe came before
            self._decided(self._take(fact), by_time=False)
        self._beat_until(end)

    def _beat_until(self, end: float) -> None:
        """Facts win where both come at once: the application finds out what is due a little later."""
        while (beat := self._next_beat()) < end:
            self._now = beat
            self._drive()

    def _next_beat(self) -> float:
        wait = self._cluster.next_due - self._now
        return self._now + (BEAT * max(1, math.ceil(wait / BEAT)) if 0 < wait < math.inf else max(BEAT, wait))

    def _drive(self) -> None:
        self._decided(self._cluster.tick(self._now), by_time=True)
        for endpoint in self._cluster.probes_due(self._now):
            self._probe(endpoint)

    def _probe(self, endpoint: Endpoint) -> None:
        now, address = self._now, endpoint.address
        if self._dials.is_under_way(address, now, patience=self._cluster.policy.timeouts.connect):
            self._dialling[address].append(endpoint)
            return
        answer = self._dials.known(address, now)
        if answer.assumed(now):
            self.assumptions.setdefault(address, Assumption(now, address, answer))
        self._decided(self._cluster.probed(endpoint, answer.failure, now), by_time=True)

    def _take(self, fact: Fact) -> Sequence[Event]:
        cluster, now = self._cluster, self._now
        match fact:
            case Listed(push=push):
                self.listed.update(one.address for one in push.instances)
                return cluster.apply(replace(push, epoch=0), now)  # none was stale, whatever session it came by
            case Connected(second_node=second_node):
                return cluster.registry_connected(now, second_node=second_node)
            case Disconnected():
                return cluster.registry_disconnected(now)
            case Dialled():
                return [event for events in self._dialled(fact) for event in events]
            case Heard():
                return [event for said in self._said(fact) for event in cluster.hear(said, now)]
            case Ordered():
                return self._ordered(fact)

    def _dialled(self, fact: Dialled) -> Iterator[Sequence[Event]]:
        """Whoever waits for this dial has its end; else it is one that a call has made."""
        cluster, now = self._cluster, self._now
        known = cluster.endpoints.get(fact.address)
        waiting = self._dialling.pop(fact.address, ())
        for endpoint in waiting:
            events = cluster.probed(endpoint, fact.failure, now)
            yield events if endpoint is known else ()  # the dial was meant for whoever has come in its place
        nobody_would = fact.probe and cluster.policy.protection.probe is Probe.NONE
        if known is None or known in waiting or nobody_would:
            return
        if fact.failure is None:
            yield cluster.report_connected(known, 0.0, now)
        elif (chosen := cluster.pick(now, set(cluster.endpoints.values()) - {known})) is not None:
            yield cluster.report_failure(chosen, fact.failure, now)

    def _said(self, fact: Heard) -> Sequence[Statement | Silence]:
        if fact.verdict == Verdict.SILENT.value:
            return [Silence(self._cluster.name, tuple(fact.server.split(",")), self._now)] * IN_VAIN
        return [self._statement(fact)]

    def _statement(self, fact: Heard) -> Statement:
        """What the node must have listed, as far as those go that are held."""
        view = View.EVERYTHING if fact.verdict == "switched_off" else View.OFFERED
        held = {address: self._cluster.endpoints[address].instance for address in self._cluster.guard.held}
        if fact.verdict == "disagrees":
            listed: list[Instance] = list(held.values())
        else:
            listed = [one for address, one in held.items() if address in fact.lists]
        if view is View.EVERYTHING:
            listed = [replace(one, enabled=False) for one in listed]
        return Statement(self._cluster.name, view, fact.server, tuple(listed), self._now)

    def _ordered(self, fact: Ordered) -> Sequence[Event]:
        cluster, now, address = self._cluster, self._now, fact.address
        match fact.what:
            case Order.HOLD:
                return cluster.hold(fact.seconds, now)
            case Order.OBEY:
                return cluster.obey(now)
            case Order.EJECT if address in cluster.endpoints:
                return cluster.eject(address, fact.seconds, now)
            case Order.RESTORE if address in cluster.endpoints or address in cluster.shut:
                return cluster.restore(address, now)
        return ()

    def _decided(self, events: Sequence[Event], *, by_time: bool) -> None:
        self.decisions += decisions(events, self._now, by_time=by_time)
