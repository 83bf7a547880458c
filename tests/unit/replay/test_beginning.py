"""Where a story begins whose beginning is lost."""

from typing import Any

from sidecar.replay.beginning import base, refusing
from sidecar.replay.saved import Entry

A, B, C = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"


def entry(seq: int, kind: str, endpoint: str | None = None, **detail: Any) -> Entry:
    return Entry(seq, wall=0.0, mono=float(seq // 10), kind=kind, service="orders", endpoint=endpoint, detail=detail)


def push(seq: int, *instances: str, result: str = "applied") -> Entry:
    return entry(seq, "push", result=result, instances=list(instances), offered=len(instances))


def test_the_base_is_a_list_at_which_nothing_was_held() -> None:
    """As many in force as are on it; a list that leaves more in force has others beside it."""
    found = base(
        [
            push(10, "a"),
            entry(11, "snapshot_applied", instances=3),
            push(20, "a", "b"),
            entry(21, "snapshot_applied", instances=2),
        ]
    )
    assert found is not None
    assert found.seq == 20


def test_failing_that_it_is_the_first_that_was_believed() -> None:
    """Doubted, repeated and stale ones are none, nor is one that was cut."""
    cut = entry(5, "push", result="applied", instances=None, offered=2, cut=True)
    unbelieved = [
        push(10, "a", result="empty_refused"),
        push(20, "a", result="unchanged"),
        push(30, "a", result="stale"),
    ]
    first, second = push(40, "a"), push(50, "a", "b")
    assert base([cut, *unbelieved, first, entry(41, "snapshot_applied", instances=9), second]) is first
    assert base([cut, *unbelieved]) is None


def test_what_followed_another_list_says_nothing_of_this_one() -> None:
    """The number in force is that of the list before it."""
    first = push(10, "a", "b")
    later = [push(20, "a", result="shrink_refused"), entry(21, "snapshot_applied", instances=2)]
    assert base([first, *later, push(30, "a")]) is first


def refusing_at(seq: int, *told: Entry) -> frozenset[str]:
    """Those that were quarantined when list number `seq` came."""
    return refusing(sorted([*told, push(seq)], key=lambda one: one.seq), push(seq))


def test_who_recovers_without_having_been_lost_was_refusing_before() -> None:
    """So does a zombie whose quarantine is not there, and a failing probe that quarantines nobody."""
    told = [entry(10, "endpoint_recovered", A), entry(20, "zombie", B), entry(30, "probe", C, result="refused")]
    assert refusing_at(1, *told) == {A, B, C}


def test_who_was_first_lost_within_the_file_was_not() -> None:
    """A probe that quarantines, one that lets a hold end, one that succeeds, an endpoint that is new."""
    quarantined = [entry(10, "probe", A, result="refused"), entry(11, "endpoint_quarantined", A)]
    gone = [entry(20, "probe", B, result="timeout"), entry(21, "hold_ended", B, by="gone")]
    well = [entry(30, "probe", C, result="ok"), entry(40, "endpoint_recovered", C)]
    new = [entry(50, "endpoint_added", "d"), entry(51, "probe", "d", result="refused")]
    assert refusing_at(1, *quarantined, *gone, *well, *new, entry(60, "endpoint_recovered", A)) == frozenset()


def test_what_was_seen_before_the_base_decides() -> None:
    """Lost and not yet back; back again; removed; and one that was well, whatever comes later."""
    assert refusing_at(50, entry(10, "endpoint_quarantined", A), entry(20, "probe", A, result="timeout")) == {A}
    assert refusing_at(50, entry(10, "endpoint_quarantined", A), entry(20, "endpoint_recovered", A)) == frozenset()
    assert refusing_at(50, entry(10, "endpoint_quarantined", A), entry(20, "endpoint_removed", A)) == frozenset()
    assert refusing_at(50, entry(10, "probe", A, result="ok"), entry(60, "zombie", A)) == frozenset()
