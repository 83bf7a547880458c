"""Claims about the end of a stopping sidecar."""

import pytest

from sidecar.app.drain import Drain


@pytest.fixture
def drain() -> Drain:
    """Began at 100 s; hard end after 25 s, quiet for 2 s."""
    return Drain(100.0, timeout=25.0, quiet=2.0)


def test_quiet_counts_from_the_first_moment_alone(drain: Drain) -> None:
    """An app that had no connection open just before SIGTERM still gets the whole quiet time to call out."""
    assert not drain.over(100.0, 0, 0)
    assert not drain.over(101.9, 0, 0)
    assert drain.over(102.0, 0, 0)


def test_a_new_connection_starts_the_quiet_time_anew(drain: Drain) -> None:
    """Time alone before a connection does not count after it."""
    drain.over(100.0, 0, 0)
    assert not drain.over(101.0, 1, 0)
    assert not drain.over(102.5, 0, 0)
    assert not drain.over(104.4, 0, 0)
    assert drain.over(104.5, 0, 0)


def test_a_connection_that_came_and_went_unseen_starts_it_anew(drain: Drain) -> None:
    """An app that makes one for each call has none open whenever it is looked at."""
    assert not drain.over(100.0, 0, 7)
    assert not drain.over(101.5, 0, 8)
    assert not drain.over(103.4, 0, 8)
    assert drain.over(103.5, 0, 8)


def test_the_hard_end_does_not_wait_for_anyone(drain: Drain) -> None:
    """Open connections keep the process until `timeout`, and not longer."""
    assert not drain.over(124.9, 7, 0)
    assert drain.over(125.0, 7, 0)
