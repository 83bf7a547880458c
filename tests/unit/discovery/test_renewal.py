"""When a login is due, and when one is allowed."""

import random

import pytest

from sidecar.discovery.options import Server
from sidecar.discovery.renewal import ANSWERED, FIRST_TRIES, UNANSWERED, Renewal

A, B = (Server(host, 8848, 9848) for host in "ab")


@pytest.fixture
def renewal() -> Renewal:
    return Renewal(rng=random.Random(1))


def granted(renewal: Renewal, now: float, *, ttl: float = 100.0, refused: bool = False) -> None:
    renewal.obtained("t", ttl, password="p", refused=refused, now=now)


def wait(renewal: Renewal, now: float, *, refused: bool = False) -> float:
    """Seconds until a try is allowed, to a tenth."""
    return next(n / 10 for n in range(10_000) if renewal.may_try("p", A, refused=refused, now=now + n / 10))


def test_a_token_is_renewed_at_four_fifths_of_its_life(renewal: Renewal) -> None:
    """Before the first login it is due at once."""
    assert renewal.due(0.0)
    granted(renewal, 0.0)
    assert not renewal.due(79.9)
    assert renewal.due(80.0)
    assert renewal.token == "t"


def test_a_refused_token_is_replaced_at_once(renewal: Renewal) -> None:
    """It expired early, or the server's key changed."""
    granted(renewal, 0.0)
    assert wait(renewal, 5.0, refused=True) == 0.0


@pytest.mark.parametrize("longest", [ANSWERED, UNANSWERED])
def test_tries_in_vain_back_off(renewal: Renewal, longest: tuple[float, float]) -> None:
    """From a second, doubling, to a ceiling below ten seconds, and after some minutes to one that spares the server."""
    now, pauses = 0.0, []
    for _ in range(FIRST_TRIES + 5):
        renewal.failed(A, password="p", answered=longest is ANSWERED, now=now)
        pauses.append(wait(renewal, now))
        now += pauses[-1]
    assert 0.8 <= pauses[0] <= 1.3
    assert pauses[1] > pauses[0]
    assert longest[0] * 0.8 <= pauses[FIRST_TRIES - 1] <= longest[0] * 1.2 + 0.1 < 10.0
    assert longest[1] * 0.8 <= pauses[-1] <= longest[1] * 1.2 + 0.1


def test_another_password_is_tried_at_once(renewal: Renewal) -> None:
    """However long the pause still was, and its own pauses begin anew."""
    for n in range(8):
        renewal.failed(A, password="old", answered=True, now=float(n * 40))
    assert not renewal.may_try("old", A, refused=False, now=282.0)
    assert renewal.may_try("p", A, refused=False, now=282.0)
    renewal.failed(A, password="p", answered=True, now=282.0)
    assert wait(renewal, 282.0) <= 1.3


def test_a_token_that_is_refused_again_and_again_is_replaced_more_and_more_rarely(renewal: Renewal) -> None:
    """The user may just not be allowed to read one service."""
    granted(renewal, 0.0)
    now, tries = 10.0, 0
    while now < 610.0:
        if renewal.may_try("p", A, refused=True, now=now):
            granted(renewal, now, refused=True)
            tries += 1
        now += 3.0
    assert 30 <= tries <= 50


def test_renewal_in_time_does_not_wait_for_refusals(renewal: Renewal) -> None:
    """One service that may not be read does not cost the others their token."""
    for n in range(6):
        granted(renewal, float(n * 10), ttl=3.0, refused=True)
    assert not renewal.may_try("p", A, refused=True, now=53.0)
    assert renewal.due(53.0)
    assert renewal.may_try("p", A, refused=False, now=53.0)


def test_a_refusal_long_after_the_last_is_answered_at_once(renewal: Renewal) -> None:
    """Tries of a minute ago are forgotten."""
    for n in range(6):
        granted(renewal, float(n * 40), refused=True)
    granted(renewal, 400.0, refused=True)
    assert wait(renewal, 400.0, refused=True) <= 1.3


def test_it_reads_like_a_status_line(renewal: Renewal) -> None:
    """Without the token."""
    renewal.failed(A, password="hush", answered=True, now=0.0)
    assert repr(renewal) == "<Renewal: not logged in, 1 tries in vain>"
    renewal.obtained("hush", 9.0, password="hush", refused=False, now=1.0)
    assert repr(renewal) == "<Renewal: logged in, 0 tries in vain>"


def test_silence_of_one_server_keeps_nobody_from_another(renewal: Renewal) -> None:
    """However long the pause for the silent one; a server that answers "no" speaks for all of them."""
    for now in (0.0, 1.0, 2.0):
        renewal.failed(A, password="p", answered=False, now=now)
    assert not renewal.may_try("p", A, refused=True, now=2.0)
    assert renewal.may_try("p", B, refused=True, now=2.0)
    renewal.failed(B, password="p", answered=True, now=2.0)
    assert not renewal.may_try("p", A, refused=False, now=2.0)
