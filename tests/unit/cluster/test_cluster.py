"""The whole of one service."""

import gc
import math
import random
import sys
import weakref
from collections import Counter, deque
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sidecar.cluster.addresses import Addresses
from sidecar.cluster.choice import Tier, tier_of
from sidecar.cluster.cluster import PACE, Cluster
from sidecar.cluster.endpoint import Endpoint, LastFailure, State
from sidecar.cluster.instance import Instance, Origin, Push, Via
from sidecar.cluster.policy import (
    Balancing,
    LoadBalancing,
    OnEmpty,
    OutlierDetection,
    Probe,
    Protection,
    Range,
    ServicePolicy,
    Timeouts,
)
from sidecar.cluster.schedule import PROBES_A_SECOND, PROBES_AT_ONCE
from sidecar.errors import FAILURES
from tests.support.clusters import Even, Stage, at, instance, letter_of


@pytest.fixture
def orders() -> Stage:
    """Three endpoints that have answered once, and randomness without surprise."""
    stage = Stage(rng=Even())
    stage.lists("abc")
    for letter in "abc":
        stage.call(on=letter)
    stage.clear()
    return stage


def test_a_service_that_is_dropped_needs_no_collector(orders: Stage) -> None:
    """Nor do its endpoints: they are spared by it (`app/process.py`), so a cycle would never be found."""
    orders.call("refused", on="a")
    orders.lists("bc")
    parts: list[weakref.ref[Any]] = [weakref.ref(part) for part in (orders.cluster, *orders.cluster.endpoints.values())]
    gc.disable()
    try:
        orders.drop()
        assert [part for part in parts if part() is not None] == []
    finally:
        gc.enable()


# Quarantine


@pytest.mark.parametrize("reason", ["refused", "unreachable", "connect_timeout", "tls"])
def test_a_refused_endpoint_is_out_after_one_attempt(orders: Stage, reason: str) -> None:
    """One failed connect removes an endpoint from choice, however few are left."""
    orders.call(reason, on="a")
    assert repr(orders.cluster) == "<Cluster orders: 2 available, 1 quarantined>"
    assert repr(orders["a"]) == f"<Endpoint 10.0.0.1:80 quarantined ({reason}), 0 in flight>"
    assert orders.events[0].detail == {"reason": reason, "cause": None, "next_probe_s": pytest.approx(0.1)}
    assert orders["a"].last_failure == LastFailure(100.0, reason)
    assert orders.cluster.stats.quarantines == 1


def test_a_quarantine_has_the_cause_that_is_known(orders: Stage) -> None:
    """By traffic or by a probe; the event tells it, and it stands with the endpoint."""
    failure = FAILURES["tls"].because("it has expired: renew it")
    for said in (
        orders.cluster.report_failure(orders.begin("a"), failure, orders.now),
        orders.cluster.probed(orders["b"], failure, orders.now),
    ):
        (event,) = [event for event in said if event.kind == "endpoint_quarantined"]
        assert event.detail["cause"] == "it has expired: renew it"
    quarantine = orders["b"].quarantine
    assert quarantine is not None
    assert quarantine.cause == "it has expired: renew it"
    assert orders.cluster.stats.probes == {"tls": 1}


def test_another_cause_is_told_when_it_comes(orders: Stage) -> None:
    """An instance that restarts refuses first; that it comes back with a bad certificate is news, once."""
    expired, foreign = (FAILURES["tls"].because(cause) for cause in ("expired", "foreign"))
    told = []
    for failure in (FAILURES["refused"], expired, expired, foreign, FAILURES["refused"], FAILURES["refused"]):
        said = orders.cluster.probed(orders["a"], failure, orders.now)
        told += [event.detail["cause"] for event in said if event.kind == "endpoint_quarantined"]
    assert told == [None, "expired", "foreign"]
    assert orders.cluster.stats.quarantines == 1


def test_all_may_be_quarantined_and_then_nobody_is_picked(orders: Stage) -> None:
    """With everybody refusing, pick() has nobody to offer: requests wait."""
    for letter in "abc":
        orders.call("refused", on=letter)
    assert repr(orders.cluster) == "<Cluster orders: 3 quarantined>"
    assert orders.cluster.pick(orders.now) is None
    assert not orders.cluster.usable(orders.now)


def test_a_probe_brings_it_back_without_slow_start(orders: Stage) -> None:
    """Due after 0.1 s, reachable: it has all of its weight at once."""
    orders.call("refused", on="a")
    assert orders.cluster.next_due <= 100.1 + 1e-9
    orders.wait(0.15, alive="a")
    assert repr(orders.cluster) == "<Cluster orders: 3 available>"
    assert orders.kinds() == ["endpoint_quarantined", "probe", "endpoint_recovered"]
    assert orders["a"].ramp_from is None


def test_a_dial_by_traffic_brings_it_back_too(orders: Stage) -> None:
    """A connect that was under way when another one failed counts when it succeeds."""
    late = orders.cluster.pick(orders.now)
    assert late is not None
    letter = letter_of(late.address)
    orders.call("refused", on=letter)
    events = orders.cluster.report_connected(late, 0.2, orders.now)
    assert [event.kind for event in events] == ["endpoint_recovered"]
    assert orders[letter].state is State.AVAILABLE
    assert orders.cluster.stats.connect_duration.total == pytest.approx(0.2)


