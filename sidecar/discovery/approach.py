"""Which server to try next, and after what pause. Pure.

Why: what was thrown away is replaced at once elsewhere; a cluster that is down is neither hammered nor missed
when it returns. Servers are tried in turn, in an order shuffled once; the pause comes after every full round:
  refused    its port is closed: knocking costs it one packet, so 250 ms ±20 %
  starting   it says so: the back-off, but never above 1 s
  failed     anything else: the back-off, doubling, ±20 %
A session that ended before it was 10 s old counts as a failed try, so a registry that accepts and drops us is
left in peace; one that lived longer starts the count anew.
"""

import enum
from collections.abc import Sequence

from sidecar.clock import Rng
from sidecar.cluster.policy import Range
from sidecar.discovery.options import Server

KNOCK_INTERVAL = 0.25
STARTING_CEILING = 0.8
"""With its jitter this stays below 1 s."""
SETTLED_AGE = 10.0


class Miss(enum.Enum):
    """How a try to open a session failed."""

    REFUSED = "refused"
    STARTING = "starting"
    FAILED = "failed"


class Approach:
    """The order of servers and the pauses between tries."""

    __slots__ = ("_backoff", "_misses", "_pause", "_rng", "_servers", "_turn")

    def __init__(self, servers: Sequence[Server], *, backoff: Range, rng: Rng) -> None:
        self._servers = sorted(servers, key=lambda _: rng.random())
        self._backoff = backoff
        self._rng = rng
        self._turn = -1
        self._misses = 0
        self._pause = 0.0

    def next(self) -> tuple[Server, float]:
        """The server to try now, and the seconds to wait before."""
        self._turn = (self._turn + 1) % len(self._servers)
        return self._servers[self._turn], self._pause

    def missed(self, miss: Miss) -> None:
        """The server did not take us."""
        self._misses += 1
        rounds, left = divmod(self._misses, len(self._servers))
        self._pause = 0.0 if left else self._after_round(miss, rounds)

    def ended(self, age: float) -> None:
        """A session of `age` seconds was thrown away."""
        if age < SETTLED_AGE:
            self.missed(Miss.FAILED)
        else:
            self._misses = 0
            self._pause = 0.0

    def _after_round(self, miss: Miss, rounds: int) -> float:
        doubled = self._backoff.low * 2.0 ** min(rounds - 1, 32)
        nominal = {
            Miss.REFUSED: KNOCK_INTERVAL,
            Miss.STARTING: min(doubled, self._backoff.high, STARTING_CEILING),
            Miss.FAILED: min(doubled, self._backoff.high),
        }[miss]
        return nominal * (0.8 + 0.4 * self._rng.random())
