"""The table of ejection."""

import itertools

import pytest

from sidecar.cluster.policy import OutlierDetection
from sidecar.cluster.standing import TRANSITIONS, Ejection, Standing, Verdict

IMPOSSIBLE = {(Standing.GOOD, Verdict.SERVED), (Standing.PROBATION, Verdict.SERVED)}
"""Only an ejection can be served."""


def test_every_pair_is_a_move_or_declared_impossible() -> None:
    """The table and the impossible pairs together name each (state, input) pair once."""
    assert set(itertools.product(Standing, Verdict)) == TRANSITIONS.keys() | IMPOSSIBLE
    assert not TRANSITIONS.keys() & IMPOSSIBLE


def test_the_way_back_leads_over_probation_or_the_operator() -> None:
    """No other single step makes an ejected endpoint good."""
    ways = {v for (before, v), after in TRANSITIONS.items() if before is Standing.EJECTED and after is Standing.GOOD}
    assert ways == {Verdict.PARDONED}


@pytest.mark.parametrize("standing", Standing)
def test_a_pardon_ends_well_from_everywhere(standing: Standing) -> None:
    """Whatever its answers had earned it."""
    assert TRANSITIONS[standing, Verdict.PARDONED] is Standing.GOOD


def test_only_a_trip_ejects() -> None:
    """No other verdict leads to EJECTED from outside it."""
    ways = {v for (before, v), after in TRANSITIONS.items() if after is Standing.EJECTED and before is not after}
    assert ways == {Verdict.TRIPPED}


def test_the_ejection_time_grows_with_each_in_a_row() -> None:
    """Base 30 s, at most 100 s: 30, 60, 90, 100, 100."""
    policy = OutlierDetection(base_ejection_time=30, max_ejection_time=100)
    ejection = Ejection()
    assert [ejection.eject(0.0, policy) for _ in range(5)] == [30, 60, 90, 100, 100]


@pytest.mark.parametrize(("available", "expected"), [(29.9, 4), (30.0, 3), (65.0, 2), (1e6, 1)])
def test_good_time_earns_multiples_back(available: float, expected: int) -> None:
    """The multiple falls by one for each base time spent available, never below the first."""
    policy = OutlierDetection(base_ejection_time=30)
    ejection = Ejection()
    for _ in range(3):
        ejection.eject(0.0, policy)
    ejection.available = available
    ejection.eject(0.0, policy)
    assert ejection.multiple == expected


def test_moves_tell_whether_anything_changed() -> None:
    """move() is True exactly when the standing is another afterwards, and the repr shows it."""
    ejection = Ejection()
    assert not ejection.move(Verdict.ANSWERED)
    assert ejection.move(Verdict.TRIPPED)
    assert not ejection.move(Verdict.TRIPPED)
    assert repr(ejection) == "<Ejection ejected, 0 in a row>"
