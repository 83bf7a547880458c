"""Which service to ask next, and when. Pure: `now` is an argument, nothing is sent from here.

Why: a registry client may be deaf while it looks healthy, so every list is asked for again, past all caches.
When a service is due, the earliest of:
  settled      2 s after its last push: a second look once the server's own queries have caught up (they lag 0.8 s)
  in doubt     1 s after it was last asked, while the data path doubts its list; a long list after the first time more
               rarely, since two megabytes a second from each of a thousand sidecars are more than a node can give
  reconciled   within `reconcile` after it was last asked: a share of it that varies, so that a fleet does not ask in step
  again        at the moment somebody names: a differing answer, an error
and some service at least every `liveness` seconds, as proof of life: doubted ones first, long lists last, and of
several whoever waited longest.
Bounds: 20 queries a second unless `spacing` says otherwise, 8 in flight, one in flight per service. Of many services a
few are asked together, those that would be reconciled soon along with one that is due: a process that wakes up for one
question after a pause needs several times what one question needs that is asked beside others.
"""

import math
import operator
from collections.abc import Collection, Iterable

from sidecar.clock import Rng
from sidecar.discovery.session import ServiceKey

SETTLE = 2.0
DOUBT_INTERVAL = 1.0
PER_INSTANCE = 0.002
"""Seconds between two questions in doubt for each instance of the last answer: 500 are asked for each second."""

SPACING = 1 / 20
MAX_IN_FLIGHT = 8

TOGETHER = 4
"""Questions that go out at once, after a pause in which they could have gone out one by one, and before such a pause."""

_SLACK = 1 / 30
"""Share of `reconcile` by which one may be early or late for that."""

_SOONEST, _SPREAD = 0.75, 0.2
"""Shares of `reconcile`. It is a promise, so none is later; a lost push is made good 3 s after the question, and the
rest is for that question to wait its turn and for the next session to open."""


class _Turn:
    """What is known of one service's turns; whoever changes a time calls `plan`."""

    __slots__ = ("again_at", "asked_at", "doubted", "due_at", "in_flight", "instances", "key", "pause", "reconcile_at")

    def __init__(self, key: ServiceKey, reconcile_at: float, now: float) -> None:
        self.key = key
        self.asked_at = now
        self.reconcile_at = reconcile_at
        self.again_at = math.inf
        self.doubted = False
        self.pause = DOUBT_INTERVAL
        """Seconds between questions while it is in doubt."""
        self.instances = 0
        """Of its last answer."""
        self.in_flight = False
        self.due_at = reconcile_at

    def plan(self) -> None:
        """The earliest of its times."""
        doubted_at = self.asked_at + self.pause if self.doubted else math.inf
        self.due_at = min(self.again_at, self.reconcile_at, doubted_at)

    @property
    def age(self) -> tuple[bool, bool, float]:
        """Doubted ones first, long lists last, then whoever waited longest."""
        long = self.instances * PER_INSTANCE > DOUBT_INTERVAL
        return long, not self.doubted, self.asked_at


_DUE_AT = operator.attrgetter("due_at")
_AGE = operator.attrgetter("age")


