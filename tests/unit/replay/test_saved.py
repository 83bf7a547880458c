"""A saved timeline is read whole or refused with the place of what is wrong."""

import json
from typing import Any

import pytest

from sidecar.replay.saved import NotATimelineError, parse

EVENT: dict[str, Any] = {
    "seq": 1,
    "at": "2026-01-31T10:00:00.123Z",
    "mono_s": 3600.5,
    "kind": "push_refused",
    "service": "orders",
    "endpoint": None,
    "detail": {"why": "empty", "kept": 2},
    "text": "orders: …",
}


def body(*events: Any) -> str:
    return json.dumps({"events": events, "next": 99, "dropped": 0})


def event(seq: int, **changes: Any) -> dict[str, Any]:
    return EVENT | {"seq": seq, "mono_s": 3600.0 + seq} | changes


def test_an_event_has_both_its_times() -> None:
    """Wall time for people, the clock of the process for differences."""
    (entry,) = parse(body(EVENT)).entries
    assert (entry.seq, entry.mono, entry.kind, entry.service, entry.endpoint) == (
        1,
        3600.5,
        "push_refused",
        "orders",
        None,
    )
    assert entry.wall == 1769853600.123
    assert entry.detail == {"why": "empty", "kept": 2}


def test_it_is_whole_when_it_begins_with_the_first_event() -> None:
    """Any other number means that the ring has forgotten its beginning, or that less was asked for."""
    assert parse(body(event(1), event(2))).whole
    late = parse(body(event(7), event(8)))
    assert not late.whole
    assert repr(late) == "<Timeline of 2 events, without its beginning>"


def test_events_that_a_filter_left_out_are_counted() -> None:
    """A timeline of one kind cannot be replayed as if it were all."""
    assert parse(body(event(3), event(4), event(9))).missing == 4


def test_times_between_events_are_told_by_the_event_before() -> None:
    """Somebody set the wall clock by an hour between the two events."""
    timeline = parse(body(event(1, mono_s=10.0), event(2, mono_s=20.0, at="2026-01-31T11:00:00Z")))
    assert timeline.wall(15.0) - timeline.entries[0].wall == 5.0
    assert timeline.wall(21.5) - timeline.entries[1].wall == 1.5
    assert timeline.wall(9.0) - timeline.entries[0].wall == -1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1:1: not JSON: Expecting value"),
        ('{"events": [}', ":1:13: not JSON: "),
        ('{"events":\n [1,\n ,', ":3:2: not JSON: "),
        ("[]", 'expected an object with a list "events"'),
        ('{"events": {}}', 'expected an object with a list "events"'),
        ('{"clusters": []}', 'expected an object with a list "events"'),
        (body(), "no event is in it"),
        (body(5), "events[0]: expected an object, got 5"),
        (body(event(1), EVENT | {"seq": "2"}), "events[1].seq: expected a whole number, got '2'"),
        (body(EVENT | {"seq": True}), "events[0].seq: expected a whole number, got True"),
        (body(event(1, mono_s=None)), "events[0].mono_s: expected a number, got None"),
        (body(event(1, at="noon")), "events[0].at: expected a time in RFC 3339, got 'noon'"),
        (body(event(1, kind=7)), "events[0].kind: expected a text, got 7"),
        (body(event(1, service=7)), "events[0].service: expected a text or null, got 7"),
        (body(event(1, detail=[])), "events[0].detail: expected an object, got []"),
        (body(event(2), event(2)), "events[1]: expected to come after the one before it, number 2"),
        (body(event(1), event(2, mono_s=1.0)), "events[1]: expected to come after the one before it, number 1"),
        (body(event(1), event(2, mono_s=1e17)), "events[1].mono_s: expected less than a year after the first"),
        ('{"events": [NaN]}', "NaN is no number of ours"),
        ('{"events": [1e999]}', "1e999 is no number of ours"),
        (f'{{"events": [{"9" * 5000}]}}', "999999999999999999… is no number of ours"),
        ("[" * 100_000, "not a body of /events: nested too deeply"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, message: str) -> None:
    """Line and column of what is no JSON, the path of what is no event."""
    with pytest.raises(NotATimelineError) as told:
        parse(text)
    assert message in f"{told.value.place}: {told.value}"


def test_a_fact_has_to_be_of_its_type() -> None:
    """A truth is no number, though Python has it as one."""
    (entry,) = parse(body(event(1, detail={"epoch": 3, "lag": 0.5, "flag": True}))).entries
    assert entry.fact("epoch", int) == 3
    assert entry.fact("flag", bool) is True
    assert entry.fact("gone", str, type(None)) is None
    for name, kinds in (("flag", (int,)), ("epoch", (str,)), ("gone", (list,)), ("lag", (int,))):
        with pytest.raises(NotATimelineError, match=rf"event 1: detail\.{name}: expected "):
            entry.fact(name, *kinds)
