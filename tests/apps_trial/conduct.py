"""Plays the rows, one after another, under the load of all apps."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from tests.apps_trial.caller import RATE, AppCall, Caller
from tests.apps_trial.rows import Row
from tests.apps_trial.stage import Harm, Stage
from tests.apps_trial.verdict import Score

_BEFORE = 3.0
"""Seconds for which calls count before the act."""

_FLUSHED = 1.0
"""Seconds until an access log holds its last line; half a one is the contract."""


@dataclass(frozen=True, slots=True)
class Played:
    """A row and its time, on the loop's clock."""

    row: Row
    began: float
    ended: float
    harms: Sequence[Harm]


async def play(stage: Stage, rows: Sequence[Row], say: Callable[[str], None]) -> list[Score]:
    """The scores of all callers in each row; they are at work, and have ended it afterwards."""
    played = []
    for row, following in zip(rows, (*rows[1:], None), strict=True):
        say(f"{row.name}: everybody gets ready")
        await stage.reborn(row.life)
        await stage.calm()
        stage.life = following.life if following else row.life
        played.append(await _play(stage, row, say))
    await asyncio.gather(*(caller.load.stop() for caller in stage.callers))
    await asyncio.sleep(_FLUSHED)
    return _scores(stage, played)


async def _play(stage: Stage, row: Row, say: Callable[[str], None]) -> Played:
    began = stage.now()
    stage.harms.clear()
    await asyncio.sleep(_BEFORE)
    say(row.name)
    await row.act(stage)
    say(f"{row.name}: over, but for {row.aftermath:.0f} s")
    await asyncio.sleep(row.aftermath)
    return Played(row, began, stage.now(), tuple(stage.harms))


def _scores(stage: Stage, played: Sequence[Played]) -> list[Score]:
    executed = Counter(stage.executed())
    carried = {caller: caller.carried() for caller in stage.callers}
    return [
        Score(
            nacos=stage.server.version,
            row=one.row,
            stack=caller.stack,
            way=caller.way,
            calls=_calls(caller, one),
            executed=executed,
            carried=carried[caller],
            harms=one.harms,
            seconds=one.ended - one.began,
            rate=RATE,
        )
        for one in played
        for caller in stage.callers
    ]


def _calls(caller: Caller, played: Played) -> list[AppCall]:
    """Those that left during the row."""
    return [cast("AppCall", call) for call in caller.load.calls if played.began <= call.started < played.ended]
