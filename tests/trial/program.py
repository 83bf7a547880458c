"""Plays rows one after the other, on one registry after the other."""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support import own_network
from tests.trial.conduct import play
from tests.trial.ground import TITLES, Ground, Name, prepared
from tests.trial.row import Result, Row

_SETTLES = 8.0
"""Seconds for a server that has just started: as long as it compiles what it runs, it takes the cores from the callers."""


class Program:
    """One trial; `say` is told its progress."""

    def __init__(
        self, grounds: Sequence[Name], rows: Sequence[Row], folder: Path, *, rate: float, say: Callable[[str], None]
    ) -> None:
        self._rows = rows
        self._folder = folder
        self._rate = rate
        self._say = say
        self._results: dict[Name, dict[str, Result]] = {name: {} for name in grounds}

    @property
    def results(self) -> list[Result]:
        """Of every row, in their order; of those not yet played too."""
        return [
            found.get(row.id, Result(row, TITLES[name])) for name, found in self._results.items() for row in self._rows
        ]

    async def play(self) -> None:
        """Plays everything; may be cancelled at any time."""
        for name, found in self._results.items():
            self._say(f"{TITLES[name]} starts")
            folder = self._folder / name
            await asyncio.to_thread(folder.mkdir, parents=True)
            async with prepared(name, folder) as ground:
                for row in self._rows:
                    await _revive(ground)
                    found[row.id] = await self._play(row, name, ground)

    async def _play(self, row: Row, name: Name, ground: Ground) -> Result:
        title = TITLES[name]
        if row.drops_packets and not own_network.can_drop():
            return Result(row, title, why_not="skipped: no network of its own to drop packets in", skipped=True)
        self._say(f"{row.title} …")
        folder = self._folder / name / row.id
        await asyncio.to_thread(folder.mkdir)
        try:
            result = Result(row, title, await play(row, name, ground, folder, rate=self._rate))
        except Exception as error:  # noqa: BLE001 - a row that breaks is a missed row; the others go on
            await asyncio.to_thread((folder / "broken").write_text, traceback.format_exc())
            first_line = str(error).partition("\n")[0]
            result = Result(row, title, why_not=f"{type(error).__name__}: {first_line}")
        self._say(f"{row.title}: {_told(result)}")
        return result


async def _revive(ground: Ground) -> None:
    """A row may have left the registry down."""
    try:
        await ground.instances("nobody")
    except (OSError, RuntimeError):
        await ground.start()
        await asyncio.sleep(_SETTLES)


def _told(result: Result) -> str:
    """How many calls each caller lost, and what is wrong."""
    lost = [str(len(count.failed)) for count in result.played.counts.values()] if result.played else []
    wrong = [*result.misses, *result.doubts]
    return ", ".join([f"{'/'.join(lost)} failed", *wrong] if wrong else [f"{'/'.join(lost)} failed"])
