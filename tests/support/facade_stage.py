"""A façade in front of an embedded registry, with a cluster behind that a test tells what it believes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from random import Random

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.events import Event, ListWithheld
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Discovery, ServicePolicy
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.options import Server
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.facade.facade import Address, Facade
from sidecar.facade.names import Named
from sidecar.facade.offers import Lists, Ours
from sidecar.facade.registry import Registry

ORDERS = Named.of("orders")


@dataclass
class Stage:
    """One façade, its registry, and the one service `orders` as the sidecar sees it."""

    registry: EmbeddedRegistry
    facade: Facade
    cluster: Cluster
    stats: ProcessStats
    events: list[Event] = field(default_factory=list)
    _sequence: int = 0

    @property
    def port(self) -> int:
        """Of the HTTP face."""
        return int(self.facade.bound.rpartition(":")[2])

    def believe(self, *ports: int, cluster: str = "DEFAULT") -> None:
        """A list of the sidecar's own session, as it is in force after protection."""
        self._sequence += 1
        instances = tuple(Instance("127.0.0.1", port, cluster=cluster) for port in ports)
        push = Push("orders", instances, Origin.NACOS, 1, self._sequence)
        self.heed(self.cluster.apply(push, asyncio.get_running_loop().time()))

    def heed(self, events: Sequence[Event]) -> None:
        """Tells the façade of what happened in the cluster."""
        self.events.extend(events)
        self.facade.heed(events)

    def withheld(self) -> list[ListWithheld]:
        """Events of lists that were not passed on."""
        return [event for event in self.events if isinstance(event, ListWithheld)]


def registry_of(*addresses: str) -> Registry:
    """The servers behind the façade."""
    nodes = [Server.parse(address, grpc_port_offset=1000) for address in addresses]
    return Registry(nodes, None, rng=Random(1))


@contextlib.asynccontextmanager
async def stage(
    *, lists: Lists = Lists.GUARDED, listen: tuple[str, int] | None = None, others: Sequence[str] = ()
) -> AsyncIterator[Stage]:
    """Of a registry that pushes soon after a change."""
    loop, stats = asyncio.get_running_loop(), ProcessStats()
    async with EmbeddedRegistry(push_delay_s=0.01) as registry:
        address = Address("127.0.0.1", 0, 1000)
        facade = Facade(address, registry_of(registry.address, *others), stats=stats, now=loop.time)
        policy = ServicePolicy(name="orders", discovery=Discovery(service="orders"))
        cluster = Cluster(policy, rng=Random(1), now=loop.time())
        set_up = Stage(registry, facade, cluster, stats)
        await facade.open()
        try:
            facade.tell({ORDERS: [Ours(cluster, listen)]}, lists, set_up.events.extend)
            yield set_up
        finally:
            await facade.close()
