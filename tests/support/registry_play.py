"""One service from the nodes of a registry, driven as the application does it: lists, doubts, probes, answers."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from sidecar.app.feeds import Feeds
from sidecar.app.services import Services
from sidecar.clock import Rng
from sidecar.cluster.events import Event, HoldEnded, SecondOpinionHeard
from sidecar.cluster.policy import Discovery, Probe, Protection, ServicePolicy
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.options import NacosOptions
from sidecar.proxy.runtime import Runtime
from tests.support.until import until

PATIENT = Protection(confirm=600.0, max_hold=600.0, probe=Probe.NONE)
"""Nothing ends by time alone while a test runs."""

QUICK = Protection(confirm=1.0, max_hold=600.0, probe=Probe.NONE)
"""What is confirmed ends within a test, what only expires does not."""


class RegistryPlay:
    """The service, the registry session that feeds it, and all that was told."""

    def __init__(self, service: str, protection: Protection, addresses: Sequence[str], rng: Rng) -> None:
        loop = asyncio.get_running_loop()
        self.events: list[Event] = []
        self.now: Callable[[], float] = loop.time
        self._services = Services(Runtime(emit=self.events.extend), rng, self.events.extend)
        policy = ServicePolicy("played", discovery=Discovery(service=service), protection=protection)
        built = self._services.build([policy], own_addresses=frozenset())
        self._services.put_in_force(built, [policy], self.now())
        self.feeds = Feeds(self._services, emit=self.events.extend, now=self.now, rng=rng, stats=ProcessStats())
        self.feeds.follow(NacosOptions(server_addresses=tuple(addresses)), {"played": policy.discovery})

    @property
    def home(self) -> str:
        """The address of the node that the session is at; empty without one."""
        return self.feeds.session.server if self.feeds.session is not None else ""

    @property
    def ports(self) -> set[int]:
        """What is in use."""
        return {one.port for one in self._services["played"].cluster.in_force()}

    @property
    def verdicts(self) -> list[str]:
        """What nodes said of what was held, in order."""
        return [event.verdict for event in self.events if isinstance(event, SecondOpinionHeard)]

    @property
    def ends(self) -> dict[int, str]:
        """How holds ended, by port."""
        ended = [event for event in self.events if isinstance(event, HoldEnded)]
        return {int((event.endpoint or "").rpartition(":")[2]): event.by for event in ended}

    async def until(self, happened: Callable[[], bool]) -> None:
        """Beats until it has happened."""

        async def so() -> bool:
            self._services.due(self.now())
            self.feeds.slow_beat(self.now())
            return happened()

        await until(so, within=60.0)

    async def pass_time(self, seconds: float) -> None:
        """Beats for so long, at least."""
        end = self.now() + seconds
        await self.until(lambda: self.now() >= end)


@asynccontextmanager
async def registry_play(
    service: str, protection: Protection, *addresses: str, rng: Rng | None = None
) -> AsyncIterator[RegistryPlay]:
    """Ends with the block; `rng` decides, among other things, which of the nodes is tried first."""
    play = RegistryPlay(service, protection, addresses, rng or random.Random(1))
    try:
        yield play
    finally:
        await play.feeds.close()
