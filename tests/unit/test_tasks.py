"""The only way to start a task."""

import asyncio
import gc
import logging

import pytest

from sidecar import tasks
from sidecar.tasks import spawn
from tests.support.until import PATIENCE


async def test_a_task_runs_without_being_kept_by_its_starter() -> None:
    """A collection of garbage in the middle does not end it."""
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)
        done.set()

    spawn(work(), name="work")
    gc.collect()
    await asyncio.wait_for(done.wait(), PATIENCE)


async def test_an_exception_is_logged_once_as_a_crash(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever awaits it or not: one record, with the task's name and the traceback."""

    async def fail() -> None:
        raise ValueError("of ours")

    task = spawn(fail(), name="failing")
    with caplog.at_level(logging.ERROR, logger="sidecar"), pytest.raises(ValueError, match="of ours"):
        await task
    await asyncio.sleep(0)
    (record,) = caplog.records
    assert record.getMessage() == "crash"
    assert record.__dict__["detail"] == {"task": "failing"}
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


async def test_a_cancelled_task_is_no_crash(caplog: pytest.LogCaptureFixture) -> None:
    """Ending a task on purpose is not told."""
    task = spawn(asyncio.sleep(60), name="sleeper")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not caplog.records


async def test_ended_tasks_are_not_kept() -> None:
    """The reference goes when the task ends, and the result is the coroutine's."""

    async def answer() -> int:
        return 42

    task = spawn(answer(), name="answer")
    assert await task == 42
    await asyncio.sleep(0)
    assert task not in tasks._RUNNING
