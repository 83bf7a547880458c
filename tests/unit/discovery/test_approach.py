"""Which server next, after what pause."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.policy import Range
from sidecar.discovery.approach import Approach, Miss
from sidecar.discovery.options import Server

ONE, TWO, THREE = (Server(f"n{n}", 8848, 9848) for n in range(3))


class Middle:
    def random(self) -> float:
        return 0.5


def approach(*servers: Server) -> Approach:
    return Approach(servers, backoff=Range(0.1, 5.0), rng=Middle())


def pauses(tries: Approach, miss: Miss, count: int) -> list[float]:
    found = []
    for _ in range(count):
        tries.missed(miss)
        found.append(round(tries.next()[1], 3))
    return found


def test_the_first_try_comes_at_once() -> None:
    """Start does not wait."""
    assert approach(ONE).next() == (ONE, 0.0)


def test_servers_are_tried_in_turn() -> None:
    """Trouble with one means the next one."""
    tries = approach(ONE, TWO, THREE)
    assert [tries.next()[0] for _ in range(4)] == [ONE, TWO, THREE, ONE]


def test_the_order_is_shuffled_once() -> None:
    """A fleet with one configuration does not rush to one server."""
    firsts = {Approach((ONE, TWO, THREE), backoff=Range(0.1, 5), rng=random.Random(n)).next()[0] for n in range(30)}
    assert firsts == {ONE, TWO, THREE}


def test_a_pause_comes_only_after_every_server_was_tried() -> None:
    """One dead node of three costs nothing."""
    assert pauses(approach(ONE, TWO, THREE), Miss.FAILED, 6) == [0.0, 0.0, 0.1, 0.0, 0.0, 0.2]


def test_failures_back_off_by_doubling_up_to_the_ceiling() -> None:
    """100 ms to 5 s, as configured."""
    assert pauses(approach(ONE), Miss.FAILED, 8) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_closed_port_is_knocked_at_every_quarter_of_a_second() -> None:
    """However long it lasts: its return must be noticed soon."""
    assert set(pauses(approach(ONE), Miss.REFUSED, 1000)) == {0.25}


@given(st.integers(0, 2**32), st.sampled_from([Miss.REFUSED, Miss.STARTING]))
def test_a_server_on_its_way_up_is_never_left_alone_for_a_second(seed: int, miss: Miss) -> None:
    """Refusing or starting, jitter included, for as long as it takes."""
    tries = Approach((ONE,), backoff=Range(0.1, 5.0), rng=random.Random(seed))
    assert all(pause < 1.0 for pause in pauses(tries, miss, 20))


def test_a_session_that_lived_is_replaced_at_once() -> None:
    """What was thrown away after ten seconds or more starts the count anew."""
    tries = approach(ONE)
    pauses(tries, Miss.FAILED, 5)
    tries.ended(10.0)
    assert tries.next() == (ONE, 0.0)


def test_a_registry_that_accepts_and_drops_us_is_left_in_peace() -> None:
    """Short sessions count as failures, so the pause grows over a hundred of them."""
    tries = approach(ONE)
    found = []
    for _ in range(100):
        tries.ended(2.0)
        found.append(tries.next()[1])
    assert found[0] == pytest.approx(0.1)
    assert found[-1] == 5.0
    assert found == sorted(found)