def test_failed_probes_come_ever_more_rarely(orders: Stage) -> None:
    """In the first minute after a refusal there are nine probes: 0.1, 0.3, 0.7 … 51.1 s."""
    orders.call("refused", on="a")
    orders.wait(60)
    assert orders.cluster.stats.probes == {"refused": 9}
    assert orders.cluster.stats.quarantines == 1
    assert orders.kinds().count("endpoint_quarantined") == 1


def test_while_requests_wait_all_are_probed_ten_times_a_second(orders: Stage) -> None:
    """Back-off is no reason to let a caller wait."""
    for letter in "abc":
        orders.call("refused", on=letter)
    orders.wait(30)
    orders.cluster.waiting = 1
    assert orders.cluster.next_due <= orders.now
    before = orders.cluster.stats.probes["refused"]
    orders.wait(1)
    assert orders.cluster.stats.probes["refused"] - before >= 27


def test_the_longest_untried_is_probed_first(orders: Stage) -> None:
    """Order of probes is order of the last try."""
    for letter in "bca":
        orders.call("refused", on=letter)
        orders.now += 0.01
    orders.now += 1
    assert orders.probe() == ["b", "c", "a"]


def test_one_probe_at_a_time_an_endpoint(orders: Stage) -> None:
    """Whoever is being probed is not due, however often one asks."""
    orders.call("refused", on="a")
    orders.now += 5
    due = orders.cluster.probes_due(orders.now)
    assert [endpoint.address for endpoint in due] == [at("a")]
    assert orders.cluster.probes_due(orders.now + 60) == []
    orders.cluster.probed(due[0], FAILURES["refused"], orders.now)
    orders.now += 1
    assert orders.probe() == ["a"]


def test_so_many_probes_are_in_the_air_at_once_and_no_more() -> None:
    """Of two hundred dead ones 64 are dialled within a second, the next when one of those has ended."""
    stage = Stage()
    stage.lists("a")
    stage.lists([Instance(f"10.1.0.{i}", 80) for i in range(200)])
    flying = stage.cluster.probes_due(stage.now)
    for _ in range(20):
        stage.now += 0.05
        flying += stage.cluster.probes_due(stage.now)
    assert len(flying) == PROBES_AT_ONCE
    stage.cluster.probed(flying[0], None, stage.now)
    assert len(stage.cluster.probes_due(stage.now)) == 1


def _calls_for_a_result(endpoints: int) -> float:
    """Python calls for one result of a probe, and for the next probe that is started in its place."""
    stage = Stage(outlier_detection=OutlierDetection(stall_after=None))  # that look is at all of them, now and then
    stage.lists([Instance(f"10.1.{i // 250}.{i % 250}", 80) for i in range(endpoints)], origin=Origin.DISK)
    cluster, now, calls = stage.cluster, stage.now, 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    flying = deque(cluster.probes_due(now))
    while len(flying) < PROBES_AT_ONCE or cluster._schedule._probes:  # all of them queue up, a few at a time
        now += 0.1
        flying += cluster.probes_due(now)
    sys.setprofile(count)
    try:
        for i in range(100):
            now += 2 / PROBES_A_SECOND
            cluster.probed(flying.popleft(), FAILURES["refused"] if i % 3 else None, now)
            cluster.tick(now)
            flying += cluster.probes_due(now)
    finally:
        sys.setprofile(None)
    assert len(flying) == PROBES_AT_ONCE
    return calls / 100


def test_a_result_of_a_probe_costs_the_same_among_many() -> None:
    """Of two thousand that wait for their first dial none but the next is asked: as much work as among two hundred."""
    few, many = _calls_for_a_result(200), _calls_for_a_result(2000)
    assert many <= few * 1.1
    assert many < 150


def test_a_result_does_not_sort_anew_until_somebody_is_picked(orders: Stage) -> None:
    """A probe that fails again changes nothing about the choice; one that succeeds does, at the next pick."""
    orders.call("refused", on="a")
    orders.now += 1
    orders.cluster.usable(orders.now)
    choice = orders.cluster._choice
    assert orders.probe() == ["a"]
    assert orders.cluster.usable(orders.now)
    assert orders.cluster._choice is choice
    orders.now += 1
    assert orders.probe("a") == ["a"]
    assert orders.cluster._choice is choice
    assert orders.call() is not None
    assert orders.cluster._choice is not choice


@pytest.mark.parametrize(
    ("reason", "word"), [("refused", "refused"), ("connect_timeout", "timeout"), ("unreachable", "unreachable")]
)
def test_probes_are_counted_in_the_words_of_the_catalogue(orders: Stage, reason: str, word: str) -> None:
    """A time-out is called timeout there."""
    orders.call("refused", on="a")
    orders.now += 1
    (due,) = orders.cluster.probes_due(orders.now)
    orders.cluster.probed(due, FAILURES[reason], orders.now)
    assert orders.cluster.stats.probes == {word: 1}


def test_a_probe_that_ends_after_its_endpoint_left_is_harmless(orders: Stage) -> None:
    """The address was unlisted meanwhile: nothing comes back to life."""
    orders.call("refused", on="a")
    orders.now += 1
    (due,) = orders.cluster.probes_due(orders.now)
    orders.lists("bc")
    for failure in (None, FAILURES["refused"]):
        orders.cluster.probed(due, failure, orders.now)
    assert repr(orders.cluster) == "<Cluster orders: 2 available>"


def test_an_answer_on_an_old_connection_does_not_undo_a_refusal(orders: Stage) -> None:
    """A process that stops accepts no more and answers what it has begun: out until a dial succeeds."""
    late = orders.cluster.pick(orders.now)
    assert late is not None
    letter = letter_of(late.address)
    orders.call("refused", on=letter)
    orders.cluster.report_answer(late, 200, orders.now)
    assert orders.state(letter) is State.QUARANTINED
    orders.wait(1, alive=letter)
    assert orders.state(letter) is State.AVAILABLE


