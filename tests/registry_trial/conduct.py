"""Plays the rows: acts one after another, the tracks of an act side by side, the rows of a track in turn.

A row that measures milliseconds belongs into an act without other tracks; rows that mostly wait share one, as far as
they play on different servers.
"""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.registry_trial.cast import Cast, Scene
from tests.registry_trial.row import Result, Row

Track = Sequence[Row]
Act = Sequence[Track]


class Conductor:
    """One trial; `say` is told its progress."""

    def __init__(self, acts: Sequence[Act], cast: Cast, folder: Path, say: Callable[[str], None]) -> None:
        self._acts = acts
        self._cast = cast
        self._folder = folder
        self._say = say
        self._results: dict[Row, Result] = {}

    @property
    def results(self) -> list[Result]:
        """Of every row, in their order; of those not yet played too."""
        rows = [row for act in self._acts for track in act for row in track]
        return [self._results.get(row, Result(row)) for row in rows]

    async def play(self) -> None:
        """Plays everything; may be cancelled at any time."""
        for act in self._acts:
            async with asyncio.TaskGroup() as tracks:
                for track in act:
                    tracks.create_task(self._play_track(track))

    async def _play_track(self, track: Track) -> None:
        for row in track:
            await self._play_row(row)

    async def _play_row(self, row: Row) -> None:
        name = f"{row.event} ({row.ground.value})"
        scene = Scene.of(self._cast, self._folder, lambda text: self._say(f"{name}: {text}"))
        self._say(f"{name} …")
        try:
            result = Result(row, await row.play(scene))
        except Exception as error:  # noqa: BLE001 - a row that breaks is a missed row; the others go on
            (scene.folder / "broken").write_text(traceback.format_exc())
            result = Result(row, broken=f"{type(error).__name__}: {_first_line(error)}, see {scene.folder.name}")
        self._results[row] = result
        self._say(f"{name}: {_told(result)}")


def _told(result: Result) -> str:
    """The figure, and what is wrong."""
    figure = [f"{max(result.measured.seconds):.3f} s"] if result.measured and result.measured.seconds else []
    return ", ".join([*figure, "; ".join(result.misses) or "as promised"])


def _first_line(error: Exception) -> str:
    """The rest stands in the row's folder."""
    return str(error).partition("\n")[0]
