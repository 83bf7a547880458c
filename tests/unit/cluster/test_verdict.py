"""Where registry and reality disagree."""

import pytest

from sidecar.cluster.events import Event, Ghost, Zombie
from sidecar.cluster.policy import OutlierDetection, Range
from tests.support.clusters import Even, Stage, at, instance


@pytest.fixture
def orders() -> Stage:
    stage = Stage(rng=Even(), outlier_detection=OutlierDetection(probe_backoff=Range(0.1, 2.0)))
    stage.lists("abc")
    return stage


def told(stage: Stage) -> list[Event]:
    return [event for event in stage.events if isinstance(event, (Zombie, Ghost))]


@pytest.mark.scenario("S-28")
def test_a_zombie_is_told_once_after_ten_seconds_of_refusing(orders: Stage) -> None:
    """At 9.9 s nothing is said; at 10 s the reason and the dials are, and never again while it lasts."""
    orders.call("refused", on="a")
    orders.wait(9.9, alive="bc")
    assert told(orders) == []
    orders.wait(0.2, alive="bc")
    (zombie,) = told(orders)
    assert isinstance(zombie, Zombie)
    assert (zombie.service, zombie.endpoint, zombie.reason) == ("orders", at("a"), "refused")
    assert zombie.refusing_s == pytest.approx(10, abs=0.1)
    assert zombie.dials >= 5
    orders.wait(120, alive="bc")
    orders.lists("abc")
    assert told(orders) == [zombie]


def test_each_beginning_is_told(orders: Stage) -> None:
    """One that came back and refuses again is a zombie again, ten seconds later."""
    for _ in range(2):
        orders.call("refused", on="a")
        orders.wait(15, alive="bc")
        orders.wait(3, alive="abc")
    assert [event.kind for event in told(orders)] == ["zombie", "zombie"]


@pytest.mark.parametrize("changes", [{"healthy": False}, {"weight": 0.0}])
def test_what_the_registry_does_not_praise_is_no_zombie(orders: Stage, changes: dict[str, float | bool]) -> None:
    """Called unhealthy or switched off: there is no disagreement."""
    orders.lists([instance("a", **changes), instance("b"), instance("c")])
    orders.call("refused", on="a")
    orders.wait(30, alive="bc")
    assert told(orders) == []


def test_a_ghost_is_told_when_a_probe_shows_it(orders: Stage) -> None:
    """After a false empty list each endpoint that answers is one; the event says what showed it."""
    orders.lists("")
    orders.now += 0.5
    orders.probe("ab")
    assert {event.endpoint for event in told(orders)} == {at("a"), at("b")}
    assert told(orders)[0].detail == {"proof": "probe", "unlisted_s": 0.5}
    orders.wait(5, alive="ab")
    assert len(told(orders)) == 2


def test_a_call_shows_a_ghost_too(orders: Stage) -> None:
    """An answer, or a connect for one, is as good as a probe."""
    orders.lists("")
    orders.call(on="a")
    (by_connect,) = orders.cluster.report_connected(orders["b"], 0.01, orders.now)
    assert [event.detail["proof"] for event in (*told(orders), by_connect)] == ["answer", "connect"]


def test_one_that_is_only_called_unhealthy_is_no_ghost(orders: Stage) -> None:
    """It is held and alive, but listed."""
    orders.lists([instance("a"), instance("b", healthy=False), instance("c", healthy=False)])
    orders.wait(3, alive="abc")
    assert orders.cluster.guard.held
    assert told(orders) == []


def test_listed_again_and_lost_again_is_told_again(orders: Stage) -> None:
    """Each doubt has its own ghosts."""
    for _ in range(2):
        orders.lists("")
        orders.call(on="a")
        orders.lists("abc")
    assert [event.endpoint for event in told(orders)] == [at("a")] * 2
