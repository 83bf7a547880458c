"""The whole of one service: lists go in, endpoints come out, and all that happened comes back as events.

The parts decide, each in a module of its own; this one asks them in order, keeps the count of states and the tiers
of choice, and knows when time alone will change something (`next_due`).
"""

import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence

from sidecar.cluster.addresses import Claims
from sidecar.cluster.allowance import Allowance
from sidecar.cluster.backlog import SLICE
from sidecar.cluster.choice import ONE_AT_A_TIME, Choice, Tier, tier_of
from sidecar.cluster.endpoint import Endpoint, LastFailure, State, state_of
from sidecar.cluster.events import (
    EndpointEjected,
    EndpointLeaving,
    EndpointQuarantined,
    EndpointRecovered,
    EndpointRestored,
    EndpointStalled,
    Event,
    HoldOrdered,
    ObeyOrdered,
    PanicEntered,
    PanicLeft,
    Probed,
)
from sidecar.cluster.guard import Proof
from sidecar.cluster.instance import Instance, Origin, Push, Silence, Statement
from sidecar.cluster.leaving import LEAVING_FOR, signal
from sidecar.cluster.membership import Membership
from sidecar.cluster.outlier import GATEWAY_STATUSES, OutlierDetector
from sidecar.cluster.policy import Probe, ServicePolicy
from sidecar.cluster.quarantine import Quarantine, Reach
from sidecar.cluster.rng import Rng
from sidecar.cluster.schedule import BURST, PROBES_A_SECOND, Schedule
from sidecar.cluster.stall import StallWatch, give_up, owed
from sidecar.cluster.stats import ServiceStats
from sidecar.cluster.verdict import news
from sidecar.errors import Blame, Failure, Sent

PENALTY = 5.0
"""Seconds for which a failure counts as one more request in flight."""

NEWS = 10.0
"""Seconds for which a quarantine is news that the registry may know more of."""

MANY = 256
"""Endpoints up to which every change of a state is heeded at once by the choice; beyond, whoever is drawn is asked."""

PATIENCE = 25e-6
"""Seconds for each endpoint until a choice among many is made anew: making it costs one hundredth of that."""

PACE = 0.02
"""Seconds between two slices of a backlog that nobody but `tick` works off."""

NOTHING: Sequence[Event] = ()

_AVAILABLE = State.AVAILABLE
_LOST = frozenset({"reset", "closed"})
_USED_BEFORE_EJECTED = frozenset({State.AVAILABLE, State.PROBATION, State.HELD, State.LEAVING, State.STALLED})
_EARNED = frozenset({State.EJECTED, State.PROBATION})
_PROBE_WORDS = {"refused": "refused", "connect_timeout": "timeout", "tls": "tls"}
"""Failures of a dial in the words of `sidecar_probes_total`; all others are `unreachable`."""


