"""Endpoints whose answers are bad."""

import pytest

from sidecar.cluster.endpoint import State
from sidecar.cluster.outlier import most_ejected, tripped
from sidecar.cluster.policy import AllButOne, OutlierDetection, Share
from tests.support.clusters import Stage


def stage_of(letters: str, **outlier: object) -> Stage:
    stage = Stage(outlier_detection=OutlierDetection(**outlier))  # type: ignore[arg-type]
    stage.lists(letters)
    for letter in letters:
        stage.call(on=letter)
    stage.clear()
    return stage


def fail(stage: Stage, letter: str, times: int, outcome: int | str = 500) -> None:
    for _ in range(times):
        stage.call(outcome, on=letter)


# Trip conditions


def test_five_5xx_in_a_row_eject() -> None:
    """Four do not, the fifth does, for 30 s."""
    orders = stage_of("abc")
    fail(orders, "a", 4)
    assert orders.state("a") is State.AVAILABLE
    fail(orders, "a", 1)
    assert orders.state("a") is State.EJECTED
    assert orders.events[-1].text == "orders 10.0.0.1:80: endpoint ejected reason=consecutive_5xx for_s=30 times=1"
    assert orders.cluster.stats.ejections == {"consecutive_5xx": 1}
    assert repr(orders.cluster) == "<Cluster orders: 2 available, 1 ejected>"


@pytest.mark.parametrize("outcome", [502, 503, 504, "reset", "closed", "response_timeout", "protocol"])
def test_three_gateway_failures_in_a_row_eject(outcome: int | str) -> None:
    """Answers of a gateway and answers that never came count alike."""
    orders = stage_of("abc")
    fail(orders, "a", 2, outcome)
    assert orders.state("a") is State.AVAILABLE
    fail(orders, "a", 1, outcome)
    assert orders.state("a") is State.EJECTED
    assert orders.cluster.stats.ejections == {"gateway_failure": 1}


def test_one_good_answer_starts_the_row_anew() -> None:
    """Four bad, one good, four bad: nobody is ejected."""
    orders = stage_of("abc")
    for _ in range(3):
        fail(orders, "a", 4)
        orders.call(404, on="a")
    assert orders.state("a") is State.AVAILABLE


def test_a_plain_500_breaks_a_row_of_gateway_failures() -> None:
    """503, 503, 500, 503, 503 is no three in a row, but five 5xx."""
    orders = stage_of("abc", consecutive_5xx=None)
    for status in (503, 503, 500, 503, 503):
        orders.call(status, on="a")
    assert orders.state("a") is State.AVAILABLE


@pytest.mark.parametrize(
    ("outcome", "facts"), [("app_left", {}), ("reset", {"reused": True}), ("closed", {"reused": True})]
)
def test_what_says_nothing_of_the_endpoint_is_not_counted(outcome: str, facts: dict[str, object]) -> None:
    """The app that leaves and the keep-alive race are neutral, however many in a row."""
    orders = stage_of("abc")
    for _ in range(20):
        orders.call(outcome, on="a", **facts)
    assert (orders.state("a"), orders["a"].failures) == (State.AVAILABLE, 0)


def test_thresholds_can_be_switched_off() -> None:
    """Null twice means that nobody is ejected."""
    orders = stage_of("abc", consecutive_5xx=None, consecutive_gateway_failure=None)
    fail(orders, "a", 50, 503)
    assert orders.state("a") is State.AVAILABLE


def test_a_low_success_rate_ejects() -> None:
    """Every second answer bad is below 60 % from the tenth answer on, though never two in a row."""
    orders = stage_of("abc", success_rate_threshold=0.6)
    for _ in range(5):
        orders.call(200, on="a")
        orders.call(500, on="a")
    assert orders.state("a") is State.EJECTED
    assert orders.cluster.stats.ejections == {"success_rate": 1}


def test_old_answers_do_not_count_towards_the_rate() -> None:
    """Bad answers of eleven seconds ago are out of it."""
    orders = stage_of("abc", success_rate_threshold=0.6)
    for _ in range(4):
        orders.call(200, on="a")
        orders.call(500, on="a")
    orders.wait(11)
    orders.call(500, on="a")
    assert orders.state("a") is State.AVAILABLE


def test_a_failed_connect_counts_as_gateway_failure_where_quarantine_is_off() -> None:
    """Three refused connects eject, none quarantines."""
    orders = stage_of("abc", quarantine_on_connect_failure=False)
    fail(orders, "a", 3, "refused")
    assert orders.state("a") is State.EJECTED
    assert orders.cluster.stats.quarantines == 0


def test_a_longer_row_trips_again_at_each_full_count() -> None:
    """A row of gateway failures trips at 3, 6, 9; in between and at 0 it does not."""
    policy = OutlierDetection(consecutive_5xx=None)
    assert [n for n in range(10) if tripped(n, n, policy)] == [3, 6, 9]


# Suppression


@pytest.mark.parametrize("letters", ["ab", "abc"])
def test_all_but_one_may_be_ejected(letters: str) -> None:
    """With two instances one, with three two: the last one stays whatever it answers."""
    orders = stage_of(letters)
    for letter in letters[:-1]:
        fail(orders, letter, 5)
    fail(orders, letters[-1], 20)
    assert [orders[letter].ejected for letter in letters] == [True] * (len(letters) - 1) + [False]
    assert orders.cluster.stats.ejections_suppressed == {"max_ejected": 4}


