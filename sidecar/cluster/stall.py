"""Stalled: an endpoint that accepts everything and says nothing.

Why: a frozen process does not refuse. Its kernel accepts connections and takes requests, so nothing fails until a
time-out does, and by then every caller has a request stuck in it.

Trip conditions: it owes two answers or more (one slow call proves nothing), has been silent for `stall_after` or four
times the service's p99 of the last minute, whichever is longer, and another endpoint was heard meanwhile (else the
network or the load is to blame). The p99 is that of answers: a request that we gave up tells how patient we are, not
how slow they. One that was given up after `stall_after` without a byte counts as owed for 10 s more, so that impatient
callers, who take their evidence with them, do not hide it.

Recovery: its next byte, on any connection; or it owes less than two answers again. That the others became slower, or
silent too, acquits nobody; a configuration without `stall_after` acquits everybody. Connections lost while it is
stalled count as a failed connect.

*Unheard* is who was acquitted because nobody waits for it any more: that shows nothing of its life. Until its next byte,
for a minute at most, requests that must not be sent twice go to others where there are any; those that may try it.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable

from sidecar.cluster.endpoint import Endpoint, GivenUp
from sidecar.cluster.stats import Histogram

SUSPECTS = 2
"""Owed answers that make a suspicion."""

PATIENCE = 4.0
"""Times the service's p99: a slow service is not a frozen one."""

EVIDENCE = 10.0
"""Seconds for which an attempt that was given up counts as owed."""

UNHEARD = 60.0
"""Seconds after which one of them is trusted again: where every request must not be sent twice, nothing else tells."""

LOOK_EVERY = 0.25
"""Seconds between two looks; a quarter of the default `stall_after`."""

LISTEN_EVERY = 1.0
"""Seconds between two looks at who was heard while nobody is suspected: what is older need not be known exactly."""


class Percentile:
    """The p99 of a histogram's last minute, from copies of its counts taken every five seconds: no cost a request."""

    __slots__ = ("_copies", "_histogram")

    KEPT = 12
    EVERY = 5.0

    def __init__(self, histogram: Histogram, now: float) -> None:
        self._histogram = histogram
        self._copies = deque([(now, list(histogram.counts))], maxlen=self.KEPT + 1)

    def sample(self, now: float) -> None:
        """Takes a copy when it is time."""
        if now - self._copies[-1][0] >= self.EVERY:
            self._copies.append((now, list(self._histogram.counts)))

    def value(self, now: float) -> float:
        """The upper bound of the bucket that the 99th of a hundred falls into; 0 when nothing was counted.

        What is beyond the last bound counts as that bound.
        """
        self.sample(now)
        oldest = self._copies[0][1]
        counts = [new - old for new, old in zip(self._histogram.counts, oldest, strict=True)]
        return _quantile(0.99, counts, self._histogram.bounds)


def _quantile(share: float, counts: list[int], bounds: tuple[float, ...]) -> float:
    total = sum(counts)
    if not total:
        return 0.0
    seen = 0
    for count, bound in zip(counts, bounds, strict=False):  # one count more than bounds: that of +Inf
        seen += count
        if seen >= share * total:
            return bound
    return bounds[-1]


