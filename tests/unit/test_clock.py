"""Time and randomness."""

import asyncio

import pytest

from sidecar import clock


async def test_monotonic_is_the_loops_clock() -> None:
    """On both loops `loop.time()` and `clock.monotonic()` count from one beginning; uvloop looks once a turn."""
    seen = asyncio.get_running_loop().time()
    assert seen == pytest.approx(clock.monotonic(), rel=0, abs=30)


def test_wall_time_counts_from_the_epoch() -> None:
    """It is later than the year 2020."""
    assert clock.wall() > 1_577_836_800


def test_system_generators_differ() -> None:
    """Two processes do not draw the same numbers, all in [0, 1)."""
    one, other = clock.system_rng(), clock.system_rng()
    drawn = [[rng.random() for _ in range(10)] for rng in (one, other)]
    assert drawn[0] != drawn[1]
    assert all(0 <= number < 1 for numbers in drawn for number in numbers)
