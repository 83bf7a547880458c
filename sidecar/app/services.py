"""One service of the configuration at run time, and all of them together: clusters driven, upstreams woken."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sidecar.clock import Rng
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.events import Event
from sidecar.cluster.policy import ServicePolicy
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


class Services(Mapping[str, Service]):
    """The services in force, in the order of the YAML, and those of earlier configurations that still hold requests."""

    def __init__(self, runtime: Runtime, rng: Rng, emit: Callable[[Sequence[Event]], None]) -> None:
        self._runtime = runtime
        self._rng = rng
        self._emit = emit
        self._prober = Prober()
        self._now: dict[str, Service] = {}
        self._retired: list[Service] = []

    def __getitem__(self, name: str) -> Service:
        return self._now[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)

    def build(self, policies: Sequence[ServicePolicy], *, own_addresses: frozenset[str]) -> dict[str, Service]:
        """The services of a configuration, not in force yet.

        While its `discovery` is unchanged a service keeps its cluster: what was seen of the endpoints survives.
        """
        return {policy.name: self._build(policy, own_addresses) for policy in policies}

    def put_in_force(self, services: dict[str, Service], policies: Sequence[ServicePolicy], now: float) -> None:
        """Replaces the old set; requests that an old upstream holds end there."""
        replaced, self._now = list(self._now.values()), services
        for policy in policies:
            cluster = services[policy.name].cluster
            if cluster.policy is not policy:
                self._emit(cluster.update_policy(policy, now))
        for old in replaced:
            old.upstream.close()
            if old.upstream.waiting:
                self._retired.append(old)

    def due(self, now: float) -> None:
        """Drives every cluster whose time has come; called by the heartbeat."""
        for service in self._now.values():
            if service.cluster.next_due <= now:
                self.drive(service, now)
        if self._retired:
            self._retired = [service for service in self._retired if service.upstream.waiting]
            for service in self._retired:
                self.drive(service, now)

    def drive(self, service: Service, now: float) -> None:
        """Lets time pass for one cluster, starts the probes that are due, and wakes who waits."""
        cluster = service.cluster
        self._emit(cluster.tick(now))
        for endpoint in cluster.probes_due(now):
            spawn(self._probe(service, endpoint), name=f"probe {endpoint.address}")
        service.upstream.wake(now)

    async def _probe(self, service: Service, endpoint: Endpoint) -> None:
        cluster = service.cluster
        failure = await self._prober.probe(endpoint, cluster.policy.timeouts.connect)
        now = asyncio.get_running_loop().time()
        self._emit(cluster.probed(endpoint, failure, now))
        self.drive(service, now)

    def _build(self, policy: ServicePolicy, own_addresses: frozenset[str]) -> Service:
        now = self._runtime.now()
        known = self._now.get(policy.name)
        if known is not None and known.cluster.policy.discovery == policy.discovery:
            cluster = known.cluster
        else:
            cluster = Cluster(policy, rng=self._rng, now=now, own_addresses=own_addresses)
        return Service(cluster, Upstream(cluster, self._runtime, policy))
