"""What speaks against a session."""

import pytest

from sidecar.discovery.judge import GRACE_IN_DOUBT, Judge
from sidecar.discovery.session import ServiceKey, Trouble

A, B = ServiceKey("a", "G"), ServiceKey("b", "G")


class Fixed:
    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.fixture
def judge() -> Judge:
    return Judge(rng=Fixed(0.5), now=0.0)


def test_one_unanswered_query_is_no_trouble(judge: Judge) -> None:
    """Packets get lost."""
    assert judge.unanswered(asked_at=1.0, now=2.0) is None


def test_a_second_one_in_a_row_is(judge: Judge) -> None:
    """Asked after the first had failed, and nothing again."""
    judge.unanswered(asked_at=1.0, now=2.0)
    assert judge.unanswered(asked_at=2.0, now=3.0) is Trouble.QUERY_FAILED


def test_queries_that_were_in_flight_together_fail_as_one(judge: Judge) -> None:
    """A pause of one second in the server loses all eight at once; that is one failure, not eight."""
    for now in (2.0, 2.05, 2.1):
        assert judge.unanswered(asked_at=now - 1.0, now=now) is None


def test_an_answer_in_between_ends_the_row(judge: Judge) -> None:
    """In a row means in a row; an error is an answer too."""
    judge.unanswered(asked_at=1.0, now=2.0)
    judge.answered()
    assert judge.unanswered(asked_at=3.0, now=4.0) is None


@pytest.mark.parametrize("code", [300, 301, 302])
def test_an_error_that_disowns_the_connection_is_trouble(judge: Judge, code: int) -> None:
    """Starting, unregistered, no handler: the connection is of no use."""
    assert judge.error(code) is Trouble.UNHEALTHY


@pytest.mark.parametrize("code", [0, 400, 403, 500, 502, 503])
def test_any_other_answered_error_is_not(judge: Judge, code: int) -> None:
    """One failing service must not cost the others their session."""
    assert judge.error(code) is None


def test_a_list_that_still_differs_after_three_seconds_is_trouble(judge: Judge) -> None:
    """Asked at once, after 1 s and after 3 s, and never what was pushed: a push was lost."""
    assert judge.differs(A, 10.0) is None
    assert judge.look_again_at(A, 10.0) == 11.0
    assert judge.differs(A, 11.0) is None
    assert judge.look_again_at(A, 11.0) == 13.0
    assert judge.differs(A, 13.0) is Trouble.LIST_MISMATCH


def test_half_the_time_is_enough_where_the_list_is_doubted_otherwise(judge: Judge) -> None:
    """Asked at once, after 1 s and after 1.5 s: the lag of a healthy server twice over."""
    assert judge.differs(A, 10.0, grace=GRACE_IN_DOUBT) is None
    assert judge.look_again_at(A, 10.0, grace=GRACE_IN_DOUBT) == 11.0
    assert judge.differs(A, 11.0, grace=GRACE_IN_DOUBT) is None
    assert judge.look_again_at(A, 11.0, grace=GRACE_IN_DOUBT) == 11.5
    assert judge.differs(A, 11.5, grace=GRACE_IN_DOUBT) is Trouble.LIST_MISMATCH


def test_a_push_in_between_ends_the_suspicion(judge: Judge) -> None:
    """Queries may run ahead of a push that is still to come."""
    judge.differs(A, 10.0)
    judge.agrees(A)
    assert judge.differs(A, 14.0) is None


def test_services_are_suspected_one_by_one(judge: Judge) -> None:
    """A short difference of one and a short difference of another do not add up."""
    judge.differs(A, 10.0)
    assert judge.differs(B, 13.0) is None


@pytest.mark.parametrize(("dice", "age"), [(0.0, 3240.0), (0.5, 3600.0)])
def test_a_session_ends_after_about_an_hour(dice: float, age: float) -> None:
    """±10 %, so that a fleet does not move in step."""
    judge = Judge(rng=Fixed(dice), now=0.0)
    assert judge.ends_at == pytest.approx(age)
    assert judge.expired(age - 1) is None
    assert judge.expired(age) is Trouble.MAX_AGE
