"""spawn(): the only place where a task is made; it keeps a reference and never lets an exception go unseen."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_RUNNING: set[asyncio.Task[Any]] = set()
_log = logging.getLogger("sidecar")


def spawn(coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Starts `coroutine` on the running loop; what it raises is logged as event `crash`, once."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _RUNNING.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _RUNNING.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("crash", extra={"detail": {"task": task.get_name()}}, exc_info=error)
