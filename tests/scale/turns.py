"""How long the event loop is held up by large lists: the longest turn in each of several changes."""

import asyncio
import statistics
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.scale.size import BIG
from tests.scale.stage import Ground, Sidecar
from tests.scale.watched import Look
from tests.support.until import until

AFTERMATH = 3.0
"""Seconds after a list is in force in which its probes, its file and its events are watched as well."""


@dataclass(frozen=True, slots=True)
class Turns:
    """The longest turn while something happened, once a round, in CPU milliseconds; a shared core needs more of them."""

    what: str
    looks: list[Look] = field(default_factory=list)

    @property
    def least(self) -> float:
        """Undisturbed."""
        return min(look.cpu_ms for look in self.looks)

    @property
    def median(self) -> float:
        """As a rule."""
        return statistics.median(look.cpu_ms for look in self.looks)

    @property
    def most(self) -> float:
        """At worst."""
        return max(look.cpu_ms for look in self.looks)


async def watch_turns(around: Ground, one: Sidecar, rounds: int) -> list[Turns]:
    """What happens to a service of many instances; each round leaves it as it found it."""
    found: dict[str, Turns] = {}
    for number in range(rounds):
        async for what, look in _round(around, one, weight=2.0 - number % 2):
            found.setdefault(what, Turns(what)).looks.append(look)
    return list(found.values())


async def _round(around: Ground, one: Sidecar, *, weight: float) -> AsyncIterator[tuple[str, Look]]:
    many, few, new = around.size.many, around.size.few, around.size.new
    lists = (await one.look("begin")).lists

    async def after() -> Look:
        nonlocal lists
        lists += 1
        return await settled(one, lists)

    await around.put_big(weight=weight)
    yield f"the weights of {many} change", await after()
    await asyncio.gather(around.put(BIG, many, new, weight=weight), around.take(BIG, 0, new))
    yield f"{new} of {many} are replaced", await after()
    await asyncio.gather(around.put(BIG, 0, new, weight=weight), around.take(BIG, many, new))
    yield f"the {new} come back", await after()
    await around.take(BIG, few, many - few)
    yield f"{many} shrink to {few}, the rest is held and probed", await after()
    await around.put(BIG, few, many - few, weight=weight)
    yield f"{few} grow to {many} again", await after()
    for path in ("/metrics", "/clusters?format=json", "/events"):
        await one.look("begin")
        await one.ask(path)
        yield f"{path} is read", await one.look("begin")


async def settled(one: Sidecar, lists: int) -> Look:
    """Once so many lists have been put in force completely, and what follows from the last of them is done."""

    async def in_force() -> bool:
        look = await one.look()
        return look.lists >= lists and not look.behind

    await until(in_force, pause=0.25)
    await asyncio.sleep(AFTERMATH)
    return await one.look("begin")


async def held(one: Sidecar, count: int) -> None:
    """Returns when so many instances of the large service are held, and nothing is left to be done."""

    async def so() -> bool:
        look = await one.look()
        return look.held == count and not look.behind

    await until(so, pause=0.25)
