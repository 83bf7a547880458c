"""One service of the configuration at run time, and all of them together: clusters driven, upstreams woken."""

from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass

from sidecar.app.trusts import Trusts
from sidecar.clock import Rng
from sidecar.cluster.addresses import Addresses
from sidecar.cluster.allowance import Allowance
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.events import Event
from sidecar.cluster.policy import ServicePolicy
from sidecar.errors import FAILURES, Failure
from sidecar.proxy.prober import Prober
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.upstream import Upstream
from sidecar.tasks import spawn


@dataclass(frozen=True, slots=True)
class Service:
    """What belongs together under one name: what we believe (cluster), and what carries the calls (upstream)."""

    cluster: Cluster
    upstream: Upstream

    @property
    def name(self) -> str:
        """As in the YAML."""
        return self.cluster.name


PROBES_A_SECOND = 300.0
"""Dials of all services together that may begin in a second: 8 % of a core."""

PROBES_AT_ONCE = 16
"""The same at once, after a rest: four milliseconds."""

FAIR_SHARE = 2
"""Dials at one beat for each of many services whose time has come."""


class Services(Mapping[str, Service]):
    """The services in force, in the order of the YAML, and those of earlier configurations that still hold requests."""

    def __init__(
        self,
        runtime: Runtime,
        rng: Rng,
        emit: Callable[[Sequence[Event]], None],
        trusts: Trusts | None = None,
        addresses: Addresses | None = None,
    ) -> None:
        self._trusts = trusts or Trusts()
        self._addresses = addresses or Addresses(0.0)
        self._runtime = runtime
        self._rng = rng
        self._emit = emit
        self._prober = Prober()
        self._dials = Allowance(PROBES_A_SECOND, PROBES_AT_ONCE, runtime.now())
        self._first: str | None = None
        """Whose turn it is to dial first: who found none left at the last beat."""
        self._now: dict[str, Service] = {}
        self._retired: list[Service] = []

    def __getitem__(self, name: str) -> Service:
        return self._now[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)

    # Asked for many times a second, and two hundred calls each in the way of the mixin.

    def items(self) -> ItemsView[str, Service]:
        """By name."""
        return self._now.items()

    def values(self) -> ValuesView[Service]:
        """Without their names."""
        return self._now.values()

    def build(self, policies: Sequence[ServicePolicy], *, own_addresses: frozenset[str]) -> dict[str, Service]:
        """The services of a configuration, not in force yet.

        An unchanged service stays as it is, connections and budget included. While its `discovery` is unchanged it
        keeps its cluster: what was seen of the endpoints survives.
        """
        return {policy.name: self._build(policy, own_addresses) for policy in policies}

    def put_in_force(
        self,
        services: dict[str, Service],
        policies: Sequence[ServicePolicy],
        now: float,
        *,
        own_addresses: frozenset[str] | None = None,
    ) -> None:
        """Replaces the old set; requests in flight end under the upstream they began with, and are woken there.

        `own_addresses`: where the app is listened to from now on; None: as before.
        """
        replaced = [old for name, old in self._now.items() if services.get(name) is not old]
        self._now = services
        for policy in policies:
            cluster = services[policy.name].cluster
            if cluster.policy != policy:
                self._emit(cluster.update_policy(policy, now))
            if own_addresses is not None:
                self._emit(cluster.update_own(own_addresses, now))
        for old in replaced:
            old.upstream.close()
            self._retire(old, now)
        self._retired += replaced

    def due(self, now: float) -> None:
        """Drives every cluster whose time has come, those first that requests wait in; called by the heartbeat.

        Dials are few where thousands wait for one: whoever finds them spent is the first to get some at the next beat.
        """
        due = [service for service in self._in_turn() if service.cluster.next_due <= now]
        due.sort(key=lambda service: not service.cluster.waiting)
        share = max(FAIR_SHARE, PROBES_AT_ONCE // max(1, len(due)))
        left_out: Service | None = None
        for service in due:
            if left_out is None and self._dials.spent(now):
                left_out = service
            self.drive(service, now, dials=PROBES_AT_ONCE if service.cluster.waiting else share)
        self._first = left_out.name if left_out is not None else None
        for service in self._retired:
            self.drive(service, now)

    def let_go(self) -> None:
        """Forgets replaced services that no request is in flight under any more; called by the slow beat."""
        if self._retired:
            connections = self._runtime.connections
            self._retired = [old for old in self._retired if connections.in_flight_under(old.upstream)]

    def drive(self, service: Service, now: float, *, dials: int = PROBES_AT_ONCE) -> None:
        """Lets time pass for one cluster, starts probes that are due, at most so many, and wakes who waits."""
        self._let_pass(service, now)
        for endpoint in service.cluster.probes_due(now, most=dials):
            spawn(self._probe(service, endpoint), name=f"probe {endpoint.address}")

    def _retire(self, old: Service, now: float) -> None:
        """What another cluster says counts from now on, or nobody's word."""
        heir = self._now.get(old.name)
        if heir is None or heir.cluster is not old.cluster:
            old.cluster.retire(now)
        if heir is None:
            self._addresses.drop(old.name)

    def _let_pass(self, service: Service, now: float) -> None:
        self._emit(service.cluster.tick(now))
        service.upstream.wake(now)

    def _in_turn(self) -> Iterable[Service]:
        """All of them, from the one on whose turn it is."""
        if self._first not in self._now:
            return self._now.values()
        services = list(self._now.values())
        first = services.index(self._now[self._first])
        return services[first:] + services[:first]

    async def _probe(self, service: Service, endpoint: Endpoint) -> None:
        cluster = service.cluster
        failure: Failure | None = FAILURES["unreachable"]
        try:
            trust = service.upstream.trust
            failure = await self._prober.probe(endpoint, cluster.policy.timeouts.connect, trust)
        finally:  # a probe that is not reported is one that is never made again
            now = self._runtime.now()
            self._emit(cluster.probed(endpoint, failure, now))
            self._let_pass(service, now)  # the next dials are the heartbeat's, which knows whose turn it is

    def _build(self, policy: ServicePolicy, own_addresses: frozenset[str]) -> Service:
        known = self._now.get(policy.name)
        if known is not None and known.cluster.policy == policy:
            return known
        if known is not None and known.cluster.policy.discovery == policy.discovery:
            cluster = known.cluster
        else:
            now = self._runtime.now()
            cluster = Cluster(
                policy,
                rng=self._rng,
                now=now,
                own_addresses=own_addresses,
                dials=self._dials,
                claims=self._addresses.of(policy.name),
                stats=known.cluster.stats if known is not None else None,  # what is counted, and in flight, goes on
            )
        return Service(cluster, Upstream(cluster, self._runtime, policy, self._trusts.of(policy.tls)))