class Planner:
    """The turns of all services of one session."""

    __slots__ = (
        "_alive_by",
        "_company",
        "_in_flight",
        "_known",
        "_liveness",
        "_next_slot",
        "_reconcile",
        "_rested_at",
        "_rng",
        "_slack",
        "_spacing",
        "_together_until",
        "_turns",
    )

    def __init__(
        self,
        keys: Iterable[ServiceKey],
        *,
        liveness: float,
        reconcile: float,
        rng: Rng,
        now: float,
        spacing: float = SPACING,
    ) -> None:
        self._spacing = spacing
        self._liveness = liveness
        self._reconcile = reconcile
        self._rng = rng
        self._turns = {key: _Turn(key, now + self._jittered_reconcile(), now) for key in keys}
        self._in_flight = 0
        self._next_slot = now
        self._slack = reconcile * _SLACK
        self._company = 0
        """How many may still go along with the last question,"""
        self._together_until = now
        """if they are due by then."""
        self._rested_at = now
        """When a question may take company along again."""
        self._alive_by = now + liveness
        self._known: tuple[ServiceKey | None, float] | None = None
        """Who is next and when; None: something has changed since."""

    def __repr__(self) -> str:
        doubted = sum(turn.doubted for turn in self._turns.values())
        return f"<Planner: {len(self._turns)} services, {doubted} in doubt, {self._in_flight} in flight>"

    def due(self, now: float) -> ServiceKey | None:
        """Whom to ask now; the caller reports `asked` before it calls again."""
        key, at = self._next()
        return key if at <= now else None

    def wake_at(self) -> float:
        """When `due` will have an answer if nothing happens before; infinite while all that may be asked is asked."""
        return self._next()[1]

    def asked(self, key: ServiceKey, now: float) -> None:
        """A query of `key` is on its way."""
        turn, self._known = self._turns[key], None
        turn.in_flight = True
        turn.asked_at = now
        turn.again_at = math.inf
        turn.reconcile_at = now + self._jittered_reconcile()
        turn.plan()
        self._in_flight += 1
        self._take_slot(now)
        self._alive_by = now + self._liveness * (1 - 0.2 * self._rng.random())

    def done(self, key: ServiceKey, instances: int | None = None) -> None:
        """The query of `key` has ended, however; with a list of so many instances, or with none."""
        turn = self._turns[key]
        turn.in_flight = False
        if instances is not None:
            turn.instances = instances
        turn.pause = max(DOUBT_INTERVAL, PER_INSTANCE * turn.instances)
        turn.plan()
        self._in_flight -= 1
        self._known = None

    def pushed(self, key: ServiceKey, now: float) -> None:
        """A list of `key` came by itself."""
        turn, self._known = self._turns[key], None
        turn.again_at = now + SETTLE
        turn.plan()

    def again(self, key: ServiceKey, at: float) -> None:
        """`key` is to be asked at `at`, unless it is due before."""
        turn, self._known = self._turns[key], None
        turn.again_at = min(turn.again_at, at)
        turn.plan()

    def hurry(self, now: float) -> None:
        """A query went unanswered: the next sign of life is wanted at once."""
        self._alive_by = now
        self._known = None

    def doubt(self, keys: Collection[ServiceKey]) -> None:
        """Replaces the set of services that are asked each second; whoever is new in it is asked within one."""
        self._known = None
        for key, turn in self._turns.items():
            doubted = key in keys
            if doubted and not turn.doubted:
                turn.pause = DOUBT_INTERVAL
            turn.doubted = doubted
            turn.plan()

    def _next(self) -> tuple[ServiceKey | None, float]:
        if self._known is None:
            self._known = self._look()
        return self._known

    def _look(self) -> tuple[ServiceKey | None, float]:
        if self._in_flight >= MAX_IN_FLIGHT:
            return None, math.inf
        free = [turn for turn in self._turns.values() if not turn.in_flight]
        if not free:
            return None, math.inf
        turn = min(free, key=_DUE_AT)
        at = turn.due_at
        if at == turn.reconcile_at:
            if self._company > 0 and at <= self._together_until:
                return turn.key, -math.inf
            at = max(at, min(at + self._slack, self._rested_at))
        if at > self._alive_by:
            turn, at = min(free, key=_AGE), self._alive_by
        return turn.key, max(at, self._next_slot)

    def _take_slot(self, now: float) -> None:
        """A question ahead of the next slot goes along with the last one, and the slot after them is later for it."""
        if now < self._next_slot:
            self._company -= 1
            self._next_slot += self._spacing
            return
        self._company = TOGETHER - 1 if now >= self._rested_at else 0
        self._together_until = now + self._slack
        self._rested_at = now + TOGETHER * self._spacing
        self._next_slot = now + self._spacing

    def _jittered_reconcile(self) -> float:
        return self._reconcile * (_SOONEST + _SPREAD * self._rng.random())
