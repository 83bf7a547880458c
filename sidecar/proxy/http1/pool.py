"""Connections to instances that wait for the next request.

Why it is careful: a pooled connection that the instance closes just when we write is the commonest loss of a
request in a healthy system. Avoiding it is cheaper than curing it:

- the connection used last is used first, so that the others age out instead of being kept lukewarm;
- nothing is reused beyond the *ceiling* of its endpoint: the least of the configured limit, 80 % of what the
  endpoint advertised, and 80 % of the shortest idle age at which it closed on us;
- right before reuse the socket is peeked at: an end or unasked bytes are seen without a request being lost;
- what must not be sent twice takes only a connection that idled a short while, or a new one;
- when a reused connection turns out dead, those that idled as long or longer are closed with it.
"""

import math
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.policy import Keepalive
from sidecar.cluster.stats import ServiceStats
from sidecar.proxy.wheel import Timer, Wheel

SWEEP = 1.0
"""Seconds between two looks for connections that idled too long."""

CROWDED = 0.1
"""Seconds for which more than `max_idle_per_endpoint` may wait. A busy loop takes answers and requests by the dozen: who
closed at once what is too much between the two would dial it again a millisecond later."""

MARGIN = 0.8
"""Share of a known idle limit that is used: the rest is for clocks, queues and the request on its way."""

_TOO_SHORT_TO_LEARN = 0.5
"""Seconds: no server has a shorter idle limit; an earlier close is a restart or a request count, and learning
it would end keep-alive for hours."""

_NOT_POOLED = 1
"""An advertised timeout of 0 or 1 s leaves nothing to use."""

TRUSTED = 0.1
"""Seconds of idling up to which a pool with `trust` skips the look for an idempotent request. What such a connection dies of
is a restart, at a moment that has nothing to do with its age; the loop sees that at its next turn, and in between the free
retry of `reset-before-response` makes up for it (so where that word is missing, nobody is trusted). All those retries
together cost less than the looks, which among hundreds of instances nearly every request would need."""

_RELAX = 0.1 / 3600
"""A learned ceiling grows by a tenth an hour: servers get other settings, too."""


class Pooled(Protocol):
    """What the pool needs of a connection."""

    idle_since: float

    def alive(self) -> bool:
        """Peeks: False after an end or unasked bytes."""
        ...

    def close(self) -> None: ...


PooledT = TypeVar("PooledT", bound=Pooled)


class _Shelf(Generic[PooledT]):
    """The connections of one endpoint; `idle` is in order of `idle_since`, oldest first."""

    __slots__ = ("ceiling", "closed_limit", "endpoint", "idle", "learned_at", "open", "said_limit")

    def __init__(self, endpoint: Endpoint, ceiling: float) -> None:
        self.endpoint = endpoint
        self.ceiling = ceiling
        """Seconds that a connection may idle."""
        self.idle: list[PooledT] = []
        self.open = 0
        self.said_limit = math.inf
        self.closed_limit = math.inf
        self.learned_at = 0.0

    def judge(self, configured: float, now: float) -> None:
        """Finds the ceiling anew; what was learned from a close grows slowly."""
        relaxed = self.closed_limit * (1 + _RELAX * (now - self.learned_at))
        self.ceiling = min(configured, self.said_limit, relaxed)
        self.endpoint.idle_ceiling = None if self.ceiling == configured else self.ceiling


