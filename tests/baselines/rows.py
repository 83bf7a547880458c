"""The situations: which instances there are, how the app calls, and how many failures are promised of the sidecar."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.baselines.app import PATIENCE, App, Outcome
from tests.baselines.instance import BadInstance
from tests.peers.start import started
from tests.support.plain_provider import plain_providers
from tests.trial.load import loaded

THREE_MB = 3_000_000
PACE = 0.02
"""Seconds between two calls, where the moment does not matter."""

IDLE = 0.7
"""Seconds after which the instance of the race closes an idle connection."""

_EARLY, _LATE = -0.002, 0.006
"""Seconds around `IDLE` in which the next call of the race comes: about half of them meet the farewell."""

_FROZEN_FOR = 12.0
_FROZEN_RATE = 150.0
_THINKING = 0.02
"""Seconds that each provider of the frozen row takes: at any moment some calls are in flight on each."""


@dataclass(frozen=True)
class Row:
    """A situation; `play` puts the named proxy into it, with files in a folder."""

    name: str
    bound: float
    """Percent of the sidecar's calls that may fail."""
    play: Callable[[str, Path], Awaitable[Outcome]]
    together: bool = True
    """The proxies may be in it at the same time."""


async def refusing(peer: str, folder: Path, *, body: int | None = None, calls: int = 150) -> Outcome:
    """One of three refuses from the first call on; the list still has it."""
    async with _instances(3) as found, started(peer, [one.address for one in found], folder) as proxy:
        found[-1].refuse()
        return _judged(await App(proxy.port, body=body).call(calls, lambda: PACE), found)


async def emptied(peer: str, folder: Path, *, calls: int = 200) -> Outcome:
    """The list says that nobody is left; all three serve on."""
    async with _instances(3) as found, started(peer, [one.address for one in found], folder) as proxy:
        app = App(proxy.port)
        await app.call(10, lambda: PACE)
        await proxy.use([])
        app.outcome = Outcome()
        return _judged(await app.call(calls, lambda: PACE), found)


async def failing(peer: str, folder: Path, *, calls: int = 600) -> Outcome:
    """One of three answers everything with 500."""
    async with _instances(3) as found, started(peer, [one.address for one in found], folder) as proxy:
        found[0].status = 500
        return _judged(await App(proxy.port).call(calls, lambda: PACE), found)


async def idle_race(peer: str, folder: Path, *, body: int | None = None, calls: int = 100) -> Outcome:
    """The instance closes idle connections just when the next call comes."""
    chance = random.Random(calls)
    async with _instances(1, idle=IDLE) as found, started(peer, [found[0].address], folder) as proxy:
        app = App(proxy.port, body=body)
        return _judged(await app.call(calls, lambda: IDLE + chance.uniform(_EARLY, _LATE)), found)


async def frozen(peer: str, folder: Path) -> Outcome:
    """One of three is stopped for a while, its kernel goes on accepting; half of the calls are POSTs."""
    home = folder / f"frozen-{peer}"
    home.mkdir()
    async with (
        plain_providers(home, 3, delay=_THINKING) as providers,
        started(peer, [one.address for one in providers], folder) as proxy,
    ):
        async with loaded(proxy.port, rate=_FROZEN_RATE, patience=PATIENCE) as load:
            await asyncio.sleep(1.0)
            providers[0].freeze()
            await asyncio.sleep(_FROZEN_FOR)
            providers[0].thaw()
            await asyncio.sleep(1.0)
        await asyncio.sleep(1.0)  # for what the thawed one still executes
        executed = Counter(line for one in providers for line in one.executed() if line.startswith("POST"))
        failed = [call.error or str(call.status) for call in load.calls if not call.answered]
        return Outcome(len(load.calls), len(failed), _repeated(executed), failed)


ROWS = (
    Row("1 of 3 refuses, GET", 0.0, refusing),
    Row("1 of 3 refuses, small POST", 0.0, partial(refusing, body=20)),
    Row("1 of 3 refuses, POST of 3 MB", 0.0, partial(refusing, body=THREE_MB)),
    Row("the list is empty, 3 serve", 0.0, emptied),
    Row("1 of 3 answers 500", 2.0, failing),
    Row("idle connections close just now, GET", 0.0, idle_race),
    Row("idle connections close just now, POST", 3.0, partial(idle_race, body=20)),
    Row("1 of 3 is frozen for 12 s, 150 calls/s", 2.0, frozen, together=False),
)


@asynccontextmanager
async def _instances(count: int, *, idle: float | None = None) -> AsyncIterator[list[BadInstance]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(BadInstance(idle=idle)) for _ in range(count)]


def _judged(outcome: Outcome, instances: list[BadInstance]) -> Outcome:
    executed: Counter[str] = Counter()
    for one in instances:
        executed += one.executed
    outcome.duplicated = _repeated(executed)
    return outcome


def _repeated(executed: Counter[str]) -> int:
    """Calls that were carried out more than once."""
    return sum(times > 1 for times in executed.values())