def test_without_probes_one_request_tries_after_the_back_off() -> None:
    """`probe: none`: nobody is dialled; the first call after the pause tries it, others go elsewhere meanwhile."""
    stage = Stage(protection=Protection(probe=Probe.NONE), rng=random.Random(3))
    stage.lists("ab")
    stage.call("refused", on="a")
    assert stage.chosen(20) == {"b"}
    stage.wait(0.2)
    assert not stage.cluster.stats.probes
    picked = [stage.cluster.pick(stage.now) for _ in range(30)]
    assert picked.count(stage["a"]) == 1
    stage.cluster.report_failure(stage["a"], FAILURES["refused"], stage.now)
    assert stage.cluster.pick(stage.now) is stage["b"]
    stage.wait(0.5)
    assert "a" in stage.chosen(40)
    assert stage["a"].state is State.AVAILABLE


def test_without_probes_waiting_requests_try_ten_times_a_second() -> None:
    """The only endpoint refuses; while someone waits it becomes usable for one call every tenth of a second."""
    stage = Stage(protection=Protection(probe=Probe.NONE))
    stage.lists("a")
    for _ in range(8):
        stage.call("refused", on="a")
    stage.cluster.waiting = 1
    tries = 0
    for _ in range(20):
        stage.wait(0.05)
        tries += stage.call("refused") is not None
    assert 8 <= tries <= 11


def test_what_becomes_usable_while_requests_wait_is_told_at_once() -> None:
    """By the next look at the time: a first list has nothing else to do, and nobody would look again."""
    stage = Stage()
    stage.cluster.waiting = 1
    stage.cluster.tick(stage.now)
    assert stage.cluster.next_due == math.inf
    stage.lists("a")
    assert stage.cluster.usable(stage.now)
    assert stage.cluster.next_due <= stage.now
    stage.cluster.tick(stage.now)
    assert stage.cluster.next_due > stage.now


# Load and weight


def test_a_failure_counts_as_load_for_five_seconds(orders: Stage) -> None:
    """After one 500 the others are chosen while all are idle; after 5 s it shares again."""
    orders.cluster._rng = random.Random(1)
    orders.cluster.update_policy(orders.cluster.policy, orders.now)
    orders.call(500, on="a")
    assert orders.chosen(50) == {"b", "c"}
    orders.wait(4.9)
    assert orders["a"].penalty == 1
    orders.wait(0.2)
    assert orders["a"].penalty == 0
    assert orders.chosen(50) == {"a", "b", "c"}


def test_a_new_one_ramps_up_over_half_a_minute() -> None:
    """Its share of the calls is small at first and full after slow_start."""
    stage = Stage(rng=random.Random(1))
    stage.lists("a")
    stage.lists("ab")
    stage.probe("b")
    weights = []
    for _ in range(7):
        stage.cluster.usable(stage.now)
        weights.append(stage["b"].weight)
        stage.wait(5)
    assert weights == pytest.approx([0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0], abs=0.02)


def test_slow_start_can_be_switched_off() -> None:
    """With 0s a new endpoint has its weight at once."""
    stage = Stage(load_balancing=LoadBalancing(slow_start=0.0))
    stage.lists("a")
    stage.lists("ab")
    stage.probe("b")
    assert (stage["b"].weight, stage["b"].ramp_from) == (1.0, None)


def test_the_preferred_cluster_is_used_while_it_has_a_usable_endpoint() -> None:
    """The others take over when its last one refuses, and not before."""
    stage = Stage(load_balancing=LoadBalancing(prefer_cluster="A"))
    stage.lists([instance("a", cluster="A"), instance("b", cluster="A"), instance("c", cluster="B")])
    assert stage.chosen(50) == {"a", "b"}
    stage.call("refused", on="a")
    assert stage.chosen(50) == {"b"}
    stage.call("refused", on="b")
    assert stage.chosen(50) == {"c"}


def test_an_excluded_endpoint_is_not_picked_again(orders: Stage) -> None:
    """With all excluded nobody is picked, while usable() still says that there is someone."""
    tried: set[Endpoint] = set()
    for _ in range(3):
        endpoint = orders.cluster.pick(orders.now, tried)
        assert endpoint is not None
        assert endpoint not in tried
        tried.add(endpoint)
    assert orders.cluster.pick(orders.now, tried) is None
    assert orders.cluster.usable(orders.now)


def test_whom_the_app_dials_is_picked_while_available(orders: Stage) -> None:
    """It counts as in flight; whoever is excluded, unknown or in any other state is not picked."""
    picked = orders.cluster.pick_dialled(at("a"), orders.now)
    assert picked is orders["a"]
    assert picked.in_flight == 1
    assert orders.cluster.pick_dialled(at("a"), orders.now, {picked}) is None
    assert orders.cluster.pick_dialled(at("z"), orders.now) is None
    orders.call("refused", on="b")
    orders.lists([instance("a"), instance("b"), instance("c", weight=0.0)])
    assert [orders.cluster.pick_dialled(at(letter), orders.now) for letter in "bc"] == [None, None]


def test_one_that_is_only_dialled_is_watched_for_stalls(orders: Stage) -> None:
    """A cluster at rest wakes up for it as it does for any other choice."""
    orders.wait(30)
    assert orders.cluster.next_due == math.inf
    orders.cluster.pick_dialled(at("a"), orders.now)
    assert orders.cluster.next_due < math.inf


