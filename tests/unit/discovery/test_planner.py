"""Whom to ask next, and when."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.clock import Rng
from sidecar.discovery.planner import MAX_IN_FLIGHT, SPACING, TOGETHER, Planner
from sidecar.discovery.session import ServiceKey

A, B, C = (ServiceKey(name, "G") for name in ("a", "b", "c"))


class Middle:
    """No jitter: 0.5 is the middle of every range."""

    def random(self) -> float:
        return 0.5


def planner(*keys: ServiceKey, liveness: float = 3.0, reconcile: float = 30.0, rng: Rng | None = None) -> Planner:
    return Planner(keys, liveness=liveness, reconcile=reconcile, rng=rng or Middle(), now=0.0)


def run(plan: Planner, until: float, *, answer_after: float | None = 0.01) -> list[tuple[float, ServiceKey]]:
    """Plays the I/O shell: sleeps until `wake_at`, asks whoever is due, gets every answer after a moment."""
    asked: list[tuple[float, ServiceKey]] = []
    answers: list[tuple[float, ServiceKey]] = []
    now = 0.0
    while True:
        now = max(now, min([plan.wake_at(), *(at for at, _ in answers)]))
        if now > until:
            return asked
        for at, key in [answer for answer in answers if answer[0] <= now]:
            plan.done(key)
            answers.remove((at, key))
        while (key_due := plan.due(now)) is not None:
            plan.asked(key_due, now)
            asked.append((now, key_due))
            if answer_after is not None:
                answers.append((now + answer_after, key_due))


def gaps(asked: Sequence[tuple[float, ServiceKey]]) -> list[float]:
    times = [0.0, *(at for at, _ in asked)]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def test_some_service_is_asked_at_least_every_liveness_interval() -> None:
    """Proof of life does not depend on how many services there are."""
    asked = run(planner(A, rng=random.Random(1)), until=60)
    assert max(gaps(asked)) <= 3.0
    assert len(asked) < 60 / 3 * 1.3


def test_proof_of_life_goes_round() -> None:
    """Whoever was not asked for longest is asked next."""
    assert [key for _, key in run(planner(A, B, C), until=17)][:6] == [A, B, C, A, B, C]


def test_every_service_is_asked_within_the_reconcile_interval() -> None:
    """With liveness out of the way each service is still asked every 30 s at the latest, and not in step."""
    asked = run(planner(A, B, C, liveness=1e9, rng=random.Random(2)), until=400)
    for service in (A, B, C):
        found = gaps([turn for turn in asked if turn[1] is service])
        assert 22.5 <= min(found) < max(found) <= 28.6


def test_a_push_is_looked_at_again_after_two_seconds() -> None:
    """Not earlier: the server's queries lag behind its pushes by up to 0.8 s."""
    plan = planner(A, B, liveness=1e9)
    plan.pushed(B, 10.0)
    assert plan.due(11.99) is None
    assert plan.wake_at() == 12.0
    assert plan.due(12.0) == B


def test_further_pushes_put_the_second_look_off() -> None:
    """A stream of pushes proves itself; the look comes 2 s after the last one."""
    plan = planner(A, liveness=1e9)
    for at in (1.0, 1.6, 2.2):
        plan.pushed(A, at)
    assert plan.wake_at() == 4.2


def test_a_doubted_service_is_asked_each_second_until_the_doubt_is_withdrawn() -> None:
    """The next call replaces the set."""
    plan = planner(A, B, liveness=1e9)
    plan.doubt([B])
    assert [round(at) for at, key in run(plan, until=5.5) if key is B] == [1, 2, 3, 4, 5]
    plan.doubt([])
    assert plan.wake_at() > 20


def test_a_doubt_about_a_service_not_asked_for_long_is_followed_at_once() -> None:
    """The second counts from the last question, so an old one is due now."""
    plan = planner(A, B, liveness=1e9)
    plan.doubt([A])
    assert plan.due(9.0) == A


def test_doubted_services_come_first_as_proof_of_life() -> None:
    """When anybody would do, the one whose list is in doubt is asked."""
    plan = planner(A, B, C, liveness=0.5)
    plan.doubt([C])
    assert plan.due(0.5) == C


def test_a_long_list_in_doubt_is_asked_for_at_once_and_then_more_rarely() -> None:
    """The pause grows with its last answer, and a new doubt begins anew."""
    plan = planner(A, liveness=1e9, reconcile=1e9)
    for at, later in ((1.0, 11.0), (21.0, 31.0)):
        plan.doubt([A])
        assert plan.wake_at() == at
        plan.asked(A, at)
        plan.done(A, 5000)
        assert plan.wake_at() == later
        plan.asked(A, at + 19.0)
        plan.done(A)
        plan.doubt([])


def test_a_short_list_in_doubt_keeps_its_second() -> None:
    """As most of them are."""
    plan = planner(A, liveness=1e9)
    plan.doubt([A])
    plan.asked(A, 1.0)
    plan.done(A, 500)
    assert plan.wake_at() == 2.0


