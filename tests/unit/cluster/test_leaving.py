"""An endpoint that announces its end."""

import pytest

from sidecar.cluster.endpoint import State
from sidecar.cluster.policy import OutlierDetection
from tests.support.clusters import Stage


@pytest.fixture
def orders() -> Stage:
    """Two endpoints that keep connections open."""
    stage = Stage()
    stage.lists("ab")
    for letter in "ab":
        stage.call(on=letter)
    stage.clear()
    return stage


def test_two_closes_in_a_row_are_an_announcement(orders: Stage) -> None:
    """One `Connection: close` is none; the second sends new requests elsewhere."""
    orders.call(on="a", closing=True)
    assert orders.state("a") is State.AVAILABLE
    orders.call(on="a", closing=True)
    assert orders.state("a") is State.LEAVING
    assert orders.chosen(20) == {"b"}
    assert orders.events[0].text == "orders 10.0.0.1:80: endpoint leaving signal=connection_close"


def test_an_answer_without_a_close_starts_the_count_anew(orders: Stage) -> None:
    """Close, keep, close is no announcement."""
    for closing in (True, False, True):
        orders.call(on="a", closing=closing)
    assert orders.state("a") is State.AVAILABLE


def test_who_never_kept_a_connection_announces_nothing_by_closing() -> None:
    """A server that closes after every answer is available all the time."""
    stage = Stage()
    stage.lists("ab")
    for _ in range(5):
        stage.call(on="a", closing=True)
    assert stage.state("a") is State.AVAILABLE


@pytest.mark.parametrize(("status", "signal"), [(503, "retry_after"), (200, "header")])
def test_a_plain_announcement_counts_at_once(orders: Stage, status: int, signal: str) -> None:
    """A 503 with Retry-After, or the configured field on any answer."""
    orders.call(status, on="a", leaving=True)
    assert orders.state("a") is State.LEAVING
    assert [getattr(event, "signal", None) for event in orders.events] == [signal]


def test_leaving_ends_ten_seconds_after_the_last_signal(orders: Stage) -> None:
    """Each signal puts the end off, and only the first is an event."""
    orders.call(on="a", leaving=True)
    orders.wait(6)
    orders.call(on="a", leaving=True)
    orders.wait(9.9)
    assert orders.state("a") is State.LEAVING
    orders.wait(0.2)
    assert orders.state("a") is State.AVAILABLE
    assert orders.kinds() == ["endpoint_leaving"]


def test_the_only_usable_one_is_used_while_it_leaves(orders: Stage) -> None:
    """With nobody else, an announcement changes nothing for the app."""
    orders.call("refused", on="b")
    orders.call(on="a", leaving=True)
    assert orders.call() == "a"


def test_a_doubted_absence_does_not_bring_a_leaving_one_back(orders: Stage) -> None:
    """A graceful stop in the minute after a connect: held for its absence, but still used after the others."""
    orders.cluster.registry_connected(orders.now)
    for _ in range(2):
        orders.call(on="a", closing=True)
    orders.lists("b")
    orders.wait(1, alive="a")
    assert orders.state("a") is State.HELD
    assert orders.chosen(20) == {"b"}


def test_a_held_one_leaves_and_returns(orders: Stage) -> None:
    """Announcements of an endpoint that is held already count, for as long as any others."""
    orders.cluster.registry_connected(orders.now)
    orders.lists("b")
    orders.wait(1, alive="a")
    assert orders.chosen(40) == {"a", "b"}
    orders.call(on="a", leaving=True)
    assert orders.chosen(20) == {"b"}
    orders.wait(10, alive="a")
    assert orders.chosen(40) == {"a", "b"}


def test_a_restart_ends_the_leaving(orders: Stage) -> None:
    """Refused and reachable again: the new process has announced nothing."""
    orders.call(on="a", leaving=True)
    orders.call("refused", on="a")
    orders.wait(1, alive="a")
    assert orders.state("a") is State.AVAILABLE


def test_a_farewell_that_is_heard_after_the_refusal_ends_with_the_restart_too(orders: Stage) -> None:
    """What was in flight when the listener closed is answered later, `Connection: close` on each of the answers."""
    late = [orders.cluster.pick(orders.now, [orders["b"]]) for _ in range(3)]
    orders.call("refused", on="a")
    for endpoint in late:
        assert endpoint is orders["a"]
        orders.cluster.report_answer(endpoint, 200, orders.now, closing=True)
    assert orders.state("a") is State.QUARANTINED
    orders.wait(1, alive="a")
    assert orders.state("a") is State.AVAILABLE


def test_signals_can_be_switched_off() -> None:
    """With `leaving_signals: false` no answer announces anything."""
    stage = Stage(outlier_detection=OutlierDetection(leaving_signals=False))
    stage.lists("ab")
    stage.call(on="a")
    stage.call(503, on="a", leaving=True, closing=True)
    stage.call(on="a", closing=True)
    assert stage.state("a") is State.AVAILABLE