class StallWatch:
    """Looks at a service's endpoints every quarter of a second and finds those that have fallen silent.

    While nothing is in flight and nobody is suspected it rests: services without traffic cost nothing.
    """

    __slots__ = ("_listened", "_p99", "found", "next_look", "unheard")

    def __init__(self, answer_time: Histogram, now: float) -> None:
        self._p99 = Percentile(answer_time, now)
        self._listened = now
        self.next_look = now
        """Infinite while it rests."""
        self.found = False
        """Somebody was stalled at the last look."""
        self.unheard: Collection[Endpoint] = ()
        """Those with an `unheard_until` at the last look."""

    def stir(self, now: float) -> None:
        """A request goes out: there will be something to see."""
        self.next_look = min(self.next_look, now + LOOK_EVERY)

    def look(self, endpoints: Collection[Endpoint], stall_after: float, now: float) -> list[Endpoint]:
        """Sets `stalled` of each endpoint by what was heard since the last look; returns those that changed."""
        self.next_look = now + min(LOOK_EVERY, stall_after / 4)
        suspected = any(e.owed >= SUSPECTS or e.given_up or e.stalled for e in endpoints)
        if not suspected and now - self._listened < LISTEN_EVERY:
            return []
        before, self._listened = self._listened, now
        self._p99.sample(now)
        for endpoint in endpoints:
            if endpoint.heard or endpoint.owed or endpoint.owing_since is not None or endpoint.given_up is not None:
                _listen(endpoint, before, now)
        if suspected:
            changed = self._judge(endpoints, max(stall_after, PATIENCE * self._p99.value(now)), now)
            self.found = any(endpoint.stalled for endpoint in endpoints)
            self.unheard = [endpoint for endpoint in endpoints if endpoint.unheard_until > now]
            return changed
        self.found = False
        if self.unheard:
            self.unheard = [endpoint for endpoint in self.unheard if endpoint.unheard_until > now]
        if not any(endpoint.in_flight for endpoint in endpoints):
            self.next_look = math.inf
        return []

    def acquit(self, endpoints: Iterable[Endpoint]) -> list[Endpoint]:
        """Nobody is stalled from now on, for nobody looks any more; returns those that were."""
        self.found = False
        stalled = [endpoint for endpoint in endpoints if endpoint.stalled]
        for endpoint in stalled:
            endpoint.stalled = False
        self.unheard = ()
        return stalled

    @staticmethod
    def _judge(endpoints: Collection[Endpoint], patience: float, now: float) -> list[Endpoint]:
        first, second = _latest_two(endpoint.heard_after for endpoint in endpoints)
        changed = []
        for endpoint in endpoints:
            others = second if endpoint.heard_after == first else first
            silent = _is_silent(endpoint, others, patience, now)
            if silent is not endpoint.stalled:
                endpoint.stalled = silent
                changed.append(endpoint)
                if not silent and endpoint.heard_at < now:
                    endpoint.unheard_until = now + UNHEARD
        return changed


def give_up(endpoint: Endpoint, *, silent: float, now: float) -> None:
    """An attempt ended after `silent` seconds of waiting for its first byte: it counts as owed for a while."""
    if endpoint.given_up is None:
        endpoint.given_up = deque()
    _forget_old(endpoint.given_up, now)
    endpoint.given_up.append(GivenUp(now - silent, now + EVIDENCE))


def owed(endpoint: Endpoint) -> int:
    """Answers owed, those included that nobody waits for any more."""
    return endpoint.owed + len(endpoint.given_up or ())


def _forget_old(given_up: deque[GivenUp], now: float) -> None:
    """Also where nobody looks, since there is no other endpoint."""
    while given_up and given_up[0].until <= now:
        given_up.popleft()


def _listen(endpoint: Endpoint, before: float, now: float) -> None:
    """`before`: the time of the last look."""
    if endpoint.heard:
        endpoint.heard, endpoint.heard_after, endpoint.heard_at = False, before, now
        endpoint.owing_since = endpoint.given_up = None
        endpoint.unheard_until = -math.inf
    if endpoint.given_up:
        _forget_old(endpoint.given_up, now)
    if endpoint.owed < SUSPECTS:
        endpoint.owing_since = None
    elif endpoint.owing_since is None:
        endpoint.owing_since = now


def _is_silent(endpoint: Endpoint, others_heard_after: float, patience: float, now: float) -> bool:
    if owed(endpoint) < SUSPECTS:
        return False
    if endpoint.stalled:
        return endpoint.heard_at < now  # whatever became of patience and the others meanwhile
    since = endpoint.given_up[0].sent if endpoint.given_up else endpoint.owing_since
    return since is not None and now - since >= patience and others_heard_after >= since


def _latest_two(times: Iterable[float]) -> tuple[float, float]:
    first = second = -math.inf
    for time in times:
        if time > first:
            first, second = time, first
        elif time > second:
            second = time
    return first, second
