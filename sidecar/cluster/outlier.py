"""Ejection: an endpoint that answers, but badly, is taken out for a while.

Why: a process that accepts connections and fails every call looks idle to a balancer and attracts traffic.

Trip conditions: so many 5xx answers in a row (`consecutive_5xx`), so many gateway failures in a row (502, 503, 504,
lost or unreadable answers), or a share of good answers over the last ten seconds below `success_rate_threshold`.
An ejection that would help nobody is suppressed: when `max_ejected` are out already, or when every other usable
endpoint failed its last call too.

Recovery: after `base_ejection_time` times the number of ejections in a row (at most `max_ejection_time`) it is on
probation, one request at a time. A good answer makes it available, with slow start; a bad one ejects it for the
next multiple. The multiple falls by one for each `base_ejection_time` spent available.

On first start: nobody is ejected, and success rates count from ten answers on.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from sidecar.cluster.policy import AllButOne, OutlierDetection, Share

GATEWAY_STATUSES = frozenset({502, 503, 504})


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


_G, _E, _P = Standing.GOOD, Standing.EJECTED, Standing.PROBATION

TRANSITIONS: Mapping[tuple[Standing, Verdict], Standing] = MappingProxyType(
    {
        (_G, Verdict.TRIPPED): _E,
        (_G, Verdict.SUPPRESSED): _G,
        (_G, Verdict.ANSWERED): _G,
        (_E, Verdict.TRIPPED): _E,  # used in panic: it serves its time, no more
        (_E, Verdict.SUPPRESSED): _E,
        (_E, Verdict.ANSWERED): _E,  # a good answer in panic does not shorten it
        (_E, Verdict.SERVED): _P,
        (_P, Verdict.TRIPPED): _E,
        (_P, Verdict.SUPPRESSED): _P,
        (_P, Verdict.ANSWERED): _G,
    }
)


class Ejection:
    """How often one endpoint was ejected in a row, and until when."""

    __slots__ = ("multiple", "standing", "until")

    def __init__(self) -> None:
        self.standing = Standing.GOOD
        self.multiple = 0
        self.until = 0.0

    def __repr__(self) -> str:
        return f"<Ejection {self.standing.value}, {self.multiple} in a row>"

    def move(self, verdict: Verdict) -> bool:
        """Takes one step of the table; True when the standing changed."""
        before, self.standing = self.standing, TRANSITIONS[self.standing, verdict]
        return self.standing is not before

    def eject(self, now: float, *, earned: int, policy: OutlierDetection) -> float:
        """Notes an ejection; `earned` multiples are forgiven first. Returns for how many seconds."""
        self.multiple = max(0, self.multiple - earned) + 1
        seconds = min(policy.base_ejection_time * self.multiple, policy.max_ejection_time)
        self.until = now + seconds
        return seconds


def tripped(consecutive: int, gateway: int, policy: OutlierDetection) -> str | None:
    """The reason why a row of failures ejects, if it does; a longer row trips again at each full count."""
    if (limit := policy.consecutive_gateway_failure) is not None and gateway and gateway % limit == 0:
        return "gateway_failure"
    if (limit := policy.consecutive_5xx) is not None and consecutive and consecutive % limit == 0:
        return "consecutive_5xx"
    return None


def most_ejected(limit: AllButOne | int | Share, endpoints: int) -> int:
    """How many of so many endpoints may be ejected at once."""
    if isinstance(limit, AllButOne):
        return max(0, endpoints - 1)
    if isinstance(limit, Share):
        return max(1, int(endpoints * limit.percent / 100))
    return limit
