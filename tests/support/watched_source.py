"""A source of lists under test: everything it says, with the time, and waiting for more."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from sidecar.cluster.instance import Push, Via
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.options import NacosOptions
from sidecar.discovery.source import InstanceSource, Update
from sidecar.discovery.supervisor import NacosSource
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.until import PATIENCE

U = TypeVar("U", bound=Update)


class WatchedSource:
    """All that one source said so far; `said` holds (loop time, update)."""

    def __init__(self, source: InstanceSource) -> None:
        self.source = source
        self.said: list[tuple[float, Update]] = []
        self._news = asyncio.Event()

    def all(self, kind: type[U]) -> list[U]:
        """What was said of one kind, in order."""
        return [update for _, update in self.said if isinstance(update, kind)]

    def ports(self, via: Via | None = None) -> list[list[int]]:
        """Of every list, the sorted ports; `via` picks those that came so."""
        pushes = [push for push in self.all(Push) if via is None or push.via is via]
        return [sorted(instance.port for instance in push.instances) for push in pushes]

    async def until(self, seen: Callable[[], bool], *, within: float = PATIENCE) -> float:
        """Waits until `seen` after some update; returns the seconds waited, raises TimeoutError."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(within):
            while not seen():
                self._news.clear()
                await self._news.wait()
        return loop.time() - began

    async def next(self, kind: type[Update], *, within: float = PATIENCE) -> float:
        """Waits for one more of a kind than there are now."""
        known = len(self.all(kind))
        return await self.until(lambda: len(self.all(kind)) > known, within=within)

    async def listen(self) -> None:
        """Reads until the source is closed."""
        loop = asyncio.get_running_loop()
        async for update in self.source.updates():
            self.said.append((loop.time(), update))
            self._news.set()


@contextlib.asynccontextmanager
async def watched(source: InstanceSource) -> AsyncIterator[WatchedSource]:
    """Reads the source until the end of the block, then closes it."""
    found = WatchedSource(source)
    listening = asyncio.get_running_loop().create_task(found.listen())
    try:
        yield found
    finally:
        await source.close()
        await listening


@contextlib.asynccontextmanager
async def following(
    *registries: EmbeddedRegistry, stats: ProcessStats | None = None, **options: Any
) -> AsyncIterator[WatchedSource]:
    """A source of `orders` that has its first list; a busy machine may take its time for a request."""
    options = {"request_timeout": PATIENCE, "open_timeout": PATIENCE, **options}
    addresses = tuple(registry.address for registry in registries)
    nacos = NacosSource(
        NacosOptions(server_addresses=addresses, **options),
        {"orders": Discovery()},
        rng=random.Random(1),
        stats=stats or ProcessStats(),
    )
    async with watched(nacos) as source:
        await source.until(lambda: bool(source.ports()))
        yield source
