"""What is left of things that were used and closed: tasks, descriptors, log handlers."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from tests.support.until import PATIENCE, until


class Held(NamedTuple):
    """What this process holds at a moment."""

    tasks: int
    descriptors: int
    handlers: int


def held() -> Held:
    """Now; handlers are those of all loggers."""
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return Held(len(asyncio.all_tasks()), descriptors, sum(len(logger.handlers) for logger in loggers))


async def growth(use: Callable[[], Awaitable[None]], *, times: int, within: float = PATIENCE) -> Held | None:
    """None when nothing is held any more than after the first use; else what is, `within` seconds after the last.

    Without the garbage collector: what it would find later is a leak until then.
    """
    await use()
    before = await _settled()
    gc.disable()
    try:
        for _ in range(times):
            await use()
        return await _shrunk(before, within)
    finally:
        gc.enable()


async def _shrunk(before: Held, within: float) -> Held | None:
    async def no_more_than_before() -> bool:
        return all(now <= then for now, then in zip(held(), before, strict=True))

    try:
        await until(no_more_than_before, within=within)
    except TimeoutError:
        return held()
    return None


async def _settled() -> Held:
    """The counts once they have stood still for ten looks."""
    seen = [held()]

    async def still() -> bool:
        seen.append(held())
        return len(seen) > 10 and len(set(seen[-10:])) == 1

    await until(still, pause=0.02)
    return seen[-1]
