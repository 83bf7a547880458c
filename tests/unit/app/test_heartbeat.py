"""Claims about the clock of the process."""

import asyncio

import pytest

from sidecar.app.heartbeat import PERIOD, Heartbeat


@pytest.mark.virtual_time
async def test_beats_come_every_period_and_the_slow_one_every_fifth() -> None:
    """In one second there are about twenty beats, and a fifth as many slow ones."""
    beats: list[float] = []
    slow: list[float] = []
    heartbeat = Heartbeat(asyncio.get_running_loop(), on_beat=beats.append, on_slow_beat=slow.append)
    await asyncio.sleep(20 * PERIOD + PERIOD / 2)
    heartbeat.stop()
    assert 18 <= len(beats) <= 21
    assert len(slow) == len(beats) // 5


@pytest.mark.virtual_time
async def test_a_beat_that_fails_does_not_stop_the_clock() -> None:
    """An error in one beat is the loop's to report; the next beat comes all the same."""
    loop = asyncio.get_running_loop()
    reported: list[str] = []
    loop.set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
    beats: list[float] = []

    def fail_once(now: float) -> None:
        beats.append(now)
        if len(beats) == 1:
            raise RuntimeError("the first one fails")

    heartbeat = Heartbeat(loop, on_beat=fail_once, on_slow_beat=lambda _: None)
    await asyncio.sleep(3.5 * PERIOD)
    heartbeat.stop()
    assert reported == ["the first one fails"]
    assert len(beats) >= 2


@pytest.mark.virtual_time
async def test_no_beat_follows_a_stop() -> None:
    """A stopped heartbeat leaves no timer behind that calls anybody."""
    beats: list[float] = []
    heartbeat = Heartbeat(asyncio.get_running_loop(), on_beat=beats.append, on_slow_beat=beats.append)
    heartbeat.stop()
    await asyncio.sleep(1.0)
    assert beats == []
