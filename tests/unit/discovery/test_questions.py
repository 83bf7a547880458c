"""What to ask registry nodes about doubted lists, and when."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.clock import Rng
from sidecar.cluster.instance import View
from sidecar.discovery.questions import INTERVAL, MAX_ON_THEIR_WAY, PATIENCE, SPACING, Enquiry, Question, Questions
from sidecar.discovery.session import ServiceKey

A, B = (ServiceKey(name, "G") for name in ("a", "b"))
HERE, ELSEWHERE = Enquiry(), Enquiry(elsewhere=True)

Asked = list[tuple[float, ServiceKey, View]]


class Least:
    """No jitter: every pause is the shortest."""

    def random(self) -> float:
        return 0.0


def questions(enquiries: Mapping[ServiceKey, Enquiry], *, rng: Rng | None = None) -> Questions:
    found = Questions(rng=rng or Least())
    found.about(enquiries, 0.0)
    return found


def run(
    found: Questions, until: float, *, since: float = 0.0, answer_after: float | None = 0.01, instances: int = 3
) -> Asked:
    """Plays the I/O shell: sleeps until `wake_at`, asks what is due, gets every answer after a moment."""
    asked: Asked = []
    answers: list[tuple[float, Question]] = []
    now = since
    while True:
        now = max(now, min([found.wake_at(), *(at for at, _ in answers)]))
        if now > until:
            return asked
        for at, question in [answer for answer in answers if answer[0] <= now]:
            found.answered(question, instances, now)
            answers.remove((at, question))
        while (due := found.due(now)) is not None:
            found.asked(due, now)
            asked.append((now, due.key, due.view))
            if answer_after is not None:
                answers.append((now + answer_after, due))


def times(asked: Asked, view: View) -> list[float]:
    return [round(at, 3) for at, _, one in asked if one is view]


def test_disabled_or_gone_is_asked_at_once_and_every_second() -> None:
    """From the moment of the doubt on."""
    assert times(run(questions({A: HERE}), 3.5), View.EVERYTHING) == [0.0, 1.0, 2.0, 3.0]


def test_another_node_is_asked_two_seconds_into_the_doubt_and_every_second() -> None:
    """Where that is allowed; else never."""
    assert times(run(questions({A: ELSEWHERE}), 4.5), View.OFFERED)[0] >= PATIENCE
    assert len(times(run(questions({A: ELSEWHERE}), 4.5), View.OFFERED)) == 3
    assert times(run(questions({A: HERE}), 100.0), View.OFFERED) == []


def test_nothing_in_doubt_means_nothing_to_ask() -> None:
    """Neither before the first doubt nor after the last."""
    found = questions({})
    assert (bool(found), found.due(1e9), found.wake_at()) == (False, None, math.inf)
    found.about({A: ELSEWHERE}, 5.0)
    assert found
    found.about({}, 6.0)
    assert (bool(found), found.wake_at()) == (False, math.inf)


def test_a_doubt_that_goes_on_keeps_its_turns() -> None:
    """What is told about other services, or of more clusters, asks nothing twice."""
    found = questions({A: ELSEWHERE})
    run(found, 0.5)
    found.about({A: Enquiry(frozenset("x"), elsewhere=True), B: HERE}, 0.5)
    asked = run(found, 1.9, since=0.5)
    assert [(round(at, 1), key.name) for at, key, _ in asked] == [(0.5, "b"), (1.0, "a"), (1.5, "b")]
    assert found.due(5.0) is not None
    assert all(
        question.enquiry.clusters == (frozenset("x") if question.key == A else frozenset())
        for question in found._questions.values()
    )


def test_a_question_that_becomes_allowed_waits_its_two_seconds() -> None:
    """A reload switches the second opinion on during a doubt."""
    found = questions({A: HERE})
    found.about({A: ELSEWHERE}, 10.0)
    assert min(at for at, _, view in run(found, 20.0, since=10.0) if view is View.OFFERED) >= 10.0 + PATIENCE


def test_one_of_a_kind_is_on_its_way() -> None:
    """A node that never answers is not asked again; about the other question it is."""
    asked = run(questions({A: ELSEWHERE}), 100.0, answer_after=None)
    assert Counter(view for _, _, view in asked) == {View.EVERYTHING: 1, View.OFFERED: 1}


def test_an_answer_after_the_doubt_is_over_does_no_harm() -> None:
    """Its question is no longer there, and the next doubt asks anew."""
    found = questions({A: HERE})
    question = found.due(0.0)
    assert question is not None
    found.asked(question, 0.0)
    found.about({}, 0.5)
    found.about({A: HERE}, 0.6)
    found.answered(question, 3, 0.7)
    assert repr(found) == "<Questions: 1, 0 on their way>"
    assert len(run(found, 1.75, since=0.7)) == 2


def test_a_long_list_is_asked_for_more_rarely() -> None:
    """5 000 instances every ten seconds, whatever the question."""
    asked = run(questions({A: ELSEWHERE}), 35.0, instances=5000)
    for view in View:
        gaps = [b - a for a, b in itertools.pairwise(times(asked, view))]
        assert len(gaps) >= 2
        assert all(10.0 <= gap < 11.0 for gap in gaps)


def test_what_nobody_can_be_asked_costs_no_turn() -> None:
    """A hundred services passed over delay the one that can be asked by nothing."""
    names = [ServiceKey(f"s{n}", "G") for n in range(100)]
    found = questions(dict.fromkeys([*names, A], HERE))
    passed = 0
    while (question := found.due(0.0)) is not None and question.key != A:
        found.passed(question, 0.0)
        passed += 1
    assert passed == 100
    assert question is not None
    assert found.wake_at() == 0.0


@pytest.mark.parametrize("services", [1, 50, 400])
def test_the_load_is_bounded(services: int) -> None:
    """However many are in doubt: 20 questions a second, 8 on their way, and everybody gets a turn."""
    keys = {ServiceKey(f"s{n}", "G"): ELSEWHERE for n in range(services)}
    asked = run(questions(keys, rng=random.Random(1)), 60.0, answer_after=0.3)
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(asked)]
    assert all(gap >= SPACING - 1e-9 for gap in gaps)
    counts = Counter((key, view) for _, key, view in asked)
    assert counts.keys() >= set(itertools.product(keys, View))
    assert services == 1 or len(asked) >= 0.9 * 60.0 / SPACING


def test_slow_nodes_have_few_questions_on_their_way() -> None:
    """The ninth waits for an answer."""
    keys = {ServiceKey(f"s{n}", "G"): HERE for n in range(50)}
    asked = run(questions(keys), 100.0, answer_after=None)
    assert len(asked) == MAX_ON_THEIR_WAY


def test_two_services_of_one_registry_service_are_one_enquiry() -> None:
    """The clusters of both, and elsewhere where one of them may."""
    assert Enquiry(frozenset("x")) | Enquiry(frozenset("y"), elsewhere=True) == Enquiry(frozenset("xy"), elsewhere=True)
    assert Enquiry() | Enquiry() == Enquiry()


@given(seed=st.integers(0, 2**32), services=st.integers(1, 30))
def test_a_fleet_does_not_ask_in_step(seed: int, services: int) -> None:
    """Each pause is INTERVAL to 1.2 INTERVAL where the rate allows it, and not the same twice."""
    keys = {ServiceKey(f"s{n}", "G"): HERE for n in range(services)}
    asked = run(questions(keys, rng=random.Random(seed)), 12.0)
    first = times([one for one in asked if one[1].name == "s0"], View.EVERYTHING)
    gaps = [b - a for a, b in itertools.pairwise(first)]
    assert all(gap >= INTERVAL - 1e-3 for gap in gaps)
    assert services > 10 or all(gap <= 1.2 * INTERVAL + services * SPACING for gap in gaps)
    assert len({round(gap, 2) for gap in gaps}) > 1
