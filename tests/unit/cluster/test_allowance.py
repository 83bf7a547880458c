"""So many a second, a few at once."""

import pytest

from sidecar.cluster.allowance import Allowance


def taken(allowance: Allowance, now: float) -> int:
    """How many may begin at once now."""
    count = 0
    while not allowance.spent(now):
        allowance.take()
        count += 1
    return count


def test_a_rest_fills_it_and_no_more() -> None:
    """Four at once at first and after any rest."""
    allowance = Allowance(10.0, 4, 100.0)
    assert [taken(allowance, now) for now in (100.0, 100.0, 100.3, 9999.0)] == [4, 0, 3, 4]


def test_it_tells_when_there_is_more() -> None:
    """At that very moment one may begin, and not before."""
    allowance = Allowance(10.0, 4, 100.0)
    assert allowance.next_at() == 100.0
    taken(allowance, 100.0)
    at = allowance.next_at()
    assert at == pytest.approx(100.1)
    assert [taken(allowance, now) for now in (at - 0.001, at)] == [0, 1]


def test_a_clock_that_stands_still_fills_nothing() -> None:
    """Nor does one that is asked for an earlier moment."""
    allowance = Allowance(10.0, 4, 100.0)
    taken(allowance, 100.0)
    assert allowance.spent(99.0)
    assert allowance.spent(100.0)
    assert repr(allowance) == "<Allowance of 10 a second, 0.0 left>"