def test_every_pick_is_in_flight_until_its_report(orders: Stage) -> None:
    """Counted by pick, uncounted by either report."""
    one, two = orders.cluster.pick(orders.now), orders.cluster.pick(orders.now)
    assert one is not None
    assert two is not None
    assert sum(orders[letter].in_flight for letter in "abc") == 2
    orders.cluster.report_answer(one, 200, orders.now)
    orders.cluster.report_failure(two, FAILURES["app_left"], orders.now)
    assert sum(orders[letter].in_flight for letter in "abc") == 0


def test_the_straight_path_says_nothing(orders: Stage) -> None:
    """A good answer of a good endpoint is the very same empty sequence every time: nothing is built for it."""
    first, second = (orders.cluster.report_answer(_pick(orders), 200, orders.now) for _ in range(2))
    assert first == ()
    assert first is second


def _pick(stage: Stage) -> Endpoint:
    endpoint = stage.cluster.pick(stage.now)
    assert endpoint is not None
    return endpoint


@pytest.mark.parametrize("policy", Balancing)
def test_the_same_seed_and_the_same_calls_make_the_same_story(policy: Balancing) -> None:
    """Two runs with equal seeds and inputs agree in every choice and every event."""

    def story() -> tuple[list[str | None], list[str]]:
        stage = Stage(rng=random.Random(11), load_balancing=LoadBalancing(policy=policy))
        stage.lists("abcd")
        calls = []
        for i in range(200):
            calls.append(stage.call(500 if i % 7 == 0 else "refused" if i % 31 == 0 else 200))
            stage.wait(0.3, alive="abc")
        return calls, [event.text for event in stage.events]

    assert story() == story()


# The operator


def test_hold_now_keeps_all_that_is_in_use(orders: Stage) -> None:
    """For five minutes neither a plausible removal nor an empty list nor a refused connect removes anyone."""
    orders.cluster.hold(300, orders.now)
    orders.lists("ab")
    assert orders.state("c") is State.HELD
    orders.lists("")
    orders.wait(299, alive="ab")
    assert repr(orders.cluster) == "<Cluster orders: 2 held, 1 quarantined>"
    orders.wait(1.1, alive="ab")
    assert set(orders.cluster.endpoints) == {at("a"), at("b")}, "the one that refuses goes with the order"


def test_one_that_refuses_under_an_order_may_come_back(orders: Stage) -> None:
    """It is quarantined, probed every second, and serves again when it answers."""
    orders.cluster.hold(600, orders.now)
    orders.lists("ab")
    orders.call("refused", on="c")
    orders.wait(120, alive="ab")
    assert orders.state("c") is State.QUARANTINED
    orders.wait(1.1, alive="abc")
    assert (orders.state("c"), tier_of(orders["c"])) == (State.HELD, Tier.FIRST)


def test_additions_and_orders_of_the_list_apply_under_an_order(orders: Stage) -> None:
    """Hold now refuses removals, nothing else."""
    orders.cluster.hold(600, orders.now)
    orders.lists([instance("a"), instance("b", weight=0.0), instance("c"), instance("d")])
    orders.probe("d")
    assert [orders.state(letter) for letter in "abcd"] == [
        State.AVAILABLE,
        State.DISABLED,
        State.AVAILABLE,
        State.AVAILABLE,
    ]


def test_drop_now_ends_an_order_to_hold(orders: Stage) -> None:
    """Held ones leave, and the next plausible list is believed again."""
    orders.cluster.hold(600, orders.now)
    orders.lists("ab")
    told = [event.kind for event in orders.cluster.obey(orders.now)]
    assert told == ["obey_ordered", "hold_ended", "endpoint_removed"]
    orders.lists("a")
    orders.lists("a")
    assert repr(orders.cluster) == "<Cluster orders: 1 available>"


def test_eject_takes_an_endpoint_out_for_as_long_as_it_says(orders: Stage) -> None:
    """Even the last one; then it is back, with slow start where it has company."""
    for letter in "abc":
        orders.cluster.eject(at(letter), 300, orders.now)
    assert repr(orders.cluster) == "<Cluster orders: 3 disabled>"
    assert not orders.cluster.usable(orders.now)
    assert orders.cluster.next_hope(orders.now) == 300
    orders.wait(299.9)
    assert repr(orders.cluster) == "<Cluster orders: 3 disabled>"
    orders.clear()
    orders.wait(0.2)
    assert repr(orders.cluster) == "<Cluster orders: 3 available>"
    assert [(event.kind, event.detail) for event in orders.events] == [("endpoint_restored", {"by": "ttl"})] * 3
    assert orders["a"].ramp_from is not None


def test_what_is_in_flight_at_an_ejected_one_finishes(orders: Stage) -> None:
    """Its answer counts and changes nothing."""
    endpoint = _pick(orders)
    orders.cluster.eject(endpoint.address, 300, orders.now)
    orders.cluster.report_answer(endpoint, 200, orders.now)
    assert (endpoint.state, endpoint.in_flight) == (State.DISABLED, 0)


def test_an_ejected_one_is_not_dialled(orders: Stage) -> None:
    """Nor is one that refuses, until the operator lets it."""
    orders.call("refused", on="a")
    orders.cluster.eject(at("a"), 300, orders.now)
    orders.wait(60)
    assert not orders.cluster.stats.probes
    orders.wait(241, alive="a")
    assert orders.state("a") is State.AVAILABLE


