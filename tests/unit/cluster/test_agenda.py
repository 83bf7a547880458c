"""Whose turn it is."""

import math

from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.agenda import SLACK, Agenda
from sidecar.cluster.endpoint import Endpoint
from tests.support.clusters import instance, letter_of

ENDPOINTS = [Endpoint(instance(letter), 0.0) for letter in "abcd"]
A, B, C, D = ENDPOINTS


def names(endpoints: list[Endpoint]) -> str:
    """Their letters in order."""
    return "".join(letter_of(endpoint.address) for endpoint in endpoints)


def test_whose_time_has_come_is_taken_in_order_of_time() -> None:
    """The earliest first, of equals the one put first; later ones stay."""
    agenda = Agenda()
    for endpoint, at in ((A, 3.0), (B, 1.0), (C, 1.0), (D, 4.0)):
        agenda.put(endpoint, at)
    assert names(agenda.take(3.0)) == "bca"
    assert (agenda.first(), agenda.take(3.0), repr(agenda)) == (4.0, [], "<Agenda of 1>")


def test_a_turn_only_moves_nearer() -> None:
    """An earlier time replaces a later one, a later one changes nothing, and nobody is taken twice."""
    agenda = Agenda()
    for at in (5.0, 2.0, 9.0, math.inf):
        agenda.put(A, at)
    assert agenda.first() == 2.0
    assert names(agenda.take(10.0)) == "a"
    assert not agenda


def test_who_left_has_no_turn() -> None:
    """Dropped ones are neither first nor taken, and may come back."""
    agenda = Agenda()
    agenda.put(A, 1.0)
    agenda.drop(A)
    agenda.drop(B)
    assert (agenda.first(), agenda.take(2.0)) == (math.inf, [])
    agenda.put(A, 3.0)
    assert agenda.pop() is A


def test_moving_about_leaves_nothing_behind() -> None:
    """A turn that moves nearer ten thousand times takes the room of a few."""
    agenda = Agenda()
    for i in range(10_000):
        agenda.put(A, 10_000.0 - i)
    assert len(agenda._heap) <= SLACK + 2
    assert agenda.first() == 1.0


@given(
    st.lists(st.tuples(st.sampled_from(ENDPOINTS), st.floats(0, 9) | st.just(math.inf) | st.none())), st.floats(0, 9)
)
def test_it_agrees_with_a_plain_dictionary(steps: list[tuple[Endpoint, float | None]], now: float) -> None:
    """After any puts and drops, exactly those are taken whose least time since the last drop has come."""
    agenda, plain = Agenda(), dict.fromkeys(ENDPOINTS, math.inf)
    for endpoint, at in steps:
        if at is None:
            agenda.drop(endpoint)
            plain[endpoint] = math.inf
        else:
            agenda.put(endpoint, at)
            plain[endpoint] = min(plain[endpoint], at)
    assert agenda.first() == min(plain.values())
    assert set(agenda.take(now)) == {endpoint for endpoint, at in plain.items() if at <= now}
