"""Plays a row: stages it, lets calls go on, acts, and counts."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from tests.trial.bookkeeping import books
from tests.trial.callers import DIRECT, SIDECAR
from tests.trial.counts import Count
from tests.trial.ground import Ground, Name
from tests.trial.row import Played, Row
from tests.trial.scene import EVERYBODY, Scene, staged
from tests.trial.verdict import Verdict

RATE = 200.0
"""Calls a second of each caller, half of them POSTs."""

LIMIT = 150.0
"""Seconds for one row, at worst."""

_BEFORE, _AFTER = 2.0, 2.0
"""Seconds of calls before the first act and after the last one."""

_numbers = itertools.count(1)


async def play(
    row: Row, name: Name, ground: Ground, folder: Path, *, rate: float = RATE, who: Collection[str] = EVERYBODY
) -> Played:
    """Raises TimeoutError after `LIMIT`, and whatever made a step impossible. The registry is left as the row left it."""
    stage = staged(
        ground,
        f"trial-{next(_numbers)}",
        folder,
        count=row.count,
        rate=rate,
        who=who,
        lies=row.lies,
        official=row.official and name != "embedded",
        terms=row.terms,
        **row.habits,
    )
    async with asyncio.timeout(LIMIT), stage as scene:
        await row.first(scene)
        began, seconds = await _under_load(row, scene)
        await scene.check()
        return await _played(row, scene, began, seconds, rate)


async def _under_load(row: Row, scene: Scene) -> tuple[float, float]:
    """When the first call left, and for how many seconds they did."""
    loads = [caller.load for caller in scene.callers]
    began = scene.now()
    for load in loads:
        load.start(burst=row.burst)
    try:
        await asyncio.sleep(_BEFORE)
        await row.act(scene)
        await asyncio.sleep(_AFTER)
    finally:
        seconds = scene.now() - began
        await asyncio.gather(*(load.stop() for load in loads))
    return began, seconds


async def _played(row: Row, scene: Scene, began: float, seconds: float, rate: float) -> Played:
    executed = Counter(scene.executed())
    counts = {caller.name: Count(caller.load.calls, executed) for caller in scene.callers}
    sidecar = counts[SIDECAR]
    verdict = Verdict(
        sidecar=sidecar,
        direct=counts.get(DIRECT),
        books=await books(scene.sidecar.process, scene.service, len(sidecar.calls)),
        harms=scene.harms,
        away=scene.away if row.nobody_else else (),
        idle_closes="idle" in row.habits,
        seconds=seconds,
        rate=rate,
        bursts=row.burst > 0,
        direct_fails=row.direct_fails,
        lied_to=row.false_list,
    )
    titles = {caller.title: counts[caller.name] for caller in scene.callers}
    return Played(began, seconds, rate, titles, scene.marks, verdict)
