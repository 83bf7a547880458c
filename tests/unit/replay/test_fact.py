"""What an event tells of the world outside."""

from typing import Any

import pytest

from sidecar.cluster.instance import Instance, Origin, Push, Via
from sidecar.errors import Sent
from sidecar.replay.dials import Dialled
from sidecar.replay.fact import Heard, Order, Ordered, fact, instances, push
from sidecar.replay.saved import Entry, NotATimelineError

A = "10.0.0.1:80"


def entry(kind: str, endpoint: str | None = A, **detail: Any) -> Entry:
    return Entry(7, wall=0.0, mono=50.0, kind=kind, service="orders", endpoint=endpoint, detail=detail)


@pytest.mark.parametrize(
    ("told", "reason", "probe"),
    [
        (entry("probe", result="ok"), None, True),
        (entry("probe", result="refused"), "refused", True),
        (entry("probe", result="timeout"), "connect_timeout", True),
        (entry("probe", result="unreachable"), "unreachable", True),
        (entry("probe", result="a word of a later version"), "unreachable", True),
        (entry("endpoint_quarantined", reason="tls"), "tls", False),
        (entry("endpoint_quarantined", reason="reset"), "reset", False),
        (entry("hold_ended", by="gone"), "refused", False),
        (entry("endpoint_recovered", after_s=1.0), None, False),
        (entry("ghost", proof="answer"), None, False),
    ],
)
def test_the_end_of_a_dial_is_told_by_many_events(told: Entry, reason: str | None, *, probe: bool) -> None:
    """Whoever made it: success, or a failure of which nothing was sent, be it the loss of a stalled connection."""
    found = fact(told)
    assert isinstance(found, Dialled)
    assert (found.at, found.address, found.probe) == (50.0, A, probe)
    assert (found.failure.reason if found.failure else None) == reason
    assert found.failure is None or found.failure.sent is Sent.NOTHING


@pytest.mark.parametrize(
    ("told", "order"),
    [
        (entry("hold_ordered", None, for_s=600.0), Ordered(50.0, Order.HOLD, seconds=600.0)),
        (entry("obey_ordered", None), Ordered(50.0, Order.OBEY)),
        (entry("endpoint_ejected", reason="operator", for_s=300.0), Ordered(50.0, Order.EJECT, A, 300.0)),
        (entry("endpoint_restored", by="operator"), Ordered(50.0, Order.RESTORE, A)),
    ],
)
def test_what_an_operator_did_is_a_fact(told: Entry, order: Ordered) -> None:
    """With whom it concerned, and for how long."""
    assert fact(told) == order


def test_what_another_node_said_is_a_fact() -> None:
    """The verdict, and whom it is about."""
    told = entry("second_opinion", None, server="10.0.0.9:8848", verdict="partly", misses=1, lists=[A])
    assert fact(told) == Heard(50.0, "10.0.0.9:8848", "partly", frozenset({A}))


@pytest.mark.parametrize(
    "told",
    [
        entry("hold_ended", by="restored"),
        entry("endpoint_ejected", reason="consecutive_5xx", for_s=30.0),
        entry("endpoint_restored", by="ttl"),
        entry("zombie", reason="refused"),
        entry("push_refused", None, why="empty"),
        entry("a kind of a later version"),
    ],
)
def test_a_decision_is_no_fact(told: Entry) -> None:
    """Nor is what nobody here knows."""
    assert fact(told) is None


LISTED = {"origin": "nacos", "via": "query", "epoch": 3, "protect": None, "offered": 2}


def test_a_push_is_what_it_was() -> None:
    """The number of its event orders it among others of its session."""
    told = entry("push", None, **LISTED, instances=["10.0.0.1:80*1", "10.0.0.2:80*0.5;healthy=false"])
    listed = (Instance("10.0.0.1", 80), Instance("10.0.0.2", 80, weight=0.5, healthy=False))
    assert instances(told) == listed
    assert push(told, listed) == Push("orders", listed, Origin.NACOS, epoch=3, sequence=7, via=Via.QUERY, protect=None)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (entry("probe", result=5), "event 7: detail.result: expected a text, got 5"),
        (entry("endpoint_quarantined"), "event 7: detail.reason: expected a text, got None"),
        (entry("second_opinion", lists="a"), "event 7: detail.lists: expected a list, got 'a'"),
        (entry("hold_ordered", for_s="1m"), "event 7: detail.for_s: expected a number, got '1m'"),
    ],
)
def test_a_fact_that_cannot_be_read_is_named(told: Entry, message: str) -> None:
    """By the number of its event and the field."""
    with pytest.raises(NotATimelineError) as refused:
        fact(told)
    assert str(refused.value) == message
