"""The order of choice: who is asked first, and who only when those are all gone.

An endpoint that may be used stands in one tier, for its state; the first tier that has anyone is chosen from. With a
preferred cluster its members come before the rest of the first tier. All of this is made anew only when a state or a
weight has changed, so that a choice costs the same among three and among five hundred.
"""

import enum
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from sidecar.cluster.balancer import Chooser, chooser
from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.policy import LoadBalancing
from sidecar.cluster.rng import Rng

RAMP_START = 0.1
"""Share of its weight that an endpoint starts with: enough to warm up, too little to hurt."""

_AVAILABLE, _HELD = State.AVAILABLE, State.HELD
_PROBATION, _QUARANTINED = State.PROBATION, State.QUARANTINED

ONE_AT_A_TIME = frozenset({State.PROBATION, State.QUARANTINED})
"""States in which one request tries whether the endpoint is well again; meanwhile others go there only where nobody better is
left, and to one that refused not at all."""


class Tier(enum.IntEnum):
    """In this order."""

    PREFERRED = 0
    FIRST = 1
    LEAVING = 2
    STALLED = 3
    UNPROVEN = 4
    EJECTED = 5


_UNPROVEN = Tier.UNPROVEN

_TIERS: Mapping[State, Tier] = MappingProxyType(
    {
        State.AVAILABLE: Tier.FIRST,
        State.PROBATION: Tier.FIRST,
        State.QUARANTINED: Tier.FIRST,
        State.LEAVING: Tier.LEAVING,
        State.STALLED: Tier.STALLED,
        State.EJECTED: Tier.EJECTED,
    }
)


def tier_of(endpoint: Endpoint) -> Tier | None:
    """Where an endpoint stands; None: it may not be used."""
    state = endpoint.state
    if state is _HELD:
        return _tier_of_living(endpoint) if endpoint.hold is not None and endpoint.hold.alive else _UNPROVEN
    if state is _QUARANTINED and not endpoint.trial:
        return None
    if endpoint.on_trial and state in ONE_AT_A_TIME:
        return _UNPROVEN if state is _PROBATION else None
    return _TIERS.get(state)


def _tier_of_living(endpoint: Endpoint) -> Tier:
    """A held one stands where it would if it were listed: a graceful stop looks like a doubted absence too."""
    if endpoint.leaving_until > -math.inf:
        return Tier.LEAVING
    return Tier.STALLED if endpoint.stalled else Tier.FIRST


def ramped(endpoint: Endpoint, slow_start: float, now: float) -> float:
    """What an endpoint counts now: its weight, from 10 % on growing evenly for `slow_start` seconds."""
    if endpoint.ramp_from is None:
        return endpoint.instance.weight
    passed = now - endpoint.ramp_from
    if passed >= slow_start:
        endpoint.ramp_from = None
        return endpoint.instance.weight
    return endpoint.instance.weight * (RAMP_START + (1.0 - RAMP_START) * passed / slow_start)


class Choice:
    """The tiers as they stand, and the chooser over the first of them."""

    __slots__ = ("_policy", "_rng", "_tiers", "choose", "tier")

    def __init__(self, endpoints: Iterable[Endpoint], policy: LoadBalancing, *, rng: Rng, now: float) -> None:
        tiers: dict[Tier, list[Endpoint]] = {tier: [] for tier in Tier}
        first = tiers[Tier.FIRST]
        trials: list[Endpoint] = []
        for endpoint in endpoints:
            if endpoint.state is _AVAILABLE:  # as most are, of perhaps five thousand
                found = first
            elif (tier := tier_of(endpoint)) is not None:
                found = tiers[tier]
                if found is first and endpoint.state in ONE_AT_A_TIME:
                    trials.append(endpoint)
            else:
                continue
            found.append(endpoint)
            weight = endpoint.instance.weight
            endpoint.weight = weight if endpoint.ramp_from is None else ramped(endpoint, policy.slow_start, now)
        if policy.prefer_cluster is not None:
            preferred = tiers[Tier.PREFERRED] = [e for e in first if e.instance.cluster == policy.prefer_cluster]
            trials = [e for e in trials if e.instance.cluster == policy.prefer_cluster] if preferred else trials
        self._policy = policy
        self._rng = rng
        self._tiers = [found for found in tiers.values() if found]
        draw = chooser(policy.policy, self._tiers[0], rng) if self._tiers else None
        self.choose: Chooser | None = _trying(trials, draw, len(self._tiers[0]), rng) if draw and trials else draw
        """Draws from the first tier; None when nobody may be used."""
        self.tier: Tier | None = tier_of(self._tiers[0][0]) if self._tiers else None
        """Where those stand that it draws."""

    def choose_without(self, excluded: Collection[Endpoint], now: float) -> Endpoint | None:
        """One that is not `excluded`, of the first tier that has one."""
        if self.choose is None:
            return None
        endpoint = self.choose(now)
        if endpoint not in excluded:
            return endpoint
        for tier in self._tiers:
            if left := [e for e in tier if e not in excluded]:
                return chooser(self._policy.policy, left, self._rng)(now)
        return None


def _trying(trials: Sequence[Endpoint], choose: Chooser, count: int, rng: Rng) -> Chooser:
    """Each of `trials` has its turn, whatever it carries: beside idle ones a stream from before would keep it from ever being drawn."""

    def try_or_choose(now: float) -> Endpoint:
        turn = int(rng.random() * count)
        return trials[turn] if turn < len(trials) and not trials[turn].on_trial else choose(now)

    return try_or_choose
