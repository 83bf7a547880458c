"""Choosing one of several."""

import random
from collections import Counter
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.cluster.balancer import HAND, TURN, chooser
from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.instance import Instance
from sidecar.cluster.policy import Balancing
from tests.support.clusters import instance

DRAWS = 6000


def endpoints(*weights: float) -> list[Endpoint]:
    return [Endpoint(instance(chr(ord("a") + i), weight=weight), 0.0) for i, weight in enumerate(weights)]


@pytest.mark.parametrize("policy", Balancing)
@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 3), (0.5, 5), (1, 1, 1, 1, 16)])
def test_shares_follow_weights(policy: Balancing, weights: tuple[float, ...]) -> None:
    """One call after the other, each endpoint gets its weight's share of the calls within three points."""
    crowd = endpoints(*weights)
    choose = chooser(policy, crowd, random.Random(7))
    counts = Counter(choose(0.0) for _ in range(DRAWS))
    for one in crowd:
        assert counts[one] / DRAWS == pytest.approx(one.weight / sum(weights), abs=0.03)


@settings(max_examples=15)
@given(
    st.lists(st.sampled_from([0.5, 1.0, 2.0, 5.0]), min_size=2, max_size=6), st.sampled_from(Balancing), st.integers()
)
def test_any_weights_share_out(weights: list[float], policy: Balancing, seed: int) -> None:
    """Whatever the weights, no share is off by more than five points."""
    crowd = endpoints(*weights)
    choose = chooser(policy, crowd, random.Random(seed))
    counts = Counter(choose(0.0) for _ in range(3000))
    for one in crowd:
        assert abs(counts[one] / 3000 - one.weight / sum(weights)) < 0.05


def test_under_load_in_flight_requests_follow_weights_too() -> None:
    """With forty calls always open, the endpoint of weight 3 carries about three quarters of them."""
    light, heavy = endpoints(1, 3)
    rng = random.Random(3)
    choose = chooser(Balancing.LEAST_REQUEST, [light, heavy], rng)
    still_open: list[Endpoint] = []
    carried = 0
    for _ in range(4000):
        if len(still_open) == 40:
            still_open.pop(rng.randrange(40)).in_flight -= 1
        one = choose(0.0)
        one.in_flight += 1
        still_open.append(one)
        carried += heavy.in_flight
    assert carried / 4000 == pytest.approx(30, abs=2)


@pytest.mark.parametrize("weights", [(1, 1), (2, 1)])
def test_the_less_loaded_of_two_is_taken(weights: tuple[float, float]) -> None:
    """Between two, the one with less in flight for its weight wins every time."""
    busy, idle = endpoints(*weights)
    busy.in_flight = 5
    choose = chooser(Balancing.LEAST_REQUEST, [busy, idle], random.Random(1))
    assert {choose(0.0) for _ in range(50)} == {idle}


def test_a_failure_weighs_like_a_request_in_flight() -> None:
    """An endpoint that fails fast does not look idle."""
    failing, well = endpoints(1, 1)
    failing.penalty, well.in_flight = 2, 1
    choose = chooser(Balancing.LEAST_REQUEST, [failing, well], random.Random(1))
    assert {choose(0.0) for _ in range(50)} == {well}


def test_only_the_busiest_of_many_is_never_taken() -> None:
    """Two distinct candidates are compared, so the one with most in flight never wins."""
    crowd = endpoints(1, 1, 1, 1)
    crowd[2].in_flight = 9
    choose = chooser(Balancing.LEAST_REQUEST, crowd, random.Random(1))
    assert crowd[2] not in {choose(0.0) for _ in range(500)}


def test_equal_and_idle_ones_all_come_up_before_any_comes_up_again() -> None:
    """Ten rounds of seven, no two in the same order: nobody waits for longer than two rounds."""
    crowd = endpoints(*[1] * 7)
    choose = chooser(Balancing.LEAST_REQUEST, crowd, random.Random(1))
    rounds = [tuple(choose(0.0) for _ in crowd) for _ in range(10)]
    assert {frozenset(one) for one in rounds} == {frozenset(crowd)}
    assert len(set(rounds)) == 10


def many(count: int = 300) -> list[Endpoint]:
    """So many equal ones."""
    return [Endpoint(Instance("10.0.0.1", 1 + i), 0.0) for i in range(count)]


def has_a_hand(crowd: list[Endpoint]) -> bool:
    """The same ones come round again in the same order, where a deck would be shuffled."""
    choose = chooser(Balancing.LEAST_REQUEST, crowd, random.Random(1))
    first, second = [[choose(0.0) for _ in range(HAND)] for _ in range(2)]
    return first == second


def test_hands_are_for_many_and_for_equals() -> None:
    """One more than a hand, and none of another weight: an idle light one would take the turns of a heavy one that is busy."""
    assert has_a_hand(many(HAND + 1))
    assert not has_a_hand(many(HAND))
    unequal = [*many(HAND), Endpoint(Instance("10.0.0.2", 1, weight=2), 0.0)]
    assert not has_a_hand(unequal)


def test_among_many_a_hand_comes_round_again_in_its_order() -> None:
    """Whoever calls often finds the same few, each as often as the others."""
    choose = chooser(Balancing.LEAST_REQUEST, many(), random.Random(1))
    hand = [choose(0.0) for _ in range(HAND)]
    assert len(set(hand)) == HAND
    assert [choose(TURN / 2) for _ in range(3 * HAND)] == 3 * hand


