"""Waiting in tests for what another process does in its own time."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE = 60.0
"""Seconds that a test waits for what has to come: far beyond any busy machine, since it only ends a wait in vain."""


async def until(happened: Callable[[], Awaitable[bool]], *, within: float = PATIENCE, pause: float = 0.05) -> None:
    """Asks every `pause` seconds; raises `TimeoutError` when the answer was still no after `within` seconds."""
    async with asyncio.timeout(within):
        while not await happened():  # noqa: ASYNC110 - another process sets no event of ours
            await asyncio.sleep(pause)


async def settled(happened: Callable[[], bool], *, within: float = PATIENCE) -> None:
    """The same for what can be seen without asking anybody."""

    async def seen() -> bool:
        return happened()

    await until(seen, within=within, pause=0.02)
