"""The meter notes by how much its timer was missed."""

import asyncio
from collections.abc import Sequence

import pytest

from sidecar.cluster.events import Event, LoopLag
from sidecar.cluster.stats import ProcessStats
from sidecar.telemetry.loop_lag import LagMeter
from tests.support.virtual_loop import VirtualLoop

pytestmark = pytest.mark.virtual_time


def _stall(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    assert isinstance(loop, VirtualLoop)
    loop.skipped += seconds


async def test_an_idle_loop_is_sampled_twice_a_second() -> None:
    """Ten seconds make twenty samples, all of them small."""
    stats, events = ProcessStats(), list[Event]()
    meter = LagMeter(asyncio.get_running_loop(), stats, events.extend)
    meter.start()
    await asyncio.sleep(10.25)
    meter.stop()
    assert sum(stats.loop_lag.counts) == 20
    assert not events
    assert meter.lag < 1.0


async def test_a_stall_is_seen_in_the_histogram_and_as_an_event() -> None:
    """A second or more of lag is an event."""
    stats, events = ProcessStats(), list[Event]()
    loop = asyncio.get_running_loop()
    meter = LagMeter(loop, stats, events.extend)
    meter.start()
    await asyncio.sleep(0.25)
    _stall(loop, 7.25)
    await asyncio.sleep(0.1)
    meter.stop()
    [event] = events
    assert isinstance(event, LoopLag)
    assert event.lag_s == pytest.approx(7.0, abs=0.1)
    assert meter.lag == pytest.approx(7.0, abs=0.1)
    assert stats.loop_lag.counts[-1] == 1


async def test_an_overdue_sample_counts_before_it_is_taken() -> None:
    """Whoever asks during the lag is not told of the calm before it."""
    loop = asyncio.get_running_loop()
    meter = LagMeter(loop, ProcessStats(), _ignore)
    meter.start()
    _stall(loop, 6.5)
    assert meter.lag == pytest.approx(6.0, abs=0.1)
    meter.stop()


def _ignore(_: Sequence[Event]) -> None:
    return
