"""The ring of events: numbers never repeat, and what is lost is told."""

import pytest

from sidecar.cluster.events import EndpointAdded, Event, PanicEntered
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
