"""Standing: what an endpoint's answers have earned it, as one table. `outlier` decides when a step is taken."""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from sidecar.cluster.policy import OutlierDetection


class Standing(enum.Enum):
    """What an endpoint's answers have earned it."""

    GOOD = "good"
    EJECTED = "ejected"
    PROBATION = "probation"


class Verdict(enum.Enum):
    """What happened to an endpoint, as far as its standing goes."""

    TRIPPED = "a threshold tripped, or a request on probation failed"
    SUPPRESSED = "the same, but an ejection would help nobody"
    SERVED = "the ejection time is over"
    ANSWERED = "a good answer"
    PARDONED = "the operator's restore"


_G, _E, _P = Standing.GOOD, Standing.EJECTED, Standing.PROBATION

TRANSITIONS: Mapping[tuple[Standing, Verdict], Standing] = MappingProxyType(
    {
        (_G, Verdict.TRIPPED): _E,
        (_G, Verdict.SUPPRESSED): _G,
        (_G, Verdict.ANSWERED): _G,
        (_G, Verdict.PARDONED): _G,
        (_E, Verdict.TRIPPED): _E,  # used in panic: it serves its time, no more
        (_E, Verdict.SUPPRESSED): _E,
        (_E, Verdict.ANSWERED): _E,  # a good answer in panic does not shorten it
        (_E, Verdict.SERVED): _P,
        (_E, Verdict.PARDONED): _G,
        (_P, Verdict.TRIPPED): _E,
        (_P, Verdict.SUPPRESSED): _P,
        (_P, Verdict.ANSWERED): _G,
        (_P, Verdict.PARDONED): _G,
    }
)


class Ejection:
    """How often one endpoint was ejected in a row, and until when. `available` counts its seconds in good standing."""

    __slots__ = ("available", "multiple", "standing", "until")

    def __init__(self) -> None:
        self.standing = Standing.GOOD
        self.multiple = 0
        self.until = 0.0
        self.available = 0.0

    def __repr__(self) -> str:
        return f"<Ejection {self.standing.value}, {self.multiple} in a row>"

    def move(self, verdict: Verdict) -> bool:
        """Takes one step of the table; True when the standing changed."""
        before, self.standing = self.standing, TRANSITIONS[self.standing, verdict]
        return self.standing is not before

    def eject(self, now: float, policy: OutlierDetection) -> float:
        """Starts another ejection, after forgiving what was earned. Returns for how many seconds."""
        earned = int(self.available // policy.base_ejection_time)
        self.multiple = max(0, self.multiple - earned) + 1
        self.available = 0.0
        seconds = min(policy.base_ejection_time * self.multiple, policy.max_ejection_time)
        self.until = now + seconds
        return seconds
