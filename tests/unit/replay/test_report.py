"""What a replay tells."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sidecar.cluster.events import ReloadApplied
from sidecar.cluster.policy import OnEmpty, Protection, ServicePolicy
from sidecar.replay.compare import TOLERANCE
from sidecar.replay.judge import judge
from sidecar.replay.report import NAMED, Report, as_json, text
from sidecar.replay.saved import Timeline
from sidecar.replay.story import story
from tests.support.recording import Recording


def report(recording: Recording, protection: Protection | None = None, *, left_out: tuple[str, ...] = ()) -> Report:
    timeline = recording.saved()
    found = story(timeline, "orders")
    assert found is not None
    policy: ServicePolicy = replace(recording.policy, protection=protection or recording.policy.protection)
    judged = judge(found, policy, own_addresses=frozenset(), tolerance=TOLERANCE)
    return Report(timeline, "events.json", "other.yaml", [judged], left_out)


@pytest.fixture
def emptied() -> Recording:
    """Held for five seconds, then listed again."""
    recording = Recording()
    recording.lists("abcdef")
    recording.wait(2, alive="abcdef")
    recording.lists("")
    recording.wait(5, alive="abcdef")
    recording.lists("abcdef")
    return recording


OBEYING = Protection(on_empty=OnEmpty.OBEY)


def test_a_line_says_what_was_decided_and_what_would_be(emptied: Recording) -> None:
    """Time, service, then both sides, each kind once with whom it concerns; the sum at the end."""
    first, *rest = text(report(emptied, OBEYING)).splitlines()
    assert first == (
        f"events.json: {len(emptied.events_saved())} events, "
        "2026-01-31T10:00:00.000Z to 2026-01-31T10:00:07.000Z; replayed under other.yaml"
    )
    some = " ".join(f"10.0.0.{n}:80" for n in range(1, NAMED + 1)) + " and 2 more"
    was, would = f"push_refused why=empty kept=6, ghost {some}", f"snapshot_applied removed=6, endpoint_removed {some}"
    back, anew = f"hold_ended by=restored {some}", f"snapshot_applied added=6, endpoint_added {some}"
    assert rest == [
        f"10:00:02.000 orders: recorded {was}; now {would}",
        f"10:00:07.000 orders: recorded {back}; now {anew}",
        "2 differences: 7 of 20 recorded decisions are the same",
    ]


def test_no_difference_is_said_in_one_line(emptied: Recording) -> None:
    """Under the same configuration."""
    assert text(report(emptied)).splitlines()[1:] == ["no difference: all 20 decisions are the same"]


def test_the_same_at_another_time_is_one_line() -> None:
    """How much later or earlier it comes."""
    recording = Recording(protection=Protection(confirm=60.0))
    recording.lists("abcd")
    recording.lists("a")
    recording.lists("a")
    recording.wait(90, alive="abcd")
    recording.lists("ab")
    told = text(report(recording, Protection(confirm=10.0)))
    assert (
        "hold_ended by=confirmed 10.0.0.2:80 10.0.0.3:80 10.0.0.4:80: recorded at 10:01:00.000, now at 10:00:10."
        in told
    )
    assert "s earlier)" in told
    assert told.endswith("1 difference: 11 of 14 recorded decisions are the same\n")
    later = json.loads(as_json(report(recording, Protection(confirm=10.0))))["differences"][0]["later_s"]
    assert later == pytest.approx(-50.0, abs=0.2)


def test_json_says_the_same(emptied: Recording) -> None:
    """Every decision with its time, endpoint and facts."""
    document: dict[str, Any] = json.loads(as_json(report(emptied, OBEYING)))
    assert {name: document[name] for name in ("events", "recorded", "same", "notes", "from", "to")} == {
        "events": len(emptied.events_saved()),
        "recorded": 20,
        "same": 7,
        "notes": [],
        "from": "2026-01-31T10:00:00.000Z",
        "to": "2026-01-31T10:00:07.000Z",
    }
    first = document["differences"][0]
    assert (first["at"], first["service"], first["later_s"]) == ("2026-01-31T10:00:02.000Z", "orders", None)
    assert first["recorded"][0] == {
        "at": "2026-01-31T10:00:02.000Z",
        "kind": "push_refused",
        "endpoint": None,
        "detail": {"why": "empty", "kept": 6, "offered": 0},
    }
    assert first["now"][0]["kind"] == "endpoint_removed"


def test_over_more_than_a_day_times_have_their_day() -> None:
    """Two lists, a day between them."""
    recording = Recording()
    recording.lists("ab")
    recording.now += 86_400.0
    recording.lists("")
    told = text(report(recording, OBEYING))
    assert "\n2026-02-01T10:00:00.000Z orders: recorded push_refused" in told


def test_a_lost_beginning_is_noted() -> None:
    """Where the file starts, and where the service does."""
    recording = Recording(size=5)
    recording.lists("ab")
    recording.wait(1, alive="ab")
    recording.lists("abc")
    recording.wait(1, alive="abc")
    seq = recording.events_saved()[0]["seq"]
    lost, base = report(recording).notes()
    assert lost == (
        f"the beginning is not in the file, it starts with event {seq}: "
        "what was held or quarantined before that is unknown"
    )
    assert base == "orders: starts from the list of 10:00:01.000; earlier ones are not in the file"


def test_lists_that_were_cut_are_noted() -> None:
    """The file is whole, and yet the service starts late."""
    recording = Recording(listed=5)
    recording.lists("ab")
    recording.wait(1)
    recording.lists("abcd")
    assert report(recording).notes() == ["orders: starts from the list of 10:00:01.000; earlier ones were cut"]


def test_what_does_not_belong_to_the_comparison_is_noted() -> None:
    """Services that are left out, a reload in between, and what depends on calls."""
    recording = Recording()
    recording.lists("ab")
    for _ in range(5):
        recording.call(500, on="a")
        recording.call(200, on="b")
    recording.tell([ReloadApplied(changes=1, sha256="9f"), ReloadApplied(changes=0, sha256="9f")])
    reload, calls, left_out = report(recording, left_out=("users: left out: not in this configuration",)).notes()
    assert reload.startswith("the configuration was reloaded at 2026-01-31T10:00:00.000Z: ")
    assert calls == ("not compared, since it depends on calls, and calls are not in a timeline: 1 endpoint_ejected")
    assert left_out == "users: left out: not in this configuration"


def test_what_had_to_be_assumed_is_noted() -> None:
    """Whom nobody dialled in the recording, from when on, and what they were taken to say."""
    recording = Recording(protection=OBEYING)
    recording.lists("ab")
    recording.call("refused", on="a")
    recording.wait(0.2, alive="")
    recording.now += 500.0
    recording.lists("b")
    recording.lists("")
    recording.now += 5.0
    recording.lists("")
    refuses, answers = report(recording, Protection(shrink_threshold=1.0)).notes()
    assert refuses.startswith("orders: assumed to refuse where the recording does not tell: 10.0.0.1:80 from 10:0")
    assert answers.startswith("orders: assumed to answer where the recording does not tell: 10.0.0.2:80 from 10:08:20.")


def test_missing_events_are_noted() -> None:
    """A file that was saved through a filter."""
    recording = Recording()
    recording.lists("ab")
    recording.lists("a")
    timeline = recording.saved()
    pushes = Timeline(tuple(entry for entry in timeline.entries if entry.kind == "push"))
    (noted,) = Report(pushes, "events.json", "other.yaml", [], ()).notes()
    assert noted == "3 events in between are missing: save it without ?service= and ?kind="


def test_a_crowded_minute_is_noted() -> None:
    """With the kinds of which not all are there."""
    recording = Recording()
    recording.crowd(300)
    crowded, left_out = report(recording).notes()
    assert (
        crowded
        == "orders: more happened in a minute than a timeline keeps, what rests on it is unknown: endpoint_added"
    )
    assert left_out == "orders: 256 recorded decisions rest on what is not in the file and are left out"
