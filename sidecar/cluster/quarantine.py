"""Quarantine: an endpoint that cannot be connected gets no requests until a dial succeeds.

Why: a refused connect is the one failure that proves where the fault lies and that nothing was sent. Waiting for
a second one would only spend another caller's time.

Trip conditions: one failed connect, by traffic or by a probe. How many others are out plays no part: an endpoint
that refuses is of no use to anyone.

Recovery: the first dial that succeeds, whoever made it. Probes come after a back-off that doubles with jitter;
while requests wait for an instance they come every 100 ms.

On first start: a newly listed endpoint counts as quarantined, for the reason that nobody has dialled it yet, and
is probed at once. The lists that a process starts with are the exception (see `membership`).
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from sidecar.cluster.policy import Range
from sidecar.cluster.rng import Rng, jittered

IMPATIENT = 0.1
"""Seconds between two tries of one endpoint while requests wait: a restarted process shows within a tenth."""


class Reach(enum.Enum):
    """What the last dial of an endpoint said."""

    REACHABLE = "reachable"
    UNDIALLED = "not dialled yet"
    REFUSING = "refusing"


class Dial(enum.Enum):
    """How a dial ended."""

    CONNECTED = "connected"
    FAILED = "failed"


_R, _U, _F = Reach.REACHABLE, Reach.UNDIALLED, Reach.REFUSING

TRANSITIONS: Mapping[tuple[Reach, Dial], Reach] = MappingProxyType(
    {
        (_R, Dial.CONNECTED): _R,
        (_R, Dial.FAILED): _F,
        (_U, Dial.CONNECTED): _R,
        (_U, Dial.FAILED): _F,
        (_F, Dial.CONNECTED): _R,
        (_F, Dial.FAILED): _F,
    }
)


class Quarantine:
    """Why one endpoint is out, and when it is tried again. An endpoint without one is reachable."""

    __slots__ = ("cause", "failures", "next_try", "reach", "reason", "since", "tried")

    def __init__(self, now: float) -> None:
        self.reach = Reach.UNDIALLED
        self.reason = Reach.UNDIALLED.value
        self.cause = ""
        """A sentence for people, where more is known than the reason."""
        self.since = now
        self.tried = -float("inf")
        self.next_try = now
        self.failures = 0

    def __repr__(self) -> str:
        return f"<Quarantine {self.reason}, {self.failures} failed>"

    def failed(self, reason: str, now: float, *, backoff: Range, rng: Rng, cause: str = "") -> None:
        """Notes a failed dial and puts off the next: `low`, doubled with every failure, at most `high`, ±20 %.

        A dial that came before its time changes no plan: neither a burst of requests that all met the refusal, nor
        the haste while requests wait, may keep a restarted process out for longer.
        """
        known = self.reach is Reach.REFUSING
        self.reach = TRANSITIONS[self.reach, Dial.FAILED]
        self.reason, self.cause = reason, cause
        self.tried = now
        if not known:
            self.since = now
        elif now < self.next_try:
            return
        self.next_try = now + jittered(min(backoff.low * 2.0 ** min(self.failures, 62), backoff.high), rng)
        self.failures += 1

    def due_at(self, *, impatient: bool) -> float:
        """When it is to be tried again."""
        return min(self.next_try, self.tried + IMPATIENT) if impatient else self.next_try

    def connected(self) -> Reach:
        """Notes a dial that succeeded; returns what was known before it."""
        before, self.reach = self.reach, TRANSITIONS[self.reach, Dial.CONNECTED]
        return before
