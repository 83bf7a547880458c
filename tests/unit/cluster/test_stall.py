"""A frozen process: accepts everything, says nothing."""

import math
from dataclasses import replace

import pytest

from sidecar.cluster.endpoint import State
from sidecar.cluster.policy import OutlierDetection
from sidecar.cluster.stall import LOOK_EVERY, Percentile
from sidecar.cluster.stats import DURATION_BUCKETS, Histogram
from sidecar.errors import FAILURES
from tests.support.clusters import Stage


@pytest.fixture
def orders() -> Stage:
    """Three endpoints; the data path's part is played by `talk` and by setting `owed`."""
    stage = Stage()
    stage.lists("abc")
    stage.clear()
    return stage


def talk(stage: Stage, letters: str, seconds: float, *, alive: str = "") -> None:
    """The endpoints named send a byte every tenth of a second; probes of those in `alive` succeed."""
    for _ in range(round(seconds * 10)):
        for letter in letters:
            stage[letter].heard = True
        stage.wait(0.1, alive=alive)


def freeze(stage: Stage, letter: str, owed: int = 2) -> None:
    """So many requests were written to it and wait for an answer."""
    for _ in range(owed):
        stage.begin(letter)
    stage[letter].owed += owed


def test_owing_two_and_silent_for_a_second_is_stalled(orders: Stage) -> None:
    """Not after 0.9 s, but before 1.6 s (a look every quarter of a second), with new requests going elsewhere."""
    freeze(orders, "a")
    talk(orders, "bc", 0.9)
    assert orders.state("a") is State.AVAILABLE
    talk(orders, "bc", 0.7)
    assert orders.state("a") is State.STALLED
    assert orders.chosen(30) == {"b", "c"}
    assert orders.kinds() == ["endpoint_stalled"]


def test_a_service_without_traffic_is_not_looked_at(orders: Stage) -> None:
    """After a second without a request nothing is due; the next request brings the looks back."""
    orders.wait(1.5)
    assert orders.cluster.next_due == math.inf
    orders.begin("a")
    assert orders.cluster.next_due <= orders.now + LOOK_EVERY
    orders.wait(60)
    assert orders.cluster.next_due <= orders.now + LOOK_EVERY
    orders["a"].in_flight -= 1
    orders.wait(1.5)
    assert orders.cluster.next_due == math.inf


def test_a_stall_is_found_after_a_rest(orders: Stage) -> None:
    """An hour without a request costs at most one look."""
    orders.wait(3600)
    freeze(orders, "a")
    talk(orders, "bc", 1.6)
    assert orders.state("a") is State.STALLED


def test_one_that_is_stalled_is_looked_at_though_nothing_is_in_flight(orders: Stage) -> None:
    """Its callers gave up; its next byte is noticed all the same."""
    freeze(orders, "a")
    talk(orders, "bc", 1.6)
    assert orders.cluster.stalling
    orders["a"].in_flight = 0
    talk(orders, "bc", 5)
    orders["a"].heard = True
    orders.wait(1)
    assert orders.state("a") is State.AVAILABLE
    assert not orders.cluster.stalling


def test_nobody_stays_stalled_when_the_rule_is_taken_back(orders: Stage) -> None:
    """A reload without `stall_after` acquits, tells so, and brings the traffic back; with it the rule holds again."""
    freeze(orders, "a")
    talk(orders, "bc", 1.6)
    orders.clear()
    without = replace(orders.cluster.policy, outlier_detection=OutlierDetection(stall_after=None))
    orders.events += orders.cluster.update_policy(without, orders.now)
    assert (orders.kinds(), orders.state("a")) == (["endpoint_recovered"], State.AVAILABLE)
    assert not orders.cluster.stalling
    orders["a"].in_flight = 0  # or it would be the busier one of any two
    assert "a" in orders.chosen(20)
    talk(orders, "bc", 60)
    assert orders.state("a") is State.AVAILABLE
    again = replace(without, outlier_detection=OutlierDetection(stall_after=1.0))
    orders.events += orders.cluster.update_policy(again, orders.now)
    freeze(orders, "a")
    talk(orders, "bc", 2.0)
    assert orders.state("a") is State.STALLED


def test_one_slow_answer_is_no_stall(orders: Stage) -> None:
    """Owing a single answer for a minute proves nothing."""
    freeze(orders, "a", owed=1)
    talk(orders, "bc", 60)
    assert orders.state("a") is State.AVAILABLE


def test_silence_of_all_is_no_stall(orders: Stage) -> None:
    """If nobody else was heard meanwhile, the endpoint is not to blame."""
    freeze(orders, "a")
    freeze(orders, "b")
    talk(orders, "", 10)
    assert {orders.state(letter) for letter in "abc"} == {State.AVAILABLE}


