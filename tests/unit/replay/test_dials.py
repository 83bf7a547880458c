"""What was known of an address."""

from sidecar.errors import FAILURES
from sidecar.replay.dials import KNOWN_FOR, Answer, Dialled, Dials

A, B = "10.0.0.1:80", "10.0.0.2:80"
REFUSED = FAILURES["refused"]
DIALS = Dials(
    [
        Dialled(10.0, A, None, probe=True),
        Dialled(20.0, A, REFUSED, probe=False),
        Dialled(30.0, A, None, probe=True),
    ]
)


def test_the_last_one_before_tells() -> None:
    """Between two changes nothing else was seen."""
    assert [DIALS.known(A, now).failure for now in (10.0, 19.9, 20.0, 29.9, 99.0)] == [
        None,
        None,
        REFUSED,
        REFUSED,
        None,
    ]
    assert DIALS.known(A, 25.0).since == 20.0


def test_of_whom_nothing_is_known_it_is_taken_to_answer() -> None:
    """Before its first dial, and for a stranger."""
    assert DIALS.known(A, 9.0) == DIALS.known(B, 50.0) == Answer(None, None)
    assert DIALS.known(B, 50.0).assumed(50.0)


def test_what_was_seen_long_ago_is_assumed_to_be_so_still() -> None:
    """Whoever is probed is recorded again before that."""
    answer = DIALS.known(A, 1000.0)
    assert not answer.assumed(30.0 + KNOWN_FOR)
    assert answer.assumed(30.1 + KNOWN_FOR)


def test_a_dial_that_is_about_to_end_is_awaited() -> None:
    """One that has ended is not, nor one that began later."""
    assert DIALS.is_under_way(A, 19.0, patience=5.0)
    assert not DIALS.is_under_way(A, 18.9, patience=5.0)
    assert not DIALS.is_under_way(A, 20.0, patience=5.0)
    assert not DIALS.is_under_way(A, 30.0, patience=5.0)
    assert not DIALS.is_under_way(B, 30.0, patience=5.0)
    assert repr(DIALS) == "<Dials of 1 addresses>"


def test_a_dial_that_was_given_up_took_its_patience() -> None:
    """Five seconds before it ended it had just begun."""
    dials = Dials([Dialled(20.0, A, FAILURES["connect_timeout"], probe=True)])
    assert dials.is_under_way(A, 14.0, patience=5.0)
    assert not dials.is_under_way(A, 13.9, patience=5.0)
