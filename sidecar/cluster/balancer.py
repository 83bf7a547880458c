"""Choosing one of several equal endpoints. All policies share out by weight; none knows why an endpoint is here.

- least_request  two candidates drawn by weight, the less loaded one for its weight wins; equal: the first drawn. Among
                 equal weights the first is drawn as from a deck of cards: each comes up once before any comes up again.
                 Many such are played by hands: some come round again and again for a few milliseconds, while they are idle
- round_robin    smooth: each gets its turns spread evenly, not in a block
- random         one draw by weight

Load is requests in flight, plus one for each failure of the last five seconds: an endpoint that fails fast would
look idle and attract the traffic that it fails.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from heapq import heapify, heapreplace
from itertools import accumulate
from typing import Protocol

from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.policy import Balancing
from sidecar.cluster.rng import Rng

_AVAILABLE = State.AVAILABLE

HAND = 32
"""Among more endpoints than these, so many are at hand. When an app made calls over 32 connections at once, one in five of 16
had not answered yet when it came round again, and one in sixteen of 24."""

TURN = 0.02
"""Seconds for which an endpoint stays at hand: long beside the first call over cold memory, short for who looks at shares."""


class Chooser(Protocol):
    """Picks one of the endpoints that it was made for."""

    def __call__(self, now: float, /) -> Endpoint:
        """The next endpoint; there is always one."""
        ...


def chooser(policy: Balancing, endpoints: Sequence[Endpoint], rng: Rng) -> Chooser:
    """A chooser over `endpoints` (at least one) by their present `weight`."""
    if len(endpoints) == 1:
        only = endpoints[0]
        return lambda _now: only
    if policy is Balancing.ROUND_ROBIN:
        return _round_robin(endpoints, rng)
    if policy is Balancing.RANDOM:
        return _random(endpoints, rng)
    weights = {endpoint.weight for endpoint in endpoints}
    if len(weights) > 1:
        return _least_request(endpoints, rng)
    return _by_hands(endpoints, rng) if len(endpoints) > HAND else _least_request_unweighted(endpoints, rng)


def _by_hands(endpoints: Sequence[Endpoint], rng: Rng) -> Chooser:
    """Each that was drawn has a place for a `TURN`, and every place its turn: that endpoint if it is available, idle and has
    not failed of late, else one drawn for this once. It keeps its place all the same: those that answer fast shall not collect places.

    Why: what the kernel and we keep of hundreds of connections is more than a processor's caches. Who calls thousands of
    times a second finds those warm that were used a moment ago; who calls less often comes round too late, and draws.
    """
    draw = _least_request_unweighted(endpoints, rng)
    stand_in = _least_request_unweighted(endpoints, rng)  # a deck of its own: places, worth many calls, stay even
    hand, until = list(endpoints[:HAND]), [-math.inf] * HAND  # nobody has a place before it is drawn
    at, last = 0, HAND - 1

    def choose(now: float) -> Endpoint:
        nonlocal at
        at = at + 1 if at < last else 0
        if now < until[at]:
            endpoint = hand[at]
            if endpoint.in_flight or endpoint.penalty or endpoint.state is not _AVAILABLE:
                return stand_in(now)
            return endpoint
        endpoint = hand[at] = draw(now)
        until[at] = now + TURN
        return endpoint

    return choose


def _least_request_unweighted(endpoints: Sequence[Endpoint], rng: Rng) -> Chooser:
    """A deck, and no draws that know nothing of each other: those leave some connections idle for long, which costs the
    kernel delayed acknowledgements and the app an instance that has closed meanwhile. Nor an order that stays, with which
    an app that asks in a rhythm would send one kind of request to one instance.
    """
    deck = list(endpoints)
    count, others, random = len(deck), len(deck) - 1, rng.random
    drawn = 0

    def choose(_now: float) -> Endpoint:
        nonlocal drawn
        i = drawn + int(random() * (count - drawn))
        first = deck[i]
        deck[i] = deck[drawn]
        deck[drawn] = first
        j = int(random() * others)
        second = deck[j if j < drawn else j + 1]
        drawn = drawn + 1 if drawn < others else 0
        return second if second.in_flight + second.penalty < first.in_flight + first.penalty else first

    return choose


def _least_request(endpoints: Sequence[Endpoint], rng: Rng) -> Chooser:
    ends = list(accumulate(endpoint.weight for endpoint in endpoints))
    total, last, random = ends[-1], len(ends) - 1, rng.random

    def choose(_now: float) -> Endpoint:
        i = bisect_right(ends, random() * total, 0, last)
        first = endpoints[i]
        start = ends[i] - first.weight
        point = random() * (total - first.weight)  # the second is drawn from what the first leaves
        j = bisect_right(ends, point if point < start else point + first.weight, 0, last)
        second = endpoints[j]
        loaded = (first.in_flight + first.penalty) * second.weight
        return second if (second.in_flight + second.penalty) * first.weight < loaded else first

    return choose


def _random(endpoints: Sequence[Endpoint], rng: Rng) -> Chooser:
    ends = list(accumulate(endpoint.weight for endpoint in endpoints))
    total, last, random = ends[-1], len(ends) - 1, rng.random
    return lambda _now: endpoints[bisect_right(ends, random() * total, 0, last)]


def _round_robin(endpoints: Sequence[Endpoint], rng: Rng) -> Chooser:
    """Each is due again one share after its last turn; the first turns fall at random, so that a restart favours none."""
    turns = [(rng.random() / endpoint.weight, i) for i, endpoint in enumerate(endpoints)]
    heapify(turns)

    def choose(_now: float) -> Endpoint:
        due, i = turns[0]
        endpoint = endpoints[i]
        heapreplace(turns, (due + 1.0 / endpoint.weight, i))
        return endpoint

    return choose