def test_an_ejection_is_about_the_address(orders: Stage) -> None:
    """Unlisted, listed again: still out, until the time is over or it is restored, listed or not."""
    orders.cluster.eject(at("a"), 300, orders.now)
    orders.lists("bc")
    orders.lists("abc")
    assert (orders.state("a"), orders["a"].until()) == (State.DISABLED, 400.0)
    orders.lists("bc")
    orders.cluster.restore(at("a"), orders.now)
    orders.lists("abc")
    assert orders.state("a") is State.QUARANTINED
    orders.cluster.eject(at("a"), 10, orders.now)
    orders.lists("bc")
    orders.wait(10)
    orders.lists("abc")
    assert orders.state("a") is State.QUARANTINED


def test_a_probation_ends_when_a_good_answer_begins(orders: Stage) -> None:
    """A stream may last for hours; that it ends is reported all the same, and changes nothing more."""
    for _ in range(3):
        orders.call(503, on="a")
    orders.wait(30.1)
    trial = orders.begin("a")
    assert orders.state("a") is State.PROBATION
    (restored,) = orders.cluster.report_answering(trial, orders.now)
    assert (restored.kind, restored.detail) == ("endpoint_restored", {"by": "answer"})
    assert orders.state("a") is State.AVAILABLE
    assert orders["a"].in_flight == 1
    assert not orders.cluster.report_answering(trial, orders.now)
    assert not orders.cluster.report_answer(trial, 200, orders.now)
    assert orders["a"].in_flight == 0


def test_who_is_being_tried_serves_while_all_others_refuse(orders: Stage) -> None:
    """It accepts connections, which is more than they do."""
    for _ in range(3):
        orders.call(503, on="a")
    orders.wait(30.1)
    trial = orders.begin("a")
    for letter in "bc":
        orders.call("refused", on=letter)
    assert orders.cluster.usable(orders.now)
    assert orders.cluster.pick(orders.now) is trial
    assert trial.in_flight == 2


@pytest.mark.parametrize("probe", [Probe.TCP, Probe.NONE])
def test_what_began_before_keeps_nobody_out(probe: Probe) -> None:
    """A tunnel that is open since before the ejection, or the refused connect, is no trial."""
    orders = Stage(protection=Protection(probe=probe))
    orders.lists("abc")
    tunnel = orders.begin("a")
    if probe is Probe.NONE:
        orders.call("connect_timeout", on="a")
    else:
        for _ in range(3):
            orders.call(503, on="a")
    orders.wait(31, alive="abc")
    for _ in range(100):
        orders.call()
    assert orders.state("a") is State.AVAILABLE
    assert tunnel.in_flight == 1


def test_a_request_tries_alone_beside_what_began_before() -> None:
    """One at a time; the end of the trial, good or bad, makes room for the next."""
    orders = Stage()
    orders.lists("ab")
    orders.begin("a")
    for _ in range(3):
        orders.call(503, on="a")
    orders.wait(30.1)
    picked = [orders.cluster.pick(orders.now) for _ in range(40)]
    assert picked.count(orders["a"]) == 1
    orders.cluster.report_failure(orders["a"], FAILURES["app_left"], orders.now)
    assert not orders["a"].on_trial
    picked = [orders.cluster.pick(orders.now) for _ in range(40)]
    assert picked.count(orders["a"]) == 1


def test_another_way_to_probe_ends_the_wait_for_a_request() -> None:
    """A reload from `probe: none`: who refuses is dialled, and no longer due for a trial."""
    orders = Stage(protection=Protection(probe=Probe.NONE))
    orders.lists("a")
    orders.call("refused", on="a")
    orders.wait(1)
    assert orders.cluster.usable(orders.now)
    probed = replace(orders.cluster.policy, protection=Protection(probe=Probe.TCP))
    orders.cluster.update_policy(probed, orders.now)
    assert not orders.cluster.usable(orders.now)
    orders.wait(1, alive="a")
    assert orders.state("a") is State.AVAILABLE


@pytest.mark.parametrize(
    ("left", "changes", "lets_go"),
    [
        ("", {"on_empty": OnEmpty.OBEY}, True),
        ("", {"shrink_threshold": 1.0}, False),
        ("a", {"shrink_threshold": 1.0}, True),
        ("a", {"on_empty": OnEmpty.OBEY}, False),
        ("a", {"shrink_threshold": 0.9}, False),
    ],
)
def test_a_policy_that_doubts_no_such_list_lets_go(left: str, changes: dict[str, Any], lets_go: bool) -> None:  # noqa: FBT001
    """By a reload in the middle of a doubt; not what is kept by order."""
    for ordered in (False, True):
        orders = Stage()
        orders.lists("abcd")
        orders.wait(61)
        if ordered:
            orders.cluster.hold(300, orders.now)
        orders.lists(left)
        missing = set("abcd") - set(left)
        assert {letter for letter in missing if orders[letter].hold is not None} == missing
        policy = replace(orders.cluster.policy, protection=replace(orders.cluster.policy.protection, **changes))
        orders.events += orders.cluster.update_policy(policy, orders.now)
        orders.wait(1, alive="abcd")
        assert (not orders.cluster.guard.held) is (lets_go and not ordered)
        assert orders.cluster.stats.holds_ended["obeyed"] == (len(missing) if lets_go and not ordered else 0)