def test_nobody_is_ejected_when_all_are_equally_bad() -> None:
    """If every other one failed its last call too, ejecting this one helps nobody."""
    orders = stage_of("abc")
    for _ in range(30):
        for letter in "abc":
            orders.call(500, on=letter)
    assert {orders.state(letter) for letter in "abc"} == {State.AVAILABLE}
    assert orders.cluster.stats.ejections_suppressed.keys() == {"peers_fail_too"}
    assert "ejection_suppressed" in orders.kinds()


def test_one_good_peer_is_enough_to_eject() -> None:
    """Two of three fail, the third answers: the failing ones go."""
    orders = stage_of("abc")
    for _ in range(5):
        for letter in "ab":
            orders.call(500, on=letter)
        orders.call(200, on="c")
    assert [orders.state(letter) for letter in "abc"] == [State.EJECTED, State.EJECTED, State.AVAILABLE]


@pytest.mark.parametrize(
    ("limit", "endpoints", "allowed"),
    [
        (AllButOne.ALL_BUT_ONE, 1, 0),
        (AllButOne.ALL_BUT_ONE, 3, 2),
        (0, 5, 0),
        (2, 5, 2),
        (Share(10), 3, 1),
        (Share(50), 5, 2),
        (Share(100), 4, 4),
    ],
)
def test_how_many_may_be_ejected(limit: AllButOne | int | Share, endpoints: int, allowed: int) -> None:
    """All but one, so many, or a share rounded down but at least one."""
    assert most_ejected(limit, endpoints) == allowed


# Recovery


def test_time_served_leads_to_probation_with_one_request_at_a_time() -> None:
    """After 30 s one call tries it; while that one is open, all others go elsewhere."""
    orders = stage_of("ab")
    fail(orders, "a", 5)
    orders.wait(29.9)
    assert orders.state("a") is State.EJECTED
    orders.wait(0.2)
    assert orders.state("a") is State.PROBATION
    picked = [orders.cluster.pick(orders.now) for _ in range(30)]
    assert picked.count(orders["a"]) == 1


def test_a_good_answer_on_probation_makes_it_available_with_slow_start() -> None:
    """It is restored, at a tenth of its weight."""
    orders = stage_of("ab")
    fail(orders, "a", 5)
    orders.wait(30.1)
    orders.clear()
    orders.call(on="a")
    assert orders.kinds() == ["endpoint_restored"]
    orders.cluster.usable(orders.now)
    assert orders.state("a") is State.AVAILABLE
    assert orders["a"].weight == pytest.approx(0.1)


@pytest.mark.parametrize("outcome", [500, 503, "reset"])
def test_one_bad_answer_on_probation_ejects_for_the_next_multiple(outcome: int | str) -> None:
    """The second time lasts 60 s."""
    orders = stage_of("ab")
    fail(orders, "a", 5)
    orders.wait(30.1)
    orders.call(outcome, on="a")
    assert orders["a"].ejection is not None
    assert orders["a"].ejection.until == pytest.approx(orders.now + 60)
    assert orders["a"].ejections == 2


def test_an_app_that_leaves_decides_nothing_on_probation() -> None:
    """It stays on probation and the next request tries it."""
    orders = stage_of("ab")
    fail(orders, "a", 5)
    orders.wait(30.1)
    orders.call("app_left", on="a")
    assert orders.state("a") is State.PROBATION
    assert "a" in orders.chosen(30)


def test_good_time_earns_the_first_multiple_back() -> None:
    """After 30 s available a second ejection lasts as long as a first one."""
    orders = stage_of("ab")
    fail(orders, "a", 5)
    orders.wait(30.1)
    orders.call(on="a")
    orders.wait(31)
    fail(orders, "a", 5)
    assert orders.events[-1].detail["times"] == 1


def test_time_in_quarantine_earns_nothing() -> None:
    """Restored, then refusing for a minute, then failing again: the second multiple."""
    orders = stage_of("ab")
    fail(orders, "a", 5)
    orders.wait(30.1)
    orders.call(on="a")
    orders.call("refused", on="a")
    orders.wait(60)
    orders.wait(36, alive="a")
    orders.clear()
    fail(orders, "a", 5)
    assert [event.detail["times"] for event in orders.events if event.kind == "endpoint_ejected"] == [2]


def test_panic_uses_ejected_ones_when_nobody_else_is_left() -> None:
    """The other one refuses: the ejected one is used, and both edges are events."""
    orders = stage_of("ab")
    fail(orders, "a", 5)
    orders.clear()
    orders.call("refused", on="b")
    assert orders.kinds() == ["endpoint_quarantined", "panic_entered"]
    assert orders.cluster.panic
    assert orders.call() == "a"
    orders.wait(1, alive="b")
    assert orders.kinds()[-1] == "panic_left"
    assert not orders.cluster.panic


def test_bad_answers_in_panic_do_not_lengthen_the_time() -> None:
    """An ejected endpoint serves its thirty seconds whatever it answers meanwhile."""
    orders = stage_of("ab")
    fail(orders, "a", 5)
    fail(orders, "a", 50)
    orders.wait(30.1)
    assert orders.state("a") is State.PROBATION