def test_a_byte_now_and_then_is_no_silence(orders: Stage) -> None:
    """An endpoint that streams one long answer while it owes others is alive."""
    freeze(orders, "a")
    talk(orders, "abc", 5)
    assert orders.state("a") is State.AVAILABLE


def test_the_next_byte_ends_it(orders: Stage) -> None:
    """One byte on any connection makes it available within a quarter of a second."""
    freeze(orders, "a")
    talk(orders, "bc", 2)
    talk(orders, "abc", 0.3)
    assert orders.state("a") is State.AVAILABLE
    assert orders.kinds() == ["endpoint_stalled", "endpoint_recovered"]


def test_connections_lost_while_stalled_count_as_a_failed_connect(orders: Stage) -> None:
    """Even on a reused connection, which says nothing otherwise."""
    freeze(orders, "a")
    talk(orders, "bc", 2)
    orders.call("reset", on="a", reused=True)
    assert repr(orders["a"]) == "<Endpoint 10.0.0.1:80 quarantined (reset), 2 in flight>"


def test_a_slow_service_is_given_four_times_its_p99(orders: Stage) -> None:
    """With a p99 in the bucket up to 1 s, silence of 3 s is patience, of 5 s a stall."""
    for _ in range(1000):
        orders.cluster.stats.answer_time.observe(0.8)
    freeze(orders, "a")
    talk(orders, "bc", 3)
    assert orders.state("a") is State.AVAILABLE
    talk(orders, "bc", 2)
    assert orders.state("a") is State.STALLED


def test_our_own_time_outs_do_not_make_a_service_slow(orders: Stage) -> None:
    """At one call a second, one that we ended with 504 after a minute leaves the frozen endpoint stalled."""
    freeze(orders, "a", owed=3)
    for _ in range(60):
        orders.cluster.stats.answer_time.observe(0.01)
        orders.cluster.stats.request_duration.observe(0.01)
        talk(orders, "bc", 1)
    orders["a"].owed -= 1
    orders["a"].in_flight -= 1
    orders.cluster.stats.request_duration.observe(60.1)
    orders.call("response_timeout", on="a", silent=60.1)
    talk(orders, "bc", 20)
    assert orders.state("a") is State.STALLED
    assert orders.kinds() == ["endpoint_stalled"]


def test_that_others_become_slow_acquits_nobody(orders: Stage) -> None:
    """A p99 that rises to a minute, or the silence of all, does not end a stall; a byte does."""
    freeze(orders, "a")
    talk(orders, "bc", 2)
    for _ in range(100):
        orders.cluster.stats.answer_time.observe(50.0)
    talk(orders, "bc", 5)
    talk(orders, "", 5)
    assert orders.state("a") is State.STALLED
    talk(orders, "a", 0.3)
    assert orders.state("a") is State.AVAILABLE


def test_impatient_callers_do_not_take_their_evidence_with_them(orders: Stage) -> None:
    """Two calls, one after the other, given up after 1.5 s each, are a stall though never two were open at once."""
    for _ in range(2):
        freeze(orders, "a", owed=1)
        talk(orders, "bc", 1.5)
        orders["a"].owed = 0
        orders["a"].in_flight -= 1
        orders.call("app_left", on="a", silent=1.5)
    talk(orders, "bc", 0.3)
    assert orders.state("a") is State.STALLED


def test_given_up_calls_are_evidence_for_ten_seconds(orders: Stage) -> None:
    """After that, an endpoint that owes nothing is tried again."""
    for _ in range(2):
        orders.call("app_left", on="a", silent=1.5)
    talk(orders, "bc", 1)
    assert orders.state("a") is State.STALLED
    talk(orders, "bc", 10)
    assert orders.state("a") is State.AVAILABLE


@pytest.fixture
def unheard(orders: Stage) -> Stage:
    """The first endpoint stalled, and the evidence has grown old."""
    for _ in range(2):
        orders.call("app_left", on="a", silent=1.5)
    talk(orders, "bc", 11)
    assert orders.kinds() == ["endpoint_stalled", "endpoint_recovered"]
    assert orders.state("a") is State.AVAILABLE
    return orders


def test_what_must_not_be_lost_does_not_find_out_whether_it_lives(unheard: Stage) -> None:
    """Requests that may be repeated do, and no answer of others makes a difference; its next byte does."""
    assert unheard.chosen_warily(30) == {"b", "c"}
    assert "a" in unheard.chosen(30)
    talk(unheard, "bc", 20)
    assert unheard.chosen_warily(30) == {"b", "c"}
    talk(unheard, "abc", 1.5)
    assert "a" in unheard.chosen_warily(30)


def test_it_is_trusted_again_after_a_minute(unheard: Stage) -> None:
    """Where nothing may be repeated nobody ever finds out."""
    talk(unheard, "bc", 58)
    assert "a" not in unheard.chosen_warily(30)
    talk(unheard, "bc", 4)
    assert "a" in unheard.chosen_warily(30)