def test_what_another_rule_has_held_is_held_on() -> None:
    """A reload of anything else; a partial list after an empty one; what an order has left behind."""
    orders = Stage(protection=Protection(shrink_threshold=1.0))
    orders.lists("abcdefgh")
    orders.lists("")
    orders.lists("a")
    held = set(orders.cluster.guard.held)
    assert len(held) == 7
    longer = replace(orders.cluster.policy, timeouts=Timeouts(connect=2.0))
    for policy in (longer, replace(longer, protection=Protection(shrink_threshold=0.5)), longer):
        orders.cluster.update_policy(policy, orders.now)
        orders.wait(1, alive="abcdefgh")
        assert set(orders.cluster.guard.held) == held
    orders.cluster.update_policy(replace(longer, protection=Protection(on_empty=OnEmpty.OBEY)), orders.now)
    orders.wait(1, alive="abcdefgh")
    assert not orders.cluster.guard.held


def test_a_long_list_that_is_said_again_is_confirmed_in_time() -> None:
    """Nothing else is due for the service."""
    orders = Stage(protection=Protection(probe=Probe.NONE, shrink_threshold=0.2))
    listed = [Instance(f"10.0.1.{number}", 80) for number in range(1, 201)]
    orders.lists(listed)
    orders.lists(listed[:100])
    orders._take_list = orders.cluster.take
    orders.lists(listed[:100], via=Via.QUERY)
    orders.wait(orders.cluster.policy.protection.confirm + 1)
    assert not orders.cluster.guard.held


@pytest.mark.parametrize("trouble", ["eject", "refused", "answers", "probation"])
def test_restore_lifts_what_keeps_an_endpoint_out(orders: Stage, trouble: str) -> None:
    """By hand, for refusing, for its answers or on probation: afterwards it is available, and that is told once."""
    if trouble == "eject":
        orders.cluster.eject(at("a"), 300, orders.now)
    elif trouble == "refused":
        orders.call("refused", on="a")
    else:
        for _ in range(3):
            orders.call(503, on="a")
        orders.wait(30.1 if trouble == "probation" else 1)
    assert orders.state("a") is not State.AVAILABLE
    (restored,) = orders.cluster.restore(at("a"), orders.now)
    assert (restored.kind, restored.detail) == ("endpoint_restored", {"by": "operator"})
    assert orders.state("a") is State.AVAILABLE
    assert (orders["a"].ramp_from is None) == (trouble == "refused")
    assert orders.cluster.restore(at("a"), orders.now) == []


def test_restore_lifts_nothing_that_the_list_says(orders: Stage) -> None:
    """Weight 0 is not ours to lift."""
    orders.lists([instance("a", weight=0.0), instance("b"), instance("c")])
    orders.cluster.eject(at("a"), 300, orders.now)
    orders.cluster.restore(at("a"), orders.now)
    assert orders.state("a") is State.DISABLED


def test_an_unknown_address_can_be_neither_ejected_nor_restored(orders: Stage) -> None:
    """KeyError, and nothing is remembered."""
    with pytest.raises(KeyError):
        orders.cluster.eject(at("z"), 300, orders.now)
    with pytest.raises(KeyError):
        orders.cluster.restore(at("z"), orders.now)
    orders.lists("abcz")
    assert orders.state("z") is State.QUARANTINED


# What others see


def test_its_addresses_name_it_until_it_is_retired() -> None:
    """Through a list that misses one, and from then on for as long as the book remembers."""
    addresses = Addresses(600.0)
    stage = Stage(claims=addresses.of("orders"), protection=Protection(shrink_threshold=1.0))
    stage.lists("ab")
    stage.wait(60)
    stage.lists("b")
    assert [(one.address, one.left_at) for one in addresses.departed()] == [(at("a"), stage.now)]
    stage.cluster.retire(stage.now)
    stage.lists("c")
    assert [one.address for one in addresses.departed()] == [at("a"), at("b")]
    assert addresses.find(at("c"), stage.now, {"orders"}) is None


def test_reload_keeps_what_was_seen(orders: Stage) -> None:
    """Another policy with the same discovery: quarantine and counts stay, the new thresholds hold."""
    orders.call("refused", on="a")
    orders.cluster.update_policy(
        replace(orders.cluster.policy, outlier_detection=OutlierDetection(consecutive_5xx=1)), orders.now
    )
    assert repr(orders.cluster) == "<Cluster orders: 2 available, 1 quarantined>"
    orders.call(500, on="b")
    assert repr(orders.cluster) == "<Cluster orders: 1 available, 1 ejected, 1 quarantined>"


def test_doubt_is_news_of_ten_seconds_or_a_hold_or_nobody(orders: Stage) -> None:
    """The registry is asked each second while an endpoint is newly out, something is held, or nothing is usable."""
    assert not orders.cluster.doubtful(orders.now)
    orders.call("refused", on="a")
    assert orders.cluster.doubtful(orders.now)
    orders.wait(10.1)
    assert not orders.cluster.doubtful(orders.now)
    orders.lists("")
    assert orders.cluster.doubtful(orders.now)
    orders.wait(5)
    assert repr(orders.cluster) == "<Cluster orders: no instances>"
    assert orders.cluster.doubtful(orders.now)


def test_the_next_hope_is_the_next_probe_or_the_end_of_an_ejection(orders: Stage) -> None:
    """None while all is well; else seconds from now."""
    assert orders.cluster.next_hope(orders.now) is None
    for _ in range(5):
        orders.call(500, on="b")
    assert orders.cluster.next_hope(orders.now) == pytest.approx(30)
    orders.call("refused", on="a")
    assert orders.cluster.next_hope(orders.now) == pytest.approx(0.1)