class Pool(Generic[PooledT]):
    """All idle connections of one service."""

    __slots__ = ("_keepalive", "_max_idle", "_shelves", "_shut", "_stats", "_sweeper", "_trust", "_wheel")

    def __init__(self, keepalive: Keepalive, stats: ServiceStats, wheel: Wheel, *, trust: float = 0.0) -> None:
        """`trust`: seconds of idling up to which an idempotent request takes a connection without a look."""
        self._keepalive = keepalive
        self._max_idle = keepalive.max_idle_per_endpoint
        self._trust = trust
        self._stats = stats
        self._wheel = wheel
        self._shelves: dict[Endpoint, _Shelf[PooledT]] = {}
        self._sweeper = Timer(self.sweep)
        self._shut = False

    def __repr__(self) -> str:
        return f"<Pool {len(self._shelves)} endpoints, {len(self)} idle>"

    def __len__(self) -> int:
        """How many idle."""
        return sum(len(shelf.idle) for shelf in self._shelves.values())

    def take(self, endpoint: Endpoint, now: float, idempotent: bool) -> PooledT | None:  # noqa: FBT001 - once a request
        """The connection used last, if it may be used for such a request; None: dial."""
        shelf = self._shelves.get(endpoint)
        if shelf is None:
            return None
        idle = shelf.idle
        while idle:
            most = shelf.ceiling
            if not idempotent:
                most = min(most / 2, self._keepalive.non_idempotent_max_idle)
            connection = idle[-1]
            age = now - connection.idle_since
            if age > most:
                return None
            idle.pop()
            if (idempotent and age < self._trust) or connection.alive():
                return connection
            connection.close()
            self.closed_at(endpoint, age, now)  # the next one may be too old for what is known now
        return None

    def put(self, endpoint: Endpoint, connection: PooledT, now: float) -> None:
        """Keeps a connection for the next request, or closes it where it must not be kept."""
        shelf = self._shelves.get(endpoint)
        if self._shut or shelf is None or shelf.ceiling <= 0 or not self._max_idle:
            connection.close()
            return
        connection.idle_since = now
        idle = shelf.idle
        idle.append(connection)
        if len(idle) > self._max_idle:
            self._sweep_within(CROWDED, now)
        elif self._sweeper.deadline == math.inf:
            self._wheel.arm(self._sweeper, now + SWEEP)

    def remove(self, endpoint: Endpoint, connection: PooledT) -> None:
        """A connection that ended while it idled."""
        shelf = self._shelves.get(endpoint)
        if shelf is not None and connection in shelf.idle:
            shelf.idle.remove(connection)

    def opened(self, endpoint: Endpoint) -> None:
        """A dialled connection exists from now on."""
        shelf = self._shelves.get(endpoint)
        if shelf is None:
            shelf = self._shelves[endpoint] = _Shelf(endpoint, self._keepalive.idle_timeout)
            if not self._shut:
                endpoint.pooled = shelf.idle
                if self not in self._stats.pools:  # not before: one of a reload that fails is never used nor closed
                    self._stats.pools.append(self)
        shelf.open += 1
        endpoint.connections += 1
        self._stats.instance_connections += 1

    def closed(self, endpoint: Endpoint) -> None:
        """Once for each `opened`, after the connection has left the idle ones."""
        shelf = self._shelves[endpoint]
        shelf.open -= 1
        endpoint.connections -= 1
        self._stats.instance_connections -= 1

    def said(self, endpoint: Endpoint, seconds: float, now: float) -> None:
        """The endpoint advertised `Keep-Alive: timeout=seconds`."""
        shelf = self._shelves.get(endpoint)
        limit = 0.0 if seconds <= _NOT_POOLED else seconds * MARGIN
        if shelf is not None and shelf.said_limit != limit:
            shelf.said_limit = limit
            shelf.judge(self._keepalive.idle_timeout, now)

    def closed_at(self, endpoint: Endpoint, age: float, now: float) -> None:
        """The endpoint closed a connection that had idled for `age` seconds."""
        shelf = self._shelves.get(endpoint)
        if shelf is not None and age >= _TOO_SHORT_TO_LEARN and age * MARGIN < shelf.closed_limit:
            shelf.closed_limit = age * MARGIN
            shelf.learned_at = now
            shelf.judge(self._keepalive.idle_timeout, now)

    def restarted(self, endpoint: Endpoint) -> None:
        """Nobody listens there just now: who comes back may have other habits, and what idles is of no use."""
        shelf = self._shelves.get(endpoint)
        if shelf is not None:
            shelf.said_limit = shelf.closed_limit = math.inf
            shelf.ceiling = self._keepalive.idle_timeout
            endpoint.idle_ceiling = None
            self._close(shelf, list(shelf.idle))

    def flush(self, endpoint: Endpoint, since: float) -> None:
        """Closes what has idled since `since` or longer: it will be as dead as the one just lost."""
        shelf = self._shelves.get(endpoint)
        if shelf is not None:
            self._close(shelf, [c for c in shelf.idle if c.idle_since <= since])

    def keep_only(self, wanted: Callable[[Endpoint], bool]) -> None:
        """Closes the idle connections of all other endpoints, and forgets those that have none left."""
        for endpoint, shelf in tuple(self._shelves.items()):
            if not wanted(endpoint):
                self._close(shelf, list(shelf.idle))
                if not shelf.open:
                    del self._shelves[endpoint]

    def make_room(self) -> bool:
        """Closes the connection that idled longest, of any endpoint; False when none idles."""
        shelves = [shelf for shelf in self._shelves.values() if shelf.idle]
        if not shelves:
            return False
        shelf = min(shelves, key=lambda s: s.idle[0].idle_since)
        self._close(shelf, [shelf.idle[0]])
        return True

    def sweep(self, now: float) -> None:
        """Closes what idled beyond its ceiling, and the oldest of those that are too many."""
        left, pause = 0, SWEEP
        for shelf in self._shelves.values():
            if shelf.idle:
                shelf.judge(self._keepalive.idle_timeout, now)
                oldest = now - shelf.ceiling
                self._close(shelf, [c for c in shelf.idle if c.idle_since < oldest])
                too_many = shelf.idle[: -self._max_idle]
                self._close(shelf, [c for c in too_many if now - c.idle_since >= CROWDED])
                left += len(shelf.idle)
                if len(shelf.idle) > self._max_idle:
                    pause = CROWDED
        if left:
            self._wheel.arm(self._sweeper, now + pause)

    def close(self) -> None:
        """Closes all that idles, and keeps nothing from now on."""
        self._shut = True
        self._wheel.cancel(self._sweeper)
        self.keep_only(lambda _: False)
        if self in self._stats.pools:
            self._stats.pools.remove(self)

    def _sweep_within(self, seconds: float, now: float) -> None:
        if self._sweeper.deadline > now + seconds:
            self._wheel.arm(self._sweeper, now + seconds)

    def _close(self, shelf: _Shelf[PooledT], connections: list[PooledT]) -> None:
        for connection in connections:
            shelf.idle.remove(connection)
            connection.close()
