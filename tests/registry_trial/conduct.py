"""Plays the rows: acts one after another, the tracks of an act side by side, the rows of a track in turn.

A row that measures milliseconds has an act of its own; rows that mostly wait share one, as far as they play on
different servers.
"""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.registry_trial.cast import Cast, Scene
from tests.registry_trial.row import Result, Row
from tests.support.needs import lacking

Track = Sequence[Row]
Act = Sequence[Track]


@dataclass(frozen=True, slots=True)
class Conductor:
    """`say` is told what happens."""

    cast: Cast
    folder: Path
    say: Callable[[str], None]

    async def play(self, acts: Sequence[Act]) -> list[Result]:
        """The results in the order of the rows."""
        results: list[Result] = []
        for act in acts:
            for track in await asyncio.gather(*(self._play_track(track) for track in act)):
                results.extend(track)
        return results

    async def _play_track(self, track: Track) -> list[Result]:
        return [await self._play_row(row) for row in track]

    async def _play_row(self, row: Row) -> Result:
        now = asyncio.get_running_loop().time
        if missing := lacking(*row.needs):
            return Result(row, broken=f"this machine lacks {missing}")
        scene = Scene.of(self.cast, self.folder, lambda text: self.say(f"{row.event}: {text}"))
        self.say(f"{row.event} ({row.ground.value}) …")
        began = now()
        try:
            result = Result(row, await row.play(scene), took=now() - began)
        except Exception as error:  # noqa: BLE001 - a row that breaks is a missed row; the others go on
            (scene.folder / "broken").write_text(traceback.format_exc())
            result = Result(row, broken=f"{type(error).__name__}: {error}", took=now() - began)
        self.say(_line(result))
        return result


def _line(result: Result) -> str:
    verdict = "; ".join(result.misses) or "kept"
    figure = f"{result.measured.longest:.3f} s" if result.measured else "-"
    return f"{result.row.event} ({result.row.ground.value}): {figure}, {verdict} (took {result.took:.0f} s)"
