"""The whole of one service: lists go in, endpoints come out, and all that happened comes back as events."""

import math
from collections import Counter
from collections.abc import Collection, Sequence

from sidecar.cluster.balancer import Chooser, chooser
from sidecar.cluster.endpoint import Endpoint, LastFailure, State, state_of
from sidecar.cluster.events import (
    EndpointAdded,
    EndpointQuarantined,
    EndpointRecovered,
    EndpointRemoved,
    Event,
    Probed,
    SnapshotApplied,
)
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import ServicePolicy
from sidecar.cluster.quarantine import Quarantine, Reach
from sidecar.cluster.rng import Rng
from sidecar.cluster.stats import ServiceStats
from sidecar.errors import Blame, Failure, Sent


class Cluster:
    """One service: which endpoints it has, which of them may be used, and what to ask of them next.

    Every successful `pick` is followed by exactly one `report_answer` or `report_failure` for it.
    """

    def __init__(
        self, policy: ServicePolicy, *, rng: Rng, now: float, own_addresses: frozenset[str] = frozenset()
    ) -> None:
        self.policy = policy
        self.name = policy.name
        self.stats = ServiceStats()
        self.endpoints: dict[str, Endpoint] = {}
        self.next_due = now
        self.has_list = False
        self.origin: Origin | None = None
        self.confirmed_at: float | None = None
        self._rng = rng
        self._own = own_addresses
        self._waiting = 0
        self._dirty = True
        self._tiers: list[list[Endpoint]] = []
        self._choose: Chooser | None = None

    def __repr__(self) -> str:
        states = Counter(endpoint.state for endpoint in self.endpoints.values())
        shown = ", ".join(f"{states[state]} {state.value}" for state in reversed(State) if states[state])
        return f"<Cluster {self.name}: {shown or 'no instances'}>"

    @property
    def waiting(self) -> int:
        """Requests held until something is usable; set by the proxy. While there are any, probes hurry."""
        return self._waiting

    @waiting.setter
    def waiting(self, count: int) -> None:
        if count and not self._waiting:
            self.next_due = -math.inf
        self._waiting = count

    def apply(self, push: Push, now: float) -> list[Event]:
        """Judges a list as it arrived and puts in force what is believed of it."""
        events: list[Event] = []
        offered = {instance.address: instance for instance in push.instances}
        first = not self.has_list and push.origin is not Origin.DISK
        added = [address for address in offered if address not in self.endpoints]
        for address, instance in offered.items():
            self._list(address, instance, now, events, dial=not first)
        gone = [e for e in self.endpoints.values() if e.present and e.address not in offered]
        for endpoint in gone:
            endpoint.present = False
            events.append(EndpointRemoved(service=self.name, endpoint=endpoint.address, in_flight=endpoint.in_flight))
            self._forget_if_drained(endpoint)
        self.has_list, self.origin = True, push.origin
        self.confirmed_at = now if push.origin is Origin.NACOS else None
        events.append(
            SnapshotApplied(
                service=self.name,
                origin=push.origin.value,
                instances=len(offered),
                added=len(added),
                removed=len(gone),
                changed=0,
            )
        )
        self._settle(now)
        return events

    def malformed(self, now: float) -> list[Event]:
        """A list could not be read: what was known stays in force."""
        del now
        self.stats.pushes["malformed"] += 1
        return []

    def registry_connected(self, now: float) -> list[Event]:
        """A registry session is open: lists are doubted for a while."""
        self._settle(now)
        return []

    def registry_disconnected(self, now: float) -> list[Event]:
        """The registry cannot be asked: nothing changes, and holds do not age."""
        self._settle(now)
        return []

    def obey(self, now: float) -> list[Event]:
        """The operator believes the registry: all that is held is let go."""
        self._settle(now)
        return []

    def in_force(self) -> tuple[Instance, ...]:
        """The snapshot: what is listed and what is held."""
        return tuple(endpoint.instance for endpoint in self.endpoints.values() if endpoint.present)

    def update_policy(self, policy: ServicePolicy, now: float) -> list[Event]:
        """Another policy with the same discovery; endpoints keep what we saw of them."""
        self.policy = policy
        self._settle(now)
        return []

    def pick(self, now: float, excluded: Collection[Endpoint] = ()) -> Endpoint | None:
        """An endpoint for one attempt, its `in_flight` counted, or None.

        `excluded` ones are never returned: None while `usable()` means that only they are left.
        """
        if self._dirty:
            self._settle(now)
        if self._choose is None:
            return None
        if not excluded:
            endpoint = self._choose()
        else:
            left = next((t for tier in self._tiers if (t := [e for e in tier if e not in excluded])), None)
            if left is None:
                return None
            endpoint = chooser(self.policy.load_balancing.policy, left, self._rng)()
        endpoint.in_flight += 1
        return endpoint

    def usable(self, now: float) -> bool:
        """Whether any endpoint may be used now."""
        if self._dirty:
            self._settle(now)
        return self._choose is not None

    def report_connected(self, endpoint: Endpoint, seconds: float, now: float) -> Sequence[Event]:
        """A dial succeeded after so many seconds; the attempt goes on."""
        self.stats.connect_duration.observe(seconds)
        return self._reached(endpoint, now) if endpoint.quarantine else ()

    def report_answer(
        self, endpoint: Endpoint, status: int, now: float, *, leaving: bool = False, closing: bool = False
    ) -> Sequence[Event]:
        """A complete answer. `leaving`: it announced its end; `closing`: it said `Connection: close`."""
        del leaving, closing, now
        endpoint.in_flight -= 1
        endpoint.requests += 1
        if status < 500:
            endpoint.consecutive_failures = 0
        else:
            endpoint.failures += 1
            endpoint.consecutive_failures += 1
        self._forget_if_drained(endpoint)
        return ()

    def report_failure(
        self, endpoint: Endpoint, failure: Failure, now: float, *, reused: bool = False, silent: float = 0.0
    ) -> Sequence[Event]:
        """An attempt ended without a complete answer.

        `reused`: on a connection that had served before (a keep-alive race says nothing of the endpoint).
        `silent`: seconds since the request was written completely without a byte of an answer.
        """
        del silent
        endpoint.in_flight -= 1
        self._forget_if_drained(endpoint)
        if failure.blame is not Blame.INSTANCE or (reused and failure.sent is not Sent.NOTHING):
            return ()
        endpoint.requests += 1
        endpoint.failures += 1
        endpoint.consecutive_failures += 1
        endpoint.last_failure = LastFailure(now, failure.reason)
        return self._refused(endpoint, failure, now) if failure.sent is Sent.NOTHING else ()

    def tick(self, now: float) -> list[Event]:
        """Does what time alone brings about."""
        self._settle(now)
        return []

    def probes_due(self, now: float) -> list[Endpoint]:
        """Endpoints to dial now, longest untried first; each is reported by `probed` once."""
        due = [
            e
            for e in self.endpoints.values()
            if e.state is State.QUARANTINED
            and not e.probing
            and e.quarantine is not None
            and e.quarantine.due_at(impatient=self._waiting > 0) <= now
        ]
        for endpoint in due:
            endpoint.probing = True
        self._settle(now)
        return sorted(due, key=lambda e: e.quarantine.tried if e.quarantine else 0.0)

    def probed(self, endpoint: Endpoint, failure: Failure | None, now: float) -> list[Event]:
        """A probe ended; None is success."""
        endpoint.probing = False
        result = failure.reason if failure else "ok"
        self.stats.probes[result] += 1
        events: list[Event] = [Probed(service=self.name, endpoint=endpoint.address, result=result)]
        events += self._refused(endpoint, failure, now) if failure else self._reached(endpoint, now)
        return events

    def doubtful(self, now: float) -> bool:
        """Whether the registry should be asked each second."""
        return not self.usable(now)

    def next_hope(self, now: float) -> float | None:
        """Seconds to the next probe or the end of an ejection; None when neither is to come."""
        dues = [e.quarantine.next_try for e in self.endpoints.values() if e.quarantine]
        return max(0.0, min(dues) - now) if dues else None

    def _list(self, address: str, instance: Instance, now: float, events: list[Event], *, dial: bool) -> None:
        endpoint = self.endpoints.get(address)
        if endpoint is None:
            endpoint = self.endpoints[address] = Endpoint(instance, now)
            endpoint.owns = address in self._own
            endpoint.quarantine = Quarantine(now) if dial else None
            events.append(EndpointAdded(service=self.name, endpoint=address, weight=instance.weight))
        endpoint.instance, endpoint.present, endpoint.weight = instance, True, instance.weight

    def _refused(self, endpoint: Endpoint, failure: Failure, now: float) -> list[Event]:
        quarantine = endpoint.quarantine or Quarantine(now)
        fresh = endpoint.quarantine is None
        endpoint.quarantine = quarantine
        quarantine.failed(failure.reason, now, backoff=self.policy.outlier_detection.probe_backoff, rng=self._rng)
        self._settle(now)
        if not fresh:
            return []
        self.stats.quarantines += 1
        return [
            EndpointQuarantined(
                service=self.name,
                endpoint=endpoint.address,
                reason=failure.reason,
                next_probe_s=quarantine.next_try - now,
            )
        ]

    def _reached(self, endpoint: Endpoint, now: float) -> list[Event]:
        quarantine, endpoint.quarantine = endpoint.quarantine, None
        self._settle(now)
        if quarantine is None or quarantine.reach is Reach.UNDIALLED:
            return []
        return [EndpointRecovered(service=self.name, endpoint=endpoint.address, after_s=now - quarantine.since)]

    def _forget_if_drained(self, endpoint: Endpoint) -> None:
        if not endpoint.present and endpoint.in_flight == 0:
            self.endpoints.pop(endpoint.address, None)

    def _settle(self, now: float) -> None:
        self._dirty = False
        for endpoint in self.endpoints.values():
            endpoint.state = state_of(endpoint)
        usable = [e for e in self.endpoints.values() if e.state is State.AVAILABLE]
        self._tiers = [usable] if usable else []
        self._choose = chooser(self.policy.load_balancing.policy, usable, self._rng) if usable else None
        dues = [
            e.quarantine.due_at(impatient=self._waiting > 0)
            for e in self.endpoints.values()
            if e.quarantine and not e.probing
        ]
        self.next_due = max(now, min(dues)) if dues else math.inf