def test_a_hand_is_drawn_anew_when_its_turn_is_over() -> None:
    """All of them at once, and from those that have waited longest."""
    choose = chooser(Balancing.LEAST_REQUEST, many(), random.Random(1))
    hands = [frozenset(choose(number * 2 * TURN) for _ in range(HAND)) for number in range(9)]
    assert len(frozenset().union(*hands)) == 9 * HAND


@pytest.mark.parametrize(
    ("trouble", "ill", "well"),
    [("in_flight", 1, 0), ("penalty", 1, 0), ("state", State.LEAVING, State.AVAILABLE)],
)
def test_who_is_busy_or_failed_or_leaves_keeps_its_place_and_loses_its_turn(
    trouble: str, ill: object, well: object
) -> None:
    """Another one goes in its stead; afterwards it is called again."""
    choose = chooser(Balancing.LEAST_REQUEST, many(), random.Random(1))
    hand = [choose(0.0) for _ in range(HAND)]
    setattr(hand[5], trouble, ill)
    second = [choose(0.0) for _ in range(HAND)]
    assert [i for i in range(HAND) if second[i] is not hand[i]] == [5]
    setattr(hand[5], trouble, well)
    assert [choose(0.0) for _ in range(HAND)] == hand


def test_who_calls_seldom_has_no_hand() -> None:
    """A hand that has not come round within its turn is none: all of many come up before any comes up again."""
    crowd, pause = many(), 1.01 * TURN / HAND
    choose = chooser(Balancing.LEAST_REQUEST, crowd, random.Random(1))
    assert len({choose(number * pause) for number in range(len(crowd))}) == len(crowd)


def shares(crowd: Sequence[Endpoint], pause: float, seconds: Sequence[float]) -> list[float]:
    """What each gets, to an even share, when one calls each `pause` and they take so long; over 200 calls to each."""
    choose, told = chooser(Balancing.LEAST_REQUEST, crowd, random.Random(7)), Counter[Endpoint]()
    numbers = {one: number for number, one in enumerate(crowd)}
    ends: list[tuple[float, int]] = []
    for now in (pause * call for call in range(200 * len(crowd))):
        while ends and ends[0][0] <= now:
            crowd[heappop(ends)[1]].in_flight -= 1
        one = choose(now)
        one.in_flight += 1
        told[one] += 1
        heappush(ends, (now + seconds[numbers[one]], numbers[one]))
    return [told[one] / 200 for one in crowd]


@pytest.mark.parametrize("pause", [TURN / 1000, TURN / 400, TURN / HAND / 3, TURN])
@pytest.mark.parametrize("seconds", [0.0001, 0.001, 0.02])
def test_many_equal_ones_get_as_much_however_often_one_calls(pause: float, seconds: float) -> None:
    """Over 200 calls to each, a second or more, nobody gets a third less than its share, or more."""
    crowd = many()
    found = shares(crowd, pause, [seconds] * len(crowd))
    assert min(found) > 0.67
    assert max(found) < 1.33


@pytest.mark.parametrize("pause", [TURN / 1000, TURN / 400, TURN / 100, TURN])
def test_who_answers_fast_does_not_draw_the_calls_of_the_others(pause: float) -> None:
    """One of many that answers at once, perhaps since it does nothing: the better of two alone would give it twice its
    share where all others are always busy, and the hand may double that.
    """
    crowd = many()
    found = shares(crowd, pause, [0.0001] + [0.02] * (len(crowd) - 1))
    assert 0.9 < found[0] < 4.0
    assert min(found[1:]) > 0.8


def test_round_robin_gives_each_its_turn() -> None:
    """Of four equal ones, any four calls in a row reach all four."""
    crowd = endpoints(1, 1, 1, 1)
    choose = chooser(Balancing.ROUND_ROBIN, crowd, random.Random(1))
    calls = [choose(0.0) for _ in range(40)]
    assert all(set(calls[i : i + 4]) == set(crowd) for i in range(37))


def test_round_robin_is_smooth() -> None:
    """A heavy endpoint gets its many turns spread out: the light one's turns are evenly far apart."""
    heavy, light = endpoints(4, 1)
    choose = chooser(Balancing.ROUND_ROBIN, [heavy, light], random.Random(1))
    turns = [i for i in range(500) if choose(0.0) is light]
    assert {later - earlier for earlier, later in pairwise(turns)} <= {4, 5, 6}


@pytest.mark.parametrize("policy", Balancing)
def test_the_only_one_is_always_taken(policy: Balancing) -> None:
    """With one endpoint there is no draw."""
    (only,) = endpoints(1)
    assert chooser(policy, [only], random.Random(1))(0.0) is only


@pytest.mark.parametrize("policy", Balancing)
def test_the_same_seed_makes_the_same_choices(policy: Balancing) -> None:
    """Choice depends on weights, load and the generator alone."""

    def calls() -> list[str]:
        choose = chooser(policy, endpoints(1, 2, 3), random.Random(5))
        return [choose(0.0).address for _ in range(100)]

    assert calls() == calls()


class Extreme:
    """The largest number below one, always."""

    def random(self) -> float:
        return 1.0 - 2**-53


@pytest.mark.parametrize("policy", Balancing)
@pytest.mark.parametrize("weights", [(1, 1, 1), (0.1, 0.2, 0.3)])
def test_the_edge_of_the_range_is_still_an_endpoint(policy: Balancing, weights: tuple[float, ...]) -> None:
    """A draw just below one never falls off the end, whatever rounding does to the sums."""
    crowd = endpoints(*weights)
    assert chooser(policy, crowd, Extreme())(0.0) in crowd
