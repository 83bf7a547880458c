"""Ejection: an endpoint that answers, but badly, is taken out for a while.

Why: a process that accepts connections and fails every call looks idle to a balancer and attracts traffic.

Trip conditions: so many 5xx answers in a row (`consecutive_5xx`), so many gateway failures in a row (502, 503, 504,
lost or unreadable answers), or a share of good answers over the last ten seconds below `success_rate_threshold`.
An ejection that would help nobody is suppressed: when `max_ejected` are out already, or when every other usable
endpoint failed its last call too.

Recovery: after `base_ejection_time` times the number of ejections in a row (at most `max_ejection_time`) it is on
probation, one request at a time. A good answer makes it available, with slow start; a bad one ejects it for the
next multiple. The multiple falls by one for each `base_ejection_time` spent available. The operator's restore ends
either at once.

On first start: nobody is ejected, and success rates count from ten answers on.
"""

from collections.abc import Mapping

from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.events import EjectionSuppressed, EndpointEjected, EndpointRestored, Event
from sidecar.cluster.policy import AllButOne, OutlierDetection, Share
from sidecar.cluster.slots import SuccessRate
from sidecar.cluster.standing import Ejection, Standing, Verdict
from sidecar.cluster.stats import ServiceStats

GATEWAY_STATUSES = frozenset({502, 503, 504})

_OUT_OF_SERVICE = frozenset({State.DRAINING, State.DISABLED, State.UNHEALTHY})
_UNUSABLE = _OUT_OF_SERVICE | {State.QUARANTINED}


class OutlierDetector:
    """Counts the answers of one service's endpoints and ejects those that are worse than the rest."""

    def __init__(
        self, policy: OutlierDetection, *, name: str, endpoints: Mapping[str, Endpoint], stats: ServiceStats
    ) -> None:
        self.policy = policy
        self._name = name
        self._endpoints = endpoints
        self._stats = stats

    def good(self, endpoint: Endpoint, now: float) -> list[Event]:
        """An answer below 500."""
        endpoint.consecutive_failures = endpoint.consecutive_gateway = 0
        if self.policy.success_rate_threshold is not None:
            self._count(endpoint, now, good=True)
        return self.answering(endpoint, now)

    def answering(self, endpoint: Endpoint, now: float) -> list[Event]:
        """A good answer has begun: probation is over, though a stream or a tunnel may last for hours."""
        if endpoint.ejection is None or not endpoint.ejection.move(Verdict.ANSWERED):
            return []
        endpoint.ramp_from = now
        return [EndpointRestored(service=self._name, endpoint=endpoint.address, by="answer")]

    def bad(self, endpoint: Endpoint, now: float, *, gateway: bool) -> list[Event]:
        """An answer of 500 or more, or (`gateway`) one that a gateway would give or that never came."""
        endpoint.consecutive_failures += 1
        endpoint.consecutive_gateway = endpoint.consecutive_gateway + 1 if gateway else 0
        reason = self._reason(endpoint, now, gateway=gateway)
        if reason is None or endpoint.ejected:
            return []
        suppressed = self._suppression(endpoint)
        if suppressed is not None:
            self._stats.ejections_suppressed[suppressed] += 1
            return [EjectionSuppressed(service=self._name, endpoint=endpoint.address, reason=suppressed)]
        return [self._eject(endpoint, reason, now)]

    def serve(self, endpoint: Endpoint, now: float) -> None:
        """Puts an endpoint on probation when its time is over."""
        ejection = endpoint.ejection
        if ejection is not None and ejection.standing is Standing.EJECTED and ejection.until <= now:
            ejection.move(Verdict.SERVED)
            endpoint.consecutive_failures = endpoint.consecutive_gateway = 0

    @staticmethod
    def pardon(endpoint: Endpoint) -> bool:
        """Lifts an ejection or probation; its failures so far count no more. True when there was one."""
        endpoint.consecutive_failures = endpoint.consecutive_gateway = 0
        endpoint.rate = None
        return endpoint.ejection is not None and endpoint.ejection.move(Verdict.PARDONED)

    def _eject(self, endpoint: Endpoint, reason: str, now: float) -> Event:
        ejection = endpoint.ejection = endpoint.ejection or Ejection()
        ejection.move(Verdict.TRIPPED)
        if endpoint.state is State.AVAILABLE:
            ejection.available += now - endpoint.since
            endpoint.since = now
        seconds = ejection.eject(now, self.policy)
        endpoint.ejections += 1
        endpoint.rate = None
        self._stats.ejections[reason] += 1
        return EndpointEjected(
            service=self._name, endpoint=endpoint.address, reason=reason, for_s=seconds, times=ejection.multiple
        )

    def _reason(self, endpoint: Endpoint, now: float, *, gateway: bool) -> str | None:
        threshold = self.policy.success_rate_threshold
        if threshold is not None:
            self._count(endpoint, now, good=False)
        if endpoint.on_probation:
            return "gateway_failure" if gateway else "consecutive_5xx"
        reason = tripped(endpoint.consecutive_failures, endpoint.consecutive_gateway, self.policy)
        if reason is None and threshold is not None and endpoint.rate is not None:
            reason = "success_rate" if endpoint.rate.below(threshold, now) else None
            endpoint.rate = None if reason else endpoint.rate  # suppressed or not, the next verdict counts anew
        return reason

    def _suppression(self, endpoint: Endpoint) -> str | None:
        """Why an ejection would help nobody, if so."""
        serving = [e for e in self._endpoints.values() if e.state not in _OUT_OF_SERVICE]
        if sum(e.ejected for e in serving) >= most_ejected(self.policy.max_ejected, len(serving)):
            return "max_ejected"
        others = [e for e in serving if e is not endpoint and e.state not in _UNUSABLE]
        return "peers_fail_too" if all(e.consecutive_failures for e in others) else None

    @staticmethod
    def _count(endpoint: Endpoint, now: float, *, good: bool) -> None:
        if endpoint.rate is None:
            endpoint.rate = SuccessRate()
        endpoint.rate.count(now, good=good)


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
