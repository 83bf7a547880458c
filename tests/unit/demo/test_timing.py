"""When what happens: spread over the load, and never beyond the minute."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.demo.timing import LATEST, LONGEST, SHORTEST, affordable, moments

LOADS = st.floats(SHORTEST, LONGEST)


@given(LOADS, st.integers(1, 5))
def test_steps_come_in_order_and_leave_a_quiet_end(seconds: float, restarts: int) -> None:
    """Restarts in equal steps, then the lie, and the last tenth of the load has no trouble left."""
    when = moments(seconds, restarts)
    steps = [after - before for before, after in itertools.pairwise(when.restarts)]
    assert len(when.restarts) == restarts
    assert all(step == pytest.approx(steps[0]) for step in steps)
    assert 0 < when.restarts[0] < when.restarts[-1] + 1e-9 < when.lie
    assert when.lie + when.lie_lasts <= 0.9 * seconds


def test_the_default_load_leaves_each_restart_six_seconds() -> None:
    """Twice what a restart takes on a quiet machine."""
    when = moments(30.0, 3)
    assert [round(moment, 1) for moment in (*when.restarts, when.lie)] == [1.5, 8.1, 14.7, 22.5]
    assert when.lie_lasts == 3.0


@given(LOADS, st.floats(0, 60))
def test_a_load_never_ends_later_than_the_minute_allows(wanted: float, spent: float) -> None:
    """A slow start shortens the load, and never lengthens it."""
    seconds = affordable(wanted, spent)
    if seconds is not None:
        assert 0 < seconds <= wanted
        assert spent + seconds <= LATEST


def test_a_quick_start_leaves_the_load_as_wanted() -> None:
    """Three seconds for the start are always there."""
    assert affordable(LONGEST, 3.0) == LONGEST


def test_too_slow_a_start_leaves_no_story() -> None:
    """With less time than three restarts and a lie need, nothing is begun."""
    assert affordable(SHORTEST, LATEST - 10.0) == SHORTEST
    assert affordable(SHORTEST, LATEST - 9.9) is None
