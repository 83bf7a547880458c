"""What an app notices while a list of thousands changes again and again: its calls, at rest and in three places.

A list of five thousand costs the whole machine something: the registry writes it, the relay carries it. So there are two
sidecars; one takes the lists, and the app calls once through the other, once through it. What differs between these two
is what the list costs the loop that carries the calls.
"""

import asyncio
import itertools
import statistics
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.scale.relay import Traffic
from tests.scale.stage import Ground, Sidecar
from tests.support.cpu import used
from tests.support.until import until
from tests.trial.load import Call, loaded

RATE = 200.0
"""Calls a second."""

PAUSE = 1.0
"""Seconds from one list in force to the next change."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Those of some seconds."""

    when: str
    calls: Sequence[Call]

    @property
    def p50(self) -> float:
        """Milliseconds."""
        return self._centiles()[49]

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return self._centiles()[98]

    @property
    def failed(self) -> int:
        """How many were not answered by an instance."""
        return sum(not call.answered for call in self.calls)

    def _centiles(self) -> list[float]:
        return statistics.quantiles(
            [(call.ended - call.started) * 1000 for call in self.calls], n=100, method="inclusive"
        )


@dataclass(frozen=True, slots=True)
class Noticed:
    """The calls, and what one list cost."""

    calm: Calls
    elsewhere: Calls
    here: Calls
    traffic: Traffic
    """Of one list; the second look at it is put off by the next one."""
    cpu: float
    """Seconds of the sidecar that took one list, its part at rest included."""


async def notice(around: Ground, taking: Sidecar, other: Sidecar, *, pushes: int) -> Noticed:
    """`taking` has the large service, `other` has not; both have the one that is called."""
    weights = itertools.cycle([3.0, 4.0])

    async def push() -> None:
        for weight in itertools.islice(weights, pushes):
            lists = (await taking.look()).lists + 1
            await around.put_big(weight=weight)
            await until(_in_force(taking, lists), pause=0.1)
            await asyncio.sleep(PAUSE)

    async def rest() -> None:
        await asyncio.sleep(2 * pushes * PAUSE)

    calm = await _calls("lists stay as they are", taking, rest)
    before, cpu = around.registry.traffic.copy(), sum(used(taking.child.pid))
    elsewhere = await _calls("lists change, calls go by another sidecar", other, push)
    traffic, cpu = around.registry.traffic.since(before), sum(used(taking.child.pid)) - cpu
    here = await _calls("lists change, calls go by the one that takes them", taking, push)
    one = Traffic(traffic.to_registry // pushes, traffic.to_sidecar // pushes)
    return Noticed(calm, elsewhere, here, one, cpu / pushes)


def figures(noticed: Noticed) -> Iterator[Calls]:
    """In the order in which they are told."""
    yield from (noticed.calm, noticed.elsewhere, noticed.here)


async def _calls(when: str, by: Sidecar, meanwhile: Callable[[], Awaitable[None]]) -> Calls:
    async with loaded(by.shared, rate=RATE) as load:
        await meanwhile()
    return Calls(when, load.calls)


def _in_force(one: Sidecar, lists: int) -> Callable[[], Awaitable[bool]]:
    async def yes() -> bool:
        look = await one.look()
        return look.lists >= lists and not look.behind

    return yes