class Cluster:
    """One service: which endpoints it has, which of them may be used, and what to ask of them next.

    Every successful `pick` is followed by exactly one `report_answer` or `report_failure` for it. `now` is loop
    time in seconds and never falls.
    """

    def __init__(
        self,
        policy: ServicePolicy,
        *,
        rng: Rng,
        now: float,
        own_addresses: frozenset[str] = frozenset(),
        dials: Allowance | None = None,
        claims: Claims | None = None,
        stats: ServiceStats | None = None,
    ) -> None:
        """`dials`: the probes that it may begin together with other services; default: as many as a service may.

        `claims`: where its addresses are said to be its own; `stats`: shared with others; default: its own, both.
        """
        self.policy = policy
        self.name = policy.name
        self.stats = stats or ServiceStats()
        self.panic = False
        """Only ejected endpoints are left, and they are used."""
        self.next_due = math.inf
        """When `tick` and `probes_due` have something to do."""
        self._members = Membership(policy, stats=self.stats, own=own_addresses, now=now, claims=claims)
        self._roster = self._members.roster
        self.endpoints = self._roster.endpoints
        """By address; those that left stay until nothing of theirs is in flight."""
        self.guard = self._members.guard
        self._outliers = OutlierDetector(
            policy.outlier_detection, name=policy.name, endpoints=self.endpoints, stats=self.stats
        )
        self._stalls = StallWatch(self.stats.answer_time, now)
        self._rng = rng
        self._schedule = Schedule(policy, now, dials or Allowance(PROBES_A_SECOND, BURST, now))
        self._penalties: deque[tuple[float, Endpoint]] = deque()
        self._present = dict.fromkeys(State, 0)
        """How many of those present are in each state."""
        self._members_due = math.inf
        """When the membership's `tick` has something to do."""
        self._worked_at = -math.inf
        """When a slice of the backlog was done last."""
        self._choice = Choice((), policy.load_balancing, rng=rng, now=now)
        self._chosen_at = now
        self._choose_by = math.inf
        """From when on the choice has to be made anew: a state or a weight changed."""
        self._due = math.inf
        """As `next_due`, the looks for stalls apart: those are many and cheap."""
        self._at_rest = False
        """Nothing is in flight, so nobody is looked at."""
        self._news_for_waiting = False
        """The choice changed while requests wait: whoever has the time pass is to see whether they can go."""

    def __repr__(self) -> str:
        states = self.states()
        shown = ", ".join(f"{states[state]} {state.value}" for state in reversed(State) if states[state])
        return f"<Cluster {self.name}: {shown or 'no instances'}>"

    # What others read

    @property
    def has_list(self) -> bool:
        """The readiness latch: a first list is in."""
        return self._members.has_list

    @property
    def ever_listed(self) -> bool:
        """Any list so far had an instance that passes the filters."""
        return self._members.ever_listed

    @property
    def offered(self) -> int:
        """Instances on the latest list, before the filters."""
        return self._members.offered

    @property
    def origin(self) -> Origin | None:
        """Where the list in force came from."""
        return self._members.origin

    @property
    def confirmed_at(self) -> float | None:
        """When the registry last said anything of this service."""
        return self._members.confirmed_at

    @property
    def remembered(self) -> int:
        """Addresses of instances that left and by which it can still be called."""
        return self._roster.claims.remembered

    @property
    def waiting(self) -> int:
        """Requests held until something is usable; set by the proxy. While there are any, probes hurry."""
        return self._schedule.waiting

    @waiting.setter
    def waiting(self, count: int) -> None:
        if count and not self._schedule.waiting:
            self._due = self.next_due = -math.inf
        self._schedule.waiting = count

    @property
    def shut(self) -> Mapping[str, float]:
        """Addresses that the operator keeps out, listed or not, and until when."""
        return self._roster.shut

    def states(self) -> Counter[State]:
        """How many endpoints are in each state."""
        return Counter(endpoint.state for endpoint in self.endpoints.values())

    def in_force(self) -> tuple[Instance, ...]:
        """The snapshot: what is listed and what is held."""
        return self._roster.in_force()

    def usable(self, now: float) -> bool:
        """Whether `pick` has anyone to offer."""
        if self._choose_by < math.inf:
            self._sort(now)
        return self._choice.choose is not None

    @property
    def stalling(self) -> bool:
        """Somebody has fallen silent, as far as the last look showed."""
        return self._stalls.found

    def doubtful(self, now: float) -> bool:
        """Whether the registry should be asked each second: something is held, newly out, or nothing is usable."""
        if self.guard.held or not (self._present[State.AVAILABLE] or self.usable(now)):
            return True
        if not self._present[State.QUARANTINED]:
            return False
        return any(e.refusing and now - e.quarantine.since < NEWS for e in self.endpoints.values() if e.quarantine)

    def next_hope(self, now: float) -> float | None:
        """Seconds until the next probe or the end of an ejection; None when neither is to come."""
        hopes = [until for e in self.endpoints.values() if e.state is not State.LEAVING and (until := e.until())]
        return max(0.0, min(hopes) - now) if hopes else None

    # The list

    def apply(self, push: Push, now: float) -> list[Event]:
        """Judges a list as it arrived and puts in force what is believed of it, however long that takes."""
        events = self.take(push, now)
        while self.behind:
            events += self.go_on(now)
        return events

    def take(self, push: Push, now: float) -> list[Event]:
        """The same, a slice of it: whoever has other things to do goes on with `go_on` for as long as it is `behind`.

        In between this is a service like any other. Whatever it is still behind with comes first.
        """
        events: list[Event] = []
        while self.behind:
            events += self.go_on(now)
        events += self._members.take(push, now)
        if len(push.instances) <= SLICE:
            return self._done(events, now)
        self._worked_at = now  # the reading of it was a slice already
        self._members_due = self._members.next_due(now)
        return self._settle_touched(events, now)

    @property
    def behind(self) -> bool:
        """Something is decided and not yet done to all whom it concerns."""
        return bool(self._members.backlog)

    def go_on(self, now: float) -> list[Event]:
        """Does the next slice of that."""
        return self._done([], now)

    def malformed(self, now: float) -> list[Event]:
        """A list could not be read: what was known stays in force."""
        del now
        self.stats.pushes["malformed"] += 1
        return []

    def hear(self, said: Statement | Silence, now: float) -> list[Event]:
        """A registry node answered what was asked about held endpoints, or none did."""
        return self._done(self._members.hear(said, now), now)

    def registry_connected(self, now: float, *, epoch: int | None = None, second_node: bool = False) -> list[Event]:
        """A registry session is open: for a minute whatever its lists miss is doubted, and those of earlier ones are old."""
        if epoch is not None:
            self._members.connected(epoch)
        self.guard.connected(now, second_node=second_node)
        return self._done([], now)

    def registry_disconnected(self, now: float) -> list[Event]:
        """The registry cannot be asked: nothing changes, and holds do not age."""
        self.guard.disconnected(now)
        return self._done([], now)

    def update_policy(self, policy: ServicePolicy, now: float) -> list[Event]:
        """Another policy with the same discovery: endpoints keep what we saw of them."""
        self.policy = policy
        self._members.update_policy(policy, now)
        if policy.protection.probe is not Probe.NONE:
            for endpoint in self.endpoints.values():
                endpoint.trial = False
        self._outliers.policy = policy.outlier_detection
        self._schedule.policy = policy
        lifted = policy.outlier_detection.stall_after is None
        events = self._told_of_stalls(self._stalls.acquit(self.endpoints.values()), now) if lifted else []
        return self._done(events, now)

    def update_own(self, addresses: frozenset[str], now: float) -> list[Event]:
        """Our own addresses are others now: an endpoint there would be ourselves, one that was no longer is."""
        events = self._roster.update_own(addresses)
        return events + self._done([], now) if self._roster.touched else events

    def retire(self, now: float) -> None:
        """Another cluster takes its place under its name, or none: its addresses have left."""
        self._roster.claims.close(now)

    # The operator

    def obey(self, now: float) -> list[Event]:
        """Drop now: the latest list is believed, all that is held is let go, and so is an order to hold."""
        self._members.obey(now)
        return self._done([ObeyOrdered(service=self.name)], now)

    def hold(self, ttl: float, now: float) -> list[Event]:
        """Hold now: nothing in use is removed for `ttl` seconds, whatever lists and connects say."""
        self.guard.order(now + ttl)
        return self._done([HoldOrdered(service=self.name, for_s=ttl)], now)

    def eject(self, address: str, ttl: float, now: float) -> list[Event]:
        """Takes an endpoint out for `ttl` seconds, even the last one; KeyError when there is none at this address."""
        endpoint = self.endpoints[address]
        self._roster.shut = {one: until for one, until in self._roster.shut.items() if until > now}
        endpoint.shut_until = self._roster.shut[address] = now + ttl
        told = EndpointEjected(service=self.name, endpoint=address, reason="operator", for_s=ttl, times=0)
        return self._after(endpoint, [told], now)

    def restore(self, address: str, now: float) -> list[Event]:
        """Lifts `eject`, quarantine and ejection; KeyError when this address is neither an endpoint nor ejected."""
        endpoint = self.endpoints.get(address)
        if endpoint is None:
            del self._roster.shut[address]
            return []
        lifted = [endpoint.shut, endpoint.refusing, self._outliers.pardon(endpoint)]
        endpoint.quarantine, endpoint.trial = None, False
        return self._after(endpoint, self._readmit(endpoint, "operator", now) if any(lifted) else [], now)

    # Requests

    def pick(self, now: float, excluded: Collection[Endpoint] = (), *, wary: bool = False) -> Endpoint | None:
        """An endpoint for one attempt, counted in its `in_flight`; None when there is none.

        `excluded` ones are never returned: None while `usable()` means that only they are left. `wary`: the attempt must
        not be lost, so it goes to one that stalled and was not heard since only where nobody else is left.
        """
        if wary and self._stalls.unheard:
            excluded = self._without_unheard(excluded, now)
        if now >= self._choose_by:
            self._sort(now)
        if self._at_rest:
            self._stir(now)
        if excluded:
            endpoint = self._choice.choose_without(excluded, now)
        else:
            endpoint = choose(now) if (choose := self._choice.choose) is not None else None
        if endpoint is None:
            return None
        if endpoint.state is not _AVAILABLE:
            return self._pick_with_care(endpoint, excluded, now)
        endpoint.in_flight += 1
        return endpoint

    def pick_dialled(
        self, address: str, now: float, excluded: Collection[Endpoint] = (), *, wary: bool = False
    ) -> Endpoint | None:
        """As `pick`, the endpoint that the app chose itself; None unless it is available."""
        endpoint = self.endpoints.get(address)
        if endpoint is None or endpoint.state is not _AVAILABLE or endpoint in excluded:
            return None
        if wary and endpoint.unheard_until > now:
            return None
        if self._at_rest:
            self._stir(now)
        endpoint.in_flight += 1
        return endpoint

    def report_connected(self, endpoint: Endpoint, seconds: float, now: float) -> Sequence[Event]:
        """A dial for an attempt succeeded after so many seconds; the attempt goes on."""
        self.stats.connect_duration.observe(seconds)
        if endpoint.quarantine is None and endpoint.hold is None:
            return NOTHING
        return self._after(endpoint, self._reached(endpoint, Proof.CONNECT, now), now)

    def report_answering(self, endpoint: Endpoint, now: float) -> Sequence[Event]:
        """An attempt that goes on is being answered well; its end is reported all the same."""
        if endpoint.state is not State.PROBATION:
            return NOTHING
        return self._after(endpoint, self._outliers.answering(endpoint, now), now)

    def report_answer(
        self, endpoint: Endpoint, status: int, now: float, *, leaving: bool = False, closing: bool = False
    ) -> Sequence[Event]:
        """An attempt ended with a complete answer.

        `leaving`: it came with `Retry-After` (503) or the `leaving_header`; `closing`: with `Connection: close`.
        """
        endpoint.in_flight -= 1
        endpoint.requests += 1
        if endpoint.plain and status < 500 and not closing and not leaving:
            return NOTHING
        endpoint.on_trial = False  # or an older one has ended: then two may try it at once
        events = self._reached(endpoint, Proof.ANSWER, now)
        if self.policy.outlier_detection.leaving_signals:
            events += self._heed(endpoint, signal(endpoint, status, announced=leaving, closing=closing), now)
        if status < 500:
            events += self._outliers.good(endpoint, now)
        else:
            self._note_failure(endpoint, str(status), now)
            events += self._outliers.bad(endpoint, now, gateway=status in GATEWAY_STATUSES)
        return self._after(endpoint, events, now)

    def report_failure(
        self, endpoint: Endpoint, failure: Failure, now: float, *, reused: bool = False, silent: float = 0.0
    ) -> Sequence[Event]:
        """An attempt ended without a complete answer.

        `reused`: on a connection that had served before; that it was closed says nothing of the endpoint.
        `silent`: seconds since the request was written completely without a byte of an answer, else 0.
        """
        endpoint.in_flight -= 1
        endpoint.requests += 1
        endpoint.on_trial = False
        lost = failure.reason in _LOST
        stall_after = self.policy.outlier_detection.stall_after
        if stall_after is not None and silent >= stall_after and not lost:
            give_up(endpoint, silent=silent, now=now)
        if failure.blame is not Blame.INSTANCE or (lost and reused and not endpoint.stalled):
            return self._after(endpoint, [], now)
        self._note_failure(endpoint, failure.reason, now)
        if failure.sent is Sent.NOTHING or (lost and endpoint.stalled):
            events = self._unconnectable(endpoint, failure, now)
        else:
            events = self._outliers.bad(endpoint, now, gateway=True)
        return self._after(endpoint, events, now)

    # Time and probes

    def tick(self, now: float) -> list[Event]:
        """Does what time alone brings about; to be called when `next_due` has come."""
        events = self._look_for_stalls(now)
        if now < self._due:
            self.next_due = min(self._due, self._next_look())
            return self._with_panic(events)
        self._news_for_waiting = False
        self._schedule.hurry(self.endpoints.values())
        paced = self.behind and now - self._worked_at < PACE
        if now >= self._members_due:
            self._members.tick(now)
        while self._penalties and self._penalties[0][0] <= now:
            self._penalties.popleft()[1].penalty -= 1
        if self._schedule.take_step(now):
            self._choose_anew()
        for endpoint in self._schedule.take_turns(now):
            events += self._take_turn(endpoint, now)
        return self._settle_touched(events, now) if paced else self._done(events, now)

    def probes_due(self, now: float, *, most: int = BURST) -> list[Endpoint]:
        """Endpoints to dial now, longest untried first, at most so many; each is reported by `probed` exactly once."""
        if now < self._due:
            return []
        self._schedule.hurry(self.endpoints.values())
        chosen = self._schedule.dial(now, most=most)
        self._plan()
        return chosen

    def probed(self, endpoint: Endpoint, failure: Failure | None, now: float) -> list[Event]:
        """A probe ended; None is success."""
        self._schedule.dialled(endpoint)
        result = _PROBE_WORDS.get(failure.reason, "unreachable") if failure else "ok"
        self.stats.probes[result] += 1
        if endpoint.hold is not None:
            endpoint.hold.next_probe = now + self.policy.protection.probe_interval
        events: list[Event] = [Probed(service=self.name, endpoint=endpoint.address, result=result)]
        events += self._refused(endpoint, failure, now) if failure else self._reached(endpoint, Proof.PROBE, now)
        return self._after(endpoint, events, now)

    # What an observation does to one endpoint

    def _reached(self, endpoint: Endpoint, proof: Proof, now: float) -> list[Event]:
        """A dial succeeded or an answer came."""
        if proof is Proof.ANSWER and endpoint.refusing and self.policy.protection.probe is not Probe.NONE:
            return []  # over a connection from before the refusal: a process that leaves answers, and accepts no more
        if endpoint.hold is not None and endpoint.hold.seen(proof):
            self._choose_anew()
        quarantine, endpoint.quarantine = endpoint.quarantine, None
        if quarantine is None:
            return []
        endpoint.trial = False
        if quarantine.connected() is Reach.REFUSING:
            endpoint.forget_farewell()
            return [EndpointRecovered(service=self.name, endpoint=endpoint.address, after_s=now - quarantine.since)]
        if self._has_company(endpoint) and self.policy.load_balancing.slow_start:
            endpoint.ramp_from = now
        return []

    def _readmit(self, endpoint: Endpoint, by: str, now: float) -> list[Event]:
        """Nobody keeps it out any more: it starts slowly where it served before, and others serve beside it."""
        was_out = endpoint.shut or endpoint.state in _EARNED
        endpoint.shut_until = -math.inf
        self._roster.shut.pop(endpoint.address, None)
        if was_out and self.policy.load_balancing.slow_start and self._has_company(endpoint):
            endpoint.ramp_from = now
        return [EndpointRestored(service=self.name, endpoint=endpoint.address, by=by)]

    def _unconnectable(self, endpoint: Endpoint, failure: Failure, now: float) -> list[Event]:
        """An attempt could not be connected."""
        heeded = self.policy.outlier_detection.quarantine_on_connect_failure
        if heeded or endpoint.quarantine is not None or endpoint.hold is not None:
            return self._refused(endpoint, failure, now)
        return self._outliers.bad(endpoint, now, gateway=True)

    def _refused(self, endpoint: Endpoint, failure: Failure, now: float) -> list[Event]:
        """A dial failed: out at once, and for good when the list does not name it."""
        events = self._members.gone(endpoint, now) if endpoint.hold is not None else []
        if not endpoint.present:
            return events
        if endpoint.quarantine is None:
            endpoint.quarantine = Quarantine(now)
            self.stats.quarantines += 1
        quarantine = endpoint.quarantine
        known = endpoint.refusing and (not failure.cause or failure.cause == quarantine.cause)
        backoff = self.policy.outlier_detection.probe_backoff
        quarantine.failed(failure.reason, now, backoff=backoff, rng=self._rng, cause=failure.cause)
        endpoint.forget_announcements()
        if not known:
            events.append(
                EndpointQuarantined(
                    service=self.name,
                    endpoint=endpoint.address,
                    reason=failure.reason,
                    cause=failure.cause or None,
                    next_probe_s=quarantine.next_try - now,
                )
            )
        return events

    def _heed(self, endpoint: Endpoint, announcement: str | None, now: float) -> list[Event]:
        if announcement is None:
            return []
        known = endpoint.leaving_until > now
        endpoint.leaving_until = now + LEAVING_FOR
        if known:
            return []
        self._choose_anew()  # a held one keeps its state and changes its place
        return [EndpointLeaving(service=self.name, endpoint=endpoint.address, signal=announcement)]

    def _note_failure(self, endpoint: Endpoint, reason: str, now: float) -> None:
        endpoint.failures += 1
        endpoint.last_failure = LastFailure(now, reason)
        endpoint.penalty += 1
        self._penalties.append((now + PENALTY, endpoint))

    def _look_for_stalls(self, now: float) -> list[Event]:
        stall_after = self.policy.outlier_detection.stall_after
        if stall_after is None or now < self._stalls.next_look:
            return []
        events = self._told_of_stalls(self._stalls.look(self.endpoints.values(), stall_after, now), now)
        self._at_rest = self._stalls.next_look == math.inf
        return events

    def _told_of_stalls(self, changed: Iterable[Endpoint], now: float) -> list[Event]:
        events: list[Event] = []
        for endpoint in changed:
            address, silent = endpoint.address, now - endpoint.heard_at
            if endpoint.stalled:
                events.append(
                    EndpointStalled(service=self.name, endpoint=address, owed=owed(endpoint), silent_s=silent)
                )
            else:
                events.append(EndpointRecovered(service=self.name, endpoint=address, after_s=silent))
            self._choose_anew()
            self._settle(endpoint, now)
        return events

    def _without_unheard(self, excluded: Collection[Endpoint], now: float) -> Collection[Endpoint]:
        """Those too, as far as somebody better is left."""
        more = {*excluded, *(endpoint for endpoint in self._stalls.unheard if endpoint.unheard_until > now)}
        tiers = (tier_of(endpoint) for endpoint in self.endpoints.values() if endpoint not in more)
        return more if any(tier is not None and tier < Tier.STALLED for tier in tiers) else excluded

    def _stir(self, now: float) -> None:
        self._at_rest = False
        self._stalls.stir(now)
        self.next_due = min(self.next_due, self._next_look())

    def _next_look(self) -> float:
        comparable = len(self.endpoints) > 1 or self._present[State.STALLED]
        watched = self.policy.outlier_detection.stall_after is not None and comparable
        return self._stalls.next_look if watched else math.inf

    def _has_company(self, endpoint: Endpoint) -> bool:
        return any(e is not endpoint and e.present for e in self.endpoints.values())

    # Keeping states, choice and plan up to date

    def _after(self, endpoint: Endpoint, events: list[Event], now: float) -> list[Event]:
        self._roster.touched.clear()  # a hold that ended concerns this endpoint alone
        self._roster.forget(endpoint)
        events += self._follow(endpoint, now)
        self._plan()
        return self._with_panic(events)

    def _done(self, events: list[Event], now: float) -> list[Event]:
        """After anything that may concern many: the list, the policy, time. A slice of what follows is done at once."""
        if self.behind:
            self._worked_at = now
            events += self._members.backlog.work(now)
        self._members_due = self._members.next_due(now)
        return self._settle_touched(events, now)

    def _settle_touched(self, events: list[Event], now: float) -> list[Event]:
        touched = self._roster.touched
        for endpoint in touched:
            events += self._follow(endpoint, now)
        if touched:
            self._choose_anew()  # a weight may have changed where the state did not
            touched.clear()
        self._plan()
        return self._with_panic(events)

    def _follow(self, endpoint: Endpoint, now: float) -> list[Event]:
        """Its facts changed: state, verdict and turns follow."""
        self._settle(endpoint, now)
        if not self._roster.knows(endpoint):
            self._schedule.forget(endpoint)
            return []
        self._schedule.follow(endpoint, now)
        return news(endpoint, self.name, now)

    def _take_turn(self, endpoint: Endpoint, now: float) -> list[Event]:
        """Does to it what time alone does."""
        events: list[Event] = []
        self._outliers.serve(endpoint, now)
        if -math.inf < endpoint.shut_until <= now:
            events += self._readmit(endpoint, "ttl", now)
        if -math.inf < endpoint.leaving_until <= now:
            endpoint.leaving_until = -math.inf
            self._choose_anew()
        endpoint.trial = self._schedule.trial_at(endpoint) <= now
        return events + self._follow(endpoint, now)

    def _settle(self, endpoint: Endpoint, now: float) -> None:
        before, endpoint.state = endpoint.state, state_of(endpoint)
        if endpoint.state is not before:
            endpoint.on_trial = False
            if before is State.AVAILABLE and endpoint.ejection is not None:
                endpoint.ejection.available += now - endpoint.since
            endpoint.since = now
            self._choose_anew()
        elif endpoint.trial or endpoint.state is State.PROBATION:
            self._choose_anew()
        self._count(endpoint)
        endpoint.plain = self._is_plain(endpoint)

    def _count(self, endpoint: Endpoint) -> None:
        state = endpoint.state if endpoint.present else None
        if state is endpoint.counted:
            return
        if endpoint.counted is not None:
            self._present[endpoint.counted] -= 1
        if state is not None:
            self._present[state] += 1
        endpoint.counted = state

    def _is_plain(self, endpoint: Endpoint) -> bool:
        policy = self.policy.outlier_detection
        return (
            endpoint.state is State.AVAILABLE
            and not endpoint.consecutive_failures
            and not endpoint.closes
            and (endpoint.keeps_alive or not policy.leaving_signals)
            and policy.success_rate_threshold is None
        )

    def _choose_anew(self) -> None:
        """A state or a weight changed: soon, or at once where that costs nothing or where nobody can be chosen."""
        self._news_for_waiting |= self.waiting > 0
        many = len(self.endpoints)
        if many <= MANY or self._choice.choose is None:
            self._choose_by = -math.inf
        else:
            self._choose_by = min(self._choose_by, self._chosen_at + PATIENCE * many)

    def _sort(self, now: float) -> None:
        self._chosen_at, self._choose_by = now, math.inf
        self._choice = Choice(self.endpoints.values(), self.policy.load_balancing, rng=self._rng, now=now)

    def _pick_with_care(self, endpoint: Endpoint, excluded: Collection[Endpoint], now: float) -> Endpoint | None:
        """Whoever was drawn may be out since the choice was made, and some serve one request at a time."""
        if self._choose_by < math.inf and tier_of(endpoint) is not self._choice.tier:
            self._sort(now)
            return self.pick(now, excluded)
        endpoint.in_flight += 1
        if endpoint.state in ONE_AT_A_TIME:
            endpoint.trial, endpoint.on_trial = False, True
            self._choose_anew()
        return endpoint

    def _with_panic(self, events: list[Event]) -> list[Event]:
        states = self._present
        panic = states[State.EJECTED] > 0 and not any(states[state] for state in _USED_BEFORE_EJECTED)
        if panic is not self.panic:
            self.panic = panic
            events.append(PanicEntered(service=self.name) if panic else PanicLeft(service=self.name))
        return events

    def _plan(self) -> None:
        """Finds out when something is to be done next."""
        due = min(self._schedule.next_due(), self._members_due)
        if self._penalties:
            due = min(due, self._penalties[0][0])
        if self.behind:
            due = min(due, self._worked_at + PACE)
        if self._news_for_waiting:
            due = -math.inf
        self._due = due
        self.next_due = min(due, self._next_look())