def test_a_quiet_cluster_asks_for_nothing() -> None:
    """One available endpoint: no tick is ever due."""
    stage = Stage()
    stage.lists("a")
    stage.wait(1)
    assert stage.cluster.next_due == math.inf


def test_an_empty_cluster_says_so() -> None:
    """Before any list there is nobody, and the repr tells."""
    stage = Stage()
    assert repr(stage.cluster) == "<Cluster orders: no instances>"
    assert stage.cluster.pick(stage.now) is None
    assert not stage.cluster.has_list


# Whatever happens

LETTERS = "abcd"
NEVER = {State.DISABLED, State.UNHEALTHY, State.DRAINING}


class ClusterMachine(RuleBasedStateMachine):
    """Whatever lists, calls, probes and time bring: who must not be used is not, who can be used is."""

    @initialize(seed=st.integers(0, 1000), probe=st.sampled_from(Probe), policy=st.sampled_from(Balancing))
    def start(self, seed: int, probe: Probe, policy: Balancing) -> None:
        self.stage = Stage(
            rng=random.Random(seed),
            protection=Protection(confirm=20, max_hold=60, probe=probe),
            load_balancing=LoadBalancing(policy=policy),
            outlier_detection=OutlierDetection(
                probe_backoff=Range(0.1, 2.0), base_ejection_time=5, max_ejection_time=20, success_rate_threshold=0.3
            ),
        )
        self.open: list[Endpoint] = []
        self.listed = ""
        self.stage.lists(LETTERS[:3])

    @rule(
        listed=st.frozensets(st.sampled_from(LETTERS)), off=st.frozensets(st.sampled_from(LETTERS)), sick=st.booleans()
    )
    def push(self, listed: frozenset[str], off: frozenset[str], *, sick: bool) -> None:
        changes: dict[str, Any] = {"healthy": False} if sick else {"weight": 0.0}
        self.stage.lists(
            [instance(letter, **changes) if letter in off else instance(letter) for letter in sorted(listed)]
        )

    @rule(up=st.booleans())
    def registry(self, *, up: bool) -> None:
        cluster = self.stage.cluster
        (cluster.registry_connected if up else cluster.registry_disconnected)(self.stage.now)

    @rule(times=st.integers(1, 4), exclude=st.booleans())
    def pick(self, times: int, *, exclude: bool) -> None:
        for _ in range(times):
            usable = self.stage.cluster.usable(self.stage.now)
            endpoint = self.stage.cluster.pick(self.stage.now, self.open if exclude else ())
            assert endpoint is not None or exclude or not usable
            if endpoint is None:
                continue
            assert usable
            assert endpoint.state not in NEVER
            assert not (exclude and endpoint in self.open)
            if endpoint.state in {State.QUARANTINED, State.PROBATION}:
                assert endpoint.in_flight == 1
            if endpoint.state is State.QUARANTINED:
                assert self.stage.cluster.policy.protection.probe is Probe.NONE
            self.open.append(endpoint)

    @precondition(lambda self: self.open)
    @rule(
        outcome=st.sampled_from([200, 200, 500, 503, "refused", "reset", "response_timeout", "app_left"]),
        facts=st.fixed_dictionaries({}, optional={"closing": st.booleans(), "leaving": st.booleans()}),
        data=st.data(),
    )
    def report(self, outcome: int | str, facts: dict[str, bool], data: st.DataObject) -> None:
        endpoint = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        cluster, now = self.stage.cluster, self.stage.now
        if isinstance(outcome, int):
            events = cluster.report_answer(endpoint, outcome, now, **facts)
        else:
            events = cluster.report_failure(endpoint, FAILURES[outcome], now)
            assert outcome != "refused" or endpoint.state in NEVER | {State.QUARANTINED}
        if any(event.kind == "endpoint_ejected" for event in events):
            serving = [e for e in cluster.endpoints.values() if e.state not in NEVER]
            assert sum(e.ejected for e in serving) < len(serving)

    @rule(seconds=st.floats(0.05, 15), alive=st.frozensets(st.sampled_from(LETTERS)), talking=st.booleans())
    def wait(self, seconds: float, alive: frozenset[str], *, talking: bool) -> None:
        for endpoint in self.stage.cluster.endpoints.values():
            endpoint.heard = talking and letter_of(endpoint.address) in alive
        self.stage.wait(seconds, alive="".join(alive))

    @rule(letters=st.frozensets(st.sampled_from(LETTERS)), count=st.integers(0, 3))
    def owe(self, letters: frozenset[str], count: int) -> None:
        for endpoint in self.stage.cluster.endpoints.values():
            endpoint.owed = count if letter_of(endpoint.address) in letters else 0

    @rule(waiting=st.integers(0, 2))
    def wait_room(self, waiting: int) -> None:
        self.stage.cluster.waiting = waiting

    @rule()
    def obey(self) -> None:
        self.stage.cluster.obey(self.stage.now)
        assert not self.stage.cluster.guard.held

    @rule(seconds=st.floats(0.1, 90))
    def hold(self, seconds: float) -> None:
        self.stage.cluster.hold(seconds, self.stage.now)

    @precondition(lambda self: self.stage.cluster.endpoints)
    @rule(seconds=st.floats(0.1, 60), data=st.data())
    def eject(self, seconds: float, data: st.DataObject) -> None:
        cluster = self.stage.cluster
        endpoint = cluster.endpoints[data.draw(st.sampled_from(sorted(cluster.endpoints)))]
        cluster.eject(endpoint.address, seconds, self.stage.now)
        assert endpoint.state in {State.DISABLED, State.DRAINING}

    @precondition(lambda self: self.stage.cluster.endpoints)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        cluster = self.stage.cluster
        endpoint = cluster.endpoints[data.draw(st.sampled_from(sorted(cluster.endpoints)))]
        cluster.restore(endpoint.address, self.stage.now)
        assert endpoint.state not in {State.QUARANTINED, State.EJECTED, State.PROBATION}
        assert endpoint.state is not State.DISABLED or endpoint.switched_off

    @invariant()
    def nobody_is_kept_out_for_longer_than_ordered(self) -> None:
        for endpoint in self.stage.cluster.endpoints.values():
            assert not endpoint.shut or endpoint.shut_until > self.stage.now

    @invariant()
    def a_verdict_that_stands_was_told(self) -> None:
        for endpoint in self.stage.cluster.endpoints.values():
            assert endpoint.told == endpoint.verdict(self.stage.now)

    @invariant()
    def whoever_can_be_used_is(self) -> None:
        """A listed, healthy endpoint that was dialled and does not refuse makes the service usable."""
        cluster = self.stage.cluster
        well = {State.AVAILABLE, State.HELD, State.LEAVING, State.STALLED, State.EJECTED}
        if any(endpoint.state in well for endpoint in cluster.endpoints.values()):
            assert cluster.usable(self.stage.now)

    @invariant()
    def states_are_up_to_date(self) -> None:
        for endpoint in self.stage.cluster.endpoints.values():
            assert endpoint.in_flight >= 0
            assert (endpoint.state is State.DRAINING) == (not endpoint.present)
            assert (endpoint.hold is not None) == (endpoint.address in self.stage.cluster.guard.held)
            assert endpoint.present or endpoint.in_flight

    @invariant()
    def present_ones_are_counted(self) -> None:
        cluster = self.stage.cluster
        assert Counter(cluster._present) == Counter(e.state for e in cluster.endpoints.values() if e.present)

    @invariant()
    def time_misses_nobody(self) -> None:
        """Whatever time or a probe is to do to an endpoint is planned no later than that."""
        cluster = self.stage.cluster
        for endpoint in cluster.endpoints.values():
            assert cluster.next_due <= cluster._schedule.turn_at(endpoint)
            assert cluster._schedule._overdue or cluster.next_due <= cluster._schedule.probe_at(endpoint)

    @invariant()
    def nothing_that_refused_is_held_but_by_order(self) -> None:
        guard = self.stage.cluster.guard
        for address in guard.held if self.stage.now >= guard.ordered_until else ():
            assert not self.stage.cluster.endpoints[address].refusing

    @invariant()
    def penalties_are_of_the_last_five_seconds(self) -> None:
        for endpoint in self.stage.cluster.endpoints.values():
            assert 0 <= endpoint.penalty <= endpoint.failures


