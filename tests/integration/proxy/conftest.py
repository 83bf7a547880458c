"""A data path in front of scripted instances."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from random import Random

import pytest

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.events import Event
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Balancing, LoadBalancing, ServicePolicy
from sidecar.proxy.listener import Listener, OwnEntrance
from sidecar.proxy.prober import Prober
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.upstream import Upstream
from sidecar.record import Record


class Stack:
    """One service behind its own listener, with a ticker and probes as the application runs them."""

    def __init__(self, policy: ServicePolicy) -> None:
        self.loop = asyncio.get_running_loop()
        self.events: list[Event] = []
        self.records: list[Record] = []
        self.runtime = Runtime(
            emit=self.events.extend,
            log=self.records.append,
            wants_record=lambda *, notable: True,
            now=self.loop.time,
        )
        self.cluster = Cluster(policy, rng=Random(1), now=self.now)
        self.upstream = Upstream(self.cluster, self.runtime)
        self.listener = Listener("orders", "127.0.0.1:0", OwnEntrance(self.upstream), self.runtime)
        self.prober = Prober()
        self._probing: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None

    @property
    def now(self) -> float:
        return self.loop.time()

    @property
    def port(self) -> int:
        return int((self.listener.bound or ":0").rpartition(":")[2])

    @property
    def stats(self) -> "object":
        return self.cluster.stats

    @property
    def codes(self) -> list[tuple[int, str]]:
        """(code, flags) of every request that ended, in order."""
        return [(record.code, record.flags) for record in self.records]

    def list(self, *ports: int) -> None:
        """A static list of loopback instances takes force."""
        push = Push("orders", tuple(Instance("127.0.0.1", port) for port in ports), Origin.STATIC)
        self.events.extend(self.cluster.apply(push, self.now))
        self.upstream.wake(self.now)

    async def open(self, *ports: int) -> None:
        if ports:
            self.list(*ports)
        await self.listener.open()
        self._ticker = self.loop.create_task(self._tick())

    async def close(self) -> None:
        self.listener.close_listening()
        self.runtime.connections.close_idle()
        for connection in self.runtime.connections:
            connection.close()
        self.upstream.close()
        tasks = [task for task in (self._ticker, *self._probing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            if self.now >= self.cluster.next_due:
                events: Sequence[Event] = self.cluster.tick(self.now)
                self.events.extend(events)
                if events:
                    self.upstream.wake(self.now)
                for endpoint in self.cluster.probes_due(self.now):
                    task = self.loop.create_task(self._probe(endpoint))
                    self._probing.add(task)
                    task.add_done_callback(self._probing.discard)

    async def _probe(self, endpoint) -> None:  # type: ignore[no-untyped-def]
        failure = await self.prober.probe(endpoint, 1.0)
        self.events.extend(self.cluster.probed(endpoint, failure, self.now))
        self.upstream.wake(self.now)


POLICY = ServicePolicy(name="orders", load_balancing=LoadBalancing(policy=Balancing.ROUND_ROBIN))


def policy(**sections: object) -> ServicePolicy:
    """The default policy, round robin so that a test knows who is asked, with some sections replaced."""
    return replace(POLICY, **sections)  # type: ignore[arg-type]


@pytest.fixture
async def stack() -> AsyncIterator[Callable[..., Stack]]:
    """Makes stacks, and takes them down."""
    stacks: list[Stack] = []

    def make(**sections: object) -> Stack:
        stacks.append(Stack(policy(**sections)))
        return stacks[-1]

    yield make
    for one in stacks:
        await one.close()
