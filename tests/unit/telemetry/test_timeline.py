"""The ring of events: numbers never repeat, and what is lost is told."""

import pytest

from sidecar.cluster.events import EndpointAdded, Event, PanicEntered, PushArrived
from sidecar.cluster.instance import Instance
from sidecar.telemetry.timeline import Timeline


@pytest.fixture
def timeline() -> Timeline:
    timeline = Timeline(size=4)
    for n in range(3):
        timeline.append(PanicEntered(service=f"s{n % 2}"), wall=100.0 + n, mono=float(n))
    return timeline


def _numbers(timeline: Timeline, **filters: int | str | None) -> list[int]:
    return [entry.seq for entry in timeline.select(**filters).entries]  # type: ignore[arg-type]


def test_entries_are_numbered_from_one_and_come_oldest_first(timeline: Timeline) -> None:
    """The first event of a process has number 1."""
    selection = timeline.select()
    assert [(e.seq, e.wall, e.mono) for e in selection.entries] == [(1, 100.0, 0.0), (2, 101.0, 1.0), (3, 102.0, 2.0)]
    assert (selection.next, selection.dropped) == (4, 0)


def test_the_newest_are_chosen(timeline: Timeline) -> None:
    """A limit leaves out the oldest."""
    assert _numbers(timeline, newest=2) == [2, 3]
    assert _numbers(timeline, newest=0) == []


def test_a_poller_goes_on_where_it_left_off(timeline: Timeline) -> None:
    """`since=next` brings what came after, and nothing twice."""
    following = timeline.select().next
    assert _numbers(timeline, since=following) == []
    timeline.append(PanicEntered(), wall=103.0, mono=3.0)
    assert _numbers(timeline, since=following) == [4]


def test_filters_go_by_service_and_kind(timeline: Timeline) -> None:
    """Both must match."""
    timeline.append(EndpointAdded(service="s0", weight=1.0), wall=103.0, mono=3.0)
    assert _numbers(timeline, service="s0") == [1, 3, 4]
    assert _numbers(timeline, kind="panic_entered") == [1, 2, 3]
    assert _numbers(timeline, service="s0", kind="endpoint_added") == [4]


@pytest.mark.parametrize(("since", "dropped"), [(None, 6), (1, 6), (5, 2), (7, 0), (11, 0)])
def test_what_made_room_is_counted_from_since_on(since: int | None, dropped: int) -> None:
    """A poller that was away too long learns how many it missed."""
    timeline = Timeline(size=4)
    event: Event = PanicEntered()
    for n in range(10):
        timeline.append(event, wall=0.0, mono=float(n))
    assert timeline.select(since=since).dropped == dropped
    assert repr(timeline) == "<Timeline 4 of 10>"


# Lists


def pushed(service: str, length: int) -> PushArrived:
    instances = tuple(Instance("10.0.0.1", 1 + n) for n in range(length))
    return PushArrived(
        service=service, origin="nacos", via="push", epoch=1, offered=length, result="applied", instances=instances
    )


def _lengths(timeline: Timeline, service: str) -> list[int | str]:
    """Of the lists that are kept of a service, oldest first."""
    events = [entry.event for entry in timeline.select(service=service).entries]
    pushes = [event for event in events if isinstance(event, PushArrived)]
    return ["cut" if one.cut else len(one.instances or ()) for one in pushes]


def test_lists_are_kept_until_all_together_are_too_long() -> None:
    """Then the oldest goes, and its event says so; everything else about it stays."""
    timeline = Timeline(listed=10)
    for length in (4, 6, 3):
        timeline.append(pushed("orders", length), wall=0.0, mono=0.0)
    assert _lengths(timeline, "orders") == ["cut", 6, 3]
    (first, *_) = timeline.select().entries
    assert first.event.detail["offered"] == 4
    assert first.event.detail["instances"] is None


def test_the_service_with_the_most_gives_way() -> None:
    """A service of thousands takes nothing from the history of a small one, however old that is."""
    timeline = Timeline(listed=20)
    timeline.append(pushed("small", 3), wall=0.0, mono=0.0)
    for _ in range(5):
        timeline.append(pushed("large", 7), wall=0.0, mono=0.0)
    assert _lengths(timeline, "small") == [3]
    assert _lengths(timeline, "large") == ["cut", "cut", "cut", 7, 7]


def test_a_list_longer_than_all_may_be_is_not_kept() -> None:
    """Its event is."""
    timeline = Timeline(listed=10)
    timeline.append(pushed("orders", 11), wall=0.0, mono=0.0)
    assert _lengths(timeline, "orders") == ["cut"]


def test_a_list_that_left_the_ring_makes_room() -> None:
    """What counts are the lists that are kept, not those that were."""
    timeline = Timeline(size=2, listed=10)
    for _ in range(50):
        timeline.append(pushed("orders", 5), wall=0.0, mono=0.0)
    assert _lengths(timeline, "orders") == [5, 5]


def test_unchanged_and_empty_lists_cost_nothing() -> None:
    """They carry no instance."""
    timeline = Timeline(listed=5)
    timeline.append(pushed("orders", 5), wall=0.0, mono=0.0)
    for _ in range(5):
        timeline.append(pushed("orders", 0), wall=0.0, mono=0.0)
    assert _lengths(timeline, "orders") == [5, 0, 0, 0, 0, 0]