def test_it_is_better_than_nobody(unheard: Stage) -> None:
    """The others are gone, or ejected: then it is asked all the same."""
    unheard.lists("a")
    assert unheard.chosen_warily(1) == {"a"}


def test_another_process_at_its_address_is_not_blamed(unheard: Stage) -> None:
    """It refused meanwhile, and accepts again."""
    unheard.call("refused", on="a")
    unheard.wait(1, alive="a")
    talk(unheard, "bc", 6)  # its failure counts for five seconds
    assert unheard.state("a") is State.AVAILABLE
    assert "a" in unheard.chosen_warily(60)


def test_a_rule_taken_back_leaves_no_doubt_behind(unheard: Stage) -> None:
    """Nobody would look any more."""
    without = replace(unheard.cluster.policy, outlier_detection=OutlierDetection(stall_after=None))
    unheard.cluster.update_policy(without, unheard.now)
    assert "a" in unheard.chosen_warily(60)


def test_a_call_given_up_early_is_no_evidence(orders: Stage) -> None:
    """The app that leaves after 0.9 s has not waited long enough to tell."""
    for _ in range(5):
        orders.call("app_left", on="a", silent=0.9)
    talk(orders, "bc", 2)
    assert orders.state("a") is State.AVAILABLE


def test_detection_can_be_switched_off() -> None:
    """With `stall_after: null` nothing is ever stalled."""
    stage = Stage(outlier_detection=OutlierDetection(stall_after=None))
    stage.lists("ab")
    freeze(stage, "a", owed=9)
    talk(stage, "b", 30)
    assert stage.state("a") is State.AVAILABLE


def test_the_p99_is_that_of_the_last_minute() -> None:
    """What was slow an hour ago does not count; with nothing counted it is 0."""
    histogram = Histogram(DURATION_BUCKETS)
    p99 = Percentile(histogram, 0.0)
    assert p99.value(0.0) == 0.0
    for _ in range(100):
        histogram.observe(50.0)
    assert p99.value(1.0) == 60
    for second in range(5, 80, 5):
        histogram.observe(0.002)
        p99.value(float(second))
    assert p99.value(80.0) == 0.0025


def test_the_p99_is_never_infinite() -> None:
    """Answers that took longer than the last bound count as that: four times a minute is patience enough."""
    histogram = Histogram(DURATION_BUCKETS)
    p99 = Percentile(histogram, 0.0)
    histogram.observe(61.0)
    assert p99.value(1.0) == 60


def test_one_in_two_hundred_does_not_move_the_p99() -> None:
    """A single slow call among many fast ones is beyond the 99th of a hundred."""
    histogram = Histogram(DURATION_BUCKETS)
    p99 = Percentile(histogram, 0.0)
    for _ in range(199):
        histogram.observe(0.002)
    histogram.observe(50.0)
    assert p99.value(1.0) == 0.0025


def test_a_held_one_that_stalls_is_used_after_the_others(orders: Stage) -> None:
    """The kernel of a frozen process accepts probes, so only its silence tells."""
    orders.cluster.registry_connected(orders.now)
    orders.lists("bc")
    orders.probe("a")
    freeze(orders, "a")
    talk(orders, "bc", 1.5, alive="a")
    assert orders.state("a") is State.HELD
    assert orders.chosen(20) == {"b", "c"}


def test_an_instance_that_has_just_come_has_not_answered(orders: Stage) -> None:
    """That it is there proves nothing of those that owe."""
    talk(orders, "abc", 2.0)
    for letter in "abc":
        freeze(orders, letter)
    orders.wait(10)
    orders.lists("abcd")
    orders.wait(2, alive="d")
    assert [orders.state(letter) for letter in "abcd"] == [State.AVAILABLE] * 4


def test_who_was_heard_before_the_silence_was_not_heard_during_it(orders: Stage) -> None:
    """A look finds bytes that came up to a second ago: all froze at once, and impatient callers know exactly when."""
    for offset in range(10):
        talk(orders, "abc", 1.0 + offset / 10)
        for letter in "abc":
            orders[letter].heard = True  # the last bytes, right before
        sent, waiting = orders.now, [orders.begin(letter) for letter in "abcabc"]
        orders.wait(1.5)
        for endpoint in waiting:
            orders.cluster.report_failure(endpoint, FAILURES["app_left"], orders.now, silent=orders.now - sent)
        orders.wait(5)
        assert "endpoint_stalled" not in orders.kinds()


def test_given_up_attempts_are_kept_for_ten_seconds_though_nobody_looks() -> None:
    """With a single endpoint there is none to compare it with."""
    only = Stage()
    only.lists("a")
    for _ in range(1000):
        endpoint = only.begin("a")
        only.wait(0.1)
        only.cluster.report_failure(endpoint, FAILURES["app_left"], only.now, silent=1.5)
    assert len(only["a"].given_up or ()) <= 101