class HesitantMachine(ClusterMachine):
    """The same for a service on its way from list to list, one endpoint at a time, whose choice is taken anew late."""

    @initialize(seed=st.integers(0, 1000), probe=st.sampled_from(Probe), policy=st.sampled_from(Balancing))
    def start(self, seed: int, probe: Probe, policy: Balancing) -> None:
        super().start(seed, probe, policy)
        self.stage.hesitate()
        self.late = pytest.MonkeyPatch()
        self.late.setattr("sidecar.cluster.cluster.MANY", 0)
        self.late.setattr("sidecar.cluster.cluster.PATIENCE", 1.0)

    def teardown(self) -> None:
        if hasattr(self, "late"):
            self.late.undo()

    @rule(times=st.integers(1, 5))
    def go_on(self, times: int) -> None:
        for _ in range(times):
            self.stage.go_on()

    @invariant()
    def a_verdict_that_stands_was_told(self) -> None:
        if not self.stage.cluster.behind:
            super().a_verdict_that_stands_was_told()

    @invariant()
    def time_misses_nobody(self) -> None:
        """Turns are those of the facts as soon as it is an endpoint's turn to follow them."""
        cluster = self.stage.cluster
        if cluster.behind:
            assert cluster.next_due <= self.stage.now + PACE
        else:
            super().time_misses_nobody()

    @invariant()
    def whoever_was_let_go_or_is_missed_leaves_in_the_end(self) -> None:
        cluster = self.stage.cluster
        if not cluster.behind:
            listed = cluster._members._latest.instances.keys()
            assert {e.address for e in cluster.endpoints.values() if e.present} == listed | cluster.guard.held.keys()


ClusterMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestClusterMachine = ClusterMachine.TestCase
HesitantMachine.TestCase.settings = ClusterMachine.TestCase.settings
TestHesitantMachine = HesitantMachine.TestCase


def test_a_thousand_lists_leave_nothing_behind() -> None:
    """Endpoints that came and went are forgotten, and so are their failures once five seconds have passed."""
    cluster = Cluster(ServicePolicy("orders"), rng=random.Random(1), now=0.0)
    for i in range(1000):
        push = Push("orders", (Instance(f"10.0.{i // 250}.{i % 250}", 80), instance("a")), Origin.NACOS, 1, i)
        cluster.apply(push, float(i))
        if (endpoint := cluster.pick(float(i))) is not None:
            cluster.report_failure(endpoint, FAILURES["reset"], float(i))
        cluster.tick(float(i))
    assert len(cluster.endpoints) == 2
    assert len(cluster._penalties) <= 6
    assert repr(cluster._schedule) == "<Schedule: 0 turns, 1 probes, 0 overdue>"
