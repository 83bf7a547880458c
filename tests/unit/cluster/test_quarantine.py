"""One endpoint that cannot be connected."""

import itertools
import random

import pytest

from sidecar.cluster.policy import Range
from sidecar.cluster.quarantine import TRANSITIONS, Dial, Quarantine, Reach
from tests.support.clusters import Even

BACKOFF = Range(0.1, 30.0)


def test_every_pair_of_reach_and_dial_is_a_move() -> None:
    """The table names each (state, input) pair once, and nothing else."""
    assert set(TRANSITIONS) == set(itertools.product(Reach, Dial))


@pytest.mark.parametrize("reach", Reach)
def test_one_dial_says_all_there_is_to_know(reach: Reach) -> None:
    """Whatever was known before, a dial that failed means refusing and one that succeeded means reachable."""
    assert TRANSITIONS[reach, Dial.FAILED] is Reach.REFUSING
    assert TRANSITIONS[reach, Dial.CONNECTED] is Reach.REACHABLE


def test_the_back_off_doubles_up_to_its_bound() -> None:
    """Tries come after 0.1, 0.2, 0.4 … seconds, and every 30 s in the end."""
    quarantine, waits = Quarantine(0.0), []
    for _ in range(12):
        now = quarantine.next_try
        quarantine.failed("refused", now, backoff=BACKOFF, rng=Even())
        waits.append(quarantine.next_try - now)
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 30])


def test_a_burst_of_refusals_counts_once() -> None:
    """A hundred requests that met the same closed port, or a hundred hasty tries, leave the back-off where it was."""
    quarantine = Quarantine(0.0)
    for _ in range(100):
        quarantine.failed("refused", 5.0, backoff=BACKOFF, rng=Even())
    assert quarantine.next_try == pytest.approx(5.1)
    quarantine.failed("refused", 5.1, backoff=BACKOFF, rng=Even())
    assert quarantine.next_try == pytest.approx(5.3)


def test_a_year_of_failures_does_not_overflow_the_back_off() -> None:
    """The back-off after a million failures is its upper bound, jitter apart."""
    quarantine = Quarantine(0.0)
    quarantine.failures = 1_000_000
    quarantine.failed("refused", 0.0, backoff=BACKOFF, rng=random.Random(1))
    assert 24.0 <= quarantine.next_try <= 36.0


def test_while_requests_wait_a_try_is_due_every_tenth_of_a_second() -> None:
    """Impatience brings a try of 30 s forward to 0.1 s after the last one, and never puts one off."""
    quarantine = Quarantine(0.0)
    quarantine.failures = 20
    quarantine.failed("refused", 5.0, backoff=BACKOFF, rng=Even())
    assert quarantine.due_at(impatient=False) == 35.0
    assert quarantine.due_at(impatient=True) == pytest.approx(5.1)


def test_what_was_never_dialled_is_due_at_once() -> None:
    """A new quarantine asks for its first dial now."""
    assert Quarantine(7.0).due_at(impatient=False) == 7.0


def test_refusing_counts_from_the_first_failure() -> None:
    """Later failures do not move `since`, the first after listing does."""
    quarantine = Quarantine(1.0)
    quarantine.failed("refused", 2.0, backoff=BACKOFF, rng=Even())
    quarantine.failed("connect_timeout", 3.0, backoff=BACKOFF, rng=Even())
    assert (quarantine.since, quarantine.reason, quarantine.reach) == (2.0, "connect_timeout", Reach.REFUSING)
    assert repr(quarantine) == "<Quarantine connect_timeout, 2 failed>"


def test_a_successful_dial_tells_what_was_known_before() -> None:
    """connected() distinguishes a first dial from a recovery."""
    quarantine = Quarantine(1.0)
    assert quarantine.connected() is Reach.UNDIALLED
    quarantine.failed("refused", 2.0, backoff=BACKOFF, rng=Even())
    assert quarantine.connected() is Reach.REFUSING
