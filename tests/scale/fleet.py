"""What a node of the registry has from sidecars: counted at some, multiplied to many."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from tests.scale.relay import Traffic
from tests.scale.stage import Ground, Sidecar, listed, sidecar

FLEET = 1000
"""Sidecars on one node."""

SETTLED = 5.0
"""Seconds after which a list that has come is not asked about once more."""


@dataclass(frozen=True, slots=True)
class Talk:
    """What some sidecars and their registry said to each other in some seconds."""

    sidecars: int
    seconds: float
    requests: Counter[str]
    """As the registry counted them, by type."""
    traffic: Traffic
    connections: int
    """Open between them."""

    @property
    def requests_a_second(self) -> float:
        """Of one sidecar."""
        return self.requests.total() / self.seconds / self.sidecars

    @property
    def bytes_a_second(self) -> float:
        """To and from one sidecar."""
        return self.traffic.total / self.seconds / self.sidecars

    @property
    def bytes_each(self) -> float:
        """To and from one sidecar in all that time."""
        return self.traffic.total / self.sidecars

    @property
    def requests_each(self) -> float:
        """Of one sidecar in all that time."""
        return self.requests.total() / self.sidecars


@dataclass(frozen=True, slots=True)
class Fleet:
    """Several sidecars of the same services: their start together, and then."""

    start: Talk
    rest: Talk


class Listener:
    """Counts from its making until `heard`."""

    def __init__(self, around: Ground, requests: Counter[str]) -> None:
        self._around = around
        self._requests = requests
        self._traffic = around.registry.traffic.copy()
        self._began = asyncio.get_running_loop().time()

    async def heard(self, sidecars: int) -> Talk:
        """All that was said since, by so many of them."""
        seconds = asyncio.get_running_loop().time() - self._began
        traffic = self._around.registry.traffic.since(self._traffic)
        requests = await self._around.requests() - self._requests
        return Talk(sidecars, seconds, requests, traffic, len(self._around.registry.tasks))


async def listen(around: Ground) -> Listener:
    """From here on."""
    return Listener(around, await around.requests())


async def at_rest(around: Ground, sidecars: int, seconds: float) -> Talk:
    """While nothing changes."""
    listener = await listen(around)
    await asyncio.sleep(seconds)
    return await listener.heard(sidecars)


async def together(around: Ground, services: Sequence[str], instances: int, *, count: int, seconds: float) -> Fleet:
    """So many sidecars of these services, which have so many instances in all."""
    async with AsyncExitStack() as stack:
        listener = await listen(around)
        fleet: list[Sidecar] = [await stack.enter_async_context(sidecar(around, services)) for _ in range(count)]
        for one in fleet:
            await listed(one, instances)
        await asyncio.sleep(SETTLED)
        start = await listener.heard(count)
        return Fleet(start, await at_rest(around, count, seconds))