def test_a_long_list_is_the_last_to_be_asked_for_as_proof_of_life() -> None:
    """Even in doubt, and even when nobody waited longer: any other will do."""
    plan = planner(A, B, liveness=3.0)
    plan.asked(A, 0.5)
    plan.done(A, 5000)
    plan.doubt([A])
    asked = run(plan, until=10.0)
    assert len(asked) > 3
    assert [key for at, key in asked if at < 1.6] == [A]
    assert {key for at, key in asked if at > 1.6} == {B}


def test_unknown_names_in_a_doubt_are_ignored() -> None:
    """A doubt may name services of another source."""
    plan = planner(A)
    plan.doubt([ServiceKey("elsewhere", "G")])
    assert repr(plan) == "<Planner: 1 services, 0 in doubt, 0 in flight>"


def test_after_an_unanswered_query_the_next_one_follows_at_once() -> None:
    """Two failures in a row are wanted soon, not in three seconds."""
    plan = planner(A)
    plan.asked(A, 3.0)
    plan.done(A)
    plan.hurry(4.0)
    assert plan.due(4.0) == A


def test_again_never_puts_a_turn_off() -> None:
    """A later wish does not undo an earlier one."""
    plan = planner(A, liveness=1e9)
    plan.again(A, 5.0)
    plan.again(A, 9.0)
    assert plan.wake_at() == 5.0


def test_one_service_has_one_query_in_flight() -> None:
    """Whatever is due, the answer is awaited first."""
    plan = planner(A)
    plan.asked(A, 0.0)
    plan.pushed(A, 0.0)
    assert plan.due(100.0) is None
    assert plan.wake_at() == math.inf


def test_at_most_eight_queries_are_in_flight() -> None:
    """A registry that answers nothing is not buried."""
    keys = [ServiceKey(f"s{n}", "G") for n in range(20)]
    plan = planner(*keys)
    for key in keys:
        plan.again(key, 0.0)
    assert len(run(plan, until=10.0, answer_after=None)) == MAX_IN_FLIGHT


@given(
    st.integers(1, 30),
    st.lists(st.tuples(st.integers(0, 29), st.sampled_from(["pushed", "again", "doubt"])), max_size=60),
    st.integers(0, 2**32),
)
def test_never_more_than_twenty_queries_a_second(size: int, calls: list[tuple[int, str]], seed: int) -> None:
    """In no second, however many services are pushed, doubted, named or due; these keep their distance besides."""
    keys = [ServiceKey(f"s{n}", "G") for n in range(size)]
    plan = planner(*keys, rng=random.Random(seed))
    for n, call in calls:
        key = keys[n % size]
        if call == "pushed":
            plan.pushed(key, 0.0)
        elif call == "again":
            plan.again(key, 0.0)
        else:
            plan.doubt([key])
    assert all(gap >= SPACING - 1e-9 for gap in gaps(run(plan, until=4.0))[1:])
    times = [at for at, _ in run(plan, until=60.0)]
    assert all(sum(at <= other < at + 1 - 1e-9 for other in times) <= 20 for at in times)


def test_of_many_services_a_few_are_asked_together() -> None:
    """Two hundred wake the process half as often or less, none waits longer, none is asked for much more often."""
    keys = [ServiceKey(str(n), "G") for n in range(200)]
    asked = run(planner(*keys, rng=random.Random(4)), until=600.0)[-4000:]
    bunches = Counter(at for at, _ in asked)
    assert max(bunches.values()) == TOGETHER
    assert len(bunches) < len(asked) / 2
    for key in keys[:5]:
        found = gaps([turn for turn in asked if turn[1] is key])[2:]
        assert 21.5 <= min(found) < max(found) <= 30.0


def test_only_what_would_be_reconciled_soon_goes_along() -> None:
    """A doubt, or a moment that somebody named, is about an answer then, not before."""
    plan = planner(A, B, C, liveness=1e9)
    plan.doubt([B])
    plan.again(A, 1.3)
    assert [(round(at, 3), key) for at, key in run(plan, until=1.5)] == [(1.0, B), (1.3, A)]


@pytest.mark.parametrize("services", [1, 200])
def test_the_plan_never_sleeps_past_what_is_due(services: int) -> None:
    """At `wake_at` somebody is due: the shell neither spins nor oversleeps."""
    keys = [ServiceKey(f"s{n}", "G") for n in range(services)]
    plan = planner(*keys, rng=random.Random(3))
    for _ in range(100):
        at = plan.wake_at()
        due = plan.due(at)
        assert due is not None
        plan.asked(due, at)
        plan.done(due)


def test_who_polls_may_ask_more_often() -> None:
    """Two hundred services every two seconds: the pace of twenty a second is only the default."""
    keys = [ServiceKey(str(n), "G") for n in range(200)]
    plan = Planner(keys, liveness=2.0, reconcile=2.0, rng=Middle(), now=0.0, spacing=0.005)
    asked = Counter(key for _, key in run(plan, 20.0))
    assert min(asked[key] for key in keys) >= 7
