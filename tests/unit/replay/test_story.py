"""What of a timeline is replayed, of one service."""

import json
import math
from typing import Any

import pytest

from sidecar.cluster.instance import Origin, Push, Via, View
from sidecar.cluster.policy import Protection
from sidecar.errors import FAILURES
from sidecar.replay.dials import Dialled
from sidecar.replay.fact import Connected, Disconnected, Fact, Heard, Listed, Order, Ordered
from sidecar.replay.saved import NotATimelineError, Timeline, parse
from sidecar.replay.story import Story, services, story
from sidecar.telemetry.worth import IN_A_WINDOW
from tests.support.clusters import at, instance
from tests.support.recording import Recording


def told(recording: Recording) -> Story:
    found = story(recording.saved(), "orders")
    assert found is not None
    return found


def facts(recording: Recording, *kinds: type) -> list[Fact]:
    return [fact for fact in told(recording).facts if isinstance(fact, kinds)]


def edited(recording: Recording, seq: int, **detail: Any) -> Timeline:
    """Its timeline, with other facts in event number `seq`."""
    body = json.loads(recording.body())
    for event in body["events"]:
        if event["seq"] == seq:
            event["detail"] |= detail
    return parse(json.dumps(body))


def test_lists_come_as_they_arrived() -> None:
    """With flags, metadata, session and the registry's protection; in the order of the events."""
    recording = Recording()
    listed = [instance("a", weight=0.5), instance("b", healthy=False, cluster="B", metadata={"v": "2"})]
    recording.lists(listed, epoch=3, protect=True)
    (fact,) = facts(recording, Listed)
    assert fact == Listed(
        100.0, Push("orders", tuple(listed), Origin.NACOS, epoch=3, sequence=1, via=Via.PUSH, protect=True)
    )


def test_an_unchanged_list_is_the_one_before() -> None:
    """Its event carries nothing; a stale one is no fact at all."""
    recording = Recording()
    recording.lists("ab", epoch=2)
    recording.lists("ab", epoch=2, via=Via.QUERY)
    recording.lists("a", epoch=1)
    first, second = facts(recording, Listed)
    assert isinstance(first, Listed)
    assert isinstance(second, Listed)
    assert second.push.instances == first.push.instances
    assert second.push.via is Via.QUERY


def test_a_session_is_lost_once() -> None:
    """Only the end of the session that was opened last is a loss: others never served, or have an heir."""
    recording = Recording()
    recording.disconnect()
    recording.connect(second_node=True)
    recording.lists("a")
    recording.disconnect()
    recording.disconnect()
    found = facts(recording, Connected, Disconnected)
    assert found == [Connected(100.0, second_node=True), Disconnected(100.0), Disconnected(100.0)]


def test_a_static_service_has_no_session() -> None:
    """What happens to the registry of others does not concern it."""
    recording = Recording()
    recording.connect()
    recording.lists("a", origin=Origin.STATIC, epoch=0)
    assert [type(fact) for fact in told(recording).facts] == [Listed]


def test_dials_are_told_by_probes_and_by_what_only_a_dial_brings_about() -> None:
    """A call is refused, a probe too, another succeeds; what a probe has brought about is no second dial."""
    recording = Recording()
    recording.lists("ab")
    recording.call("connect_timeout", on="a")
    recording.wait(0.15, alive="b")
    recording.tell(recording.cluster.report_connected(recording["a"], 0.01, recording.now))
    dials = [fact for fact in facts(recording, Dialled) if isinstance(fact, Dialled)]
    assert [(one.failure.reason if one.failure else "ok", one.probe) for one in dials] == [
        ("connect_timeout", False),
        ("refused", True),
        ("ok", False),
    ]
    assert {one.address for one in dials} == {at("a")}


def test_what_was_done_by_hand_is_done_again() -> None:
    """Hold, drop, eject and restore; an ejection for bad answers is none of these."""
    recording = Recording()
    recording.lists("ab")
    cluster = recording.cluster
    recording.tell(cluster.hold(600, recording.now))
    recording.tell(cluster.eject(at("a"), 300, recording.now))
    recording.tell(cluster.restore(at("a"), recording.now))
    recording.tell(cluster.obey(recording.now))
    for _ in range(5):
        recording.call(500, on="b")
    found = [fact for fact in facts(recording, Ordered) if isinstance(fact, Ordered)]
    assert [(one.what, one.address, one.seconds) for one in found] == [
        (Order.HOLD, "", 600),
        (Order.EJECT, at("a"), 300),
        (Order.RESTORE, at("a"), 0.0),
        (Order.OBEY, "", 0.0),
    ]


def test_a_second_nodes_word_is_a_fact() -> None:
    """Whom it still lists, of those that were held."""
    recording = Recording()
    recording.connect(second_node=True)
    recording.lists("abc")
    recording.lists("")
    recording.hears(View.OFFERED, "b")
    (heard,) = facts(recording, Heard)
    assert heard == Heard(100.0, "10.0.0.10:8848", "partly", frozenset({at("b")}))


def test_the_end_of_a_stall_is_no_recovery() -> None:
    """It has the same kind, and follows from calls."""
    recording = Recording()
    recording.lists("ab")
    recording.call("refused", on="a")
    recording.wait(1.0, alive="a")
    body = json.loads(recording.body())
    kinds = [event["kind"] for event in body["events"]]
    assert [one.kind for one in told(recording).decisions].count("endpoint_recovered") == 1
    body["events"][kinds.index("endpoint_quarantined")]["kind"] = "endpoint_stalled"
    found = story(parse(json.dumps(body)), "orders")
    assert found is not None
    assert "endpoint_recovered" not in [one.kind for one in found.decisions]


def test_a_whole_timeline_has_no_base() -> None:
    """Its story begins with it, and ends with its last event."""
    recording = Recording()
    recording.lists("ab")
    recording.wait(5)
    recording.lists("a")
    found = told(recording)
    assert (found.begins, found.ends, found.cut_short) == (-math.inf, recording.now, False)
    assert services(recording.saved()) == ["orders"]


def test_a_timeline_without_its_beginning_starts_with_the_first_list() -> None:
    """Who refused at that time is carried over: it shows by recovering later."""
    recording = Recording(size=16, protection=Protection(shrink_threshold=1.0))
    recording.lists("abc")
    recording.call("refused", on="a")
    for listed in ("abcd", "abc", "abcd"):
        recording.wait(1.0, alive="bcd")
        recording.lists(listed)
    recording.wait(4.0, alive="abcd")
    assert recording.events_saved()[0]["seq"] > 1
    found = told(recording)
    assert found.begins == 101.0
    assert found.carried == {at("a")}
    place = next(number for number, fact in enumerate(found.facts) if isinstance(fact, Listed))
    assert found.facts[place + 1] == Dialled(101.0, at("a"), FAILURES["refused"], probe=False)


def test_lists_that_were_cut_move_the_beginning() -> None:
    """As if the ring had forgotten them; the story says which of the two it was."""
    recording = Recording(listed=5)
    for listed in ("ab", "abc", "abcd"):
        recording.lists(listed)
        recording.wait(1.0)
    found = told(recording)
    assert (found.begins, found.cut_short) == (102.0, True)
    lists = [fact.push.instances for fact in found.facts if isinstance(fact, Listed)]
    assert lists == [tuple(map(instance, "abcd"))]


def test_without_a_list_that_was_believed_there_is_no_story() -> None:
    """Nobody knows what an empty list took away."""
    recording = Recording(size=2)
    recording.lists("ab")
    recording.lists("")
    assert story(recording.saved(), "orders") is None


def test_minutes_with_more_events_than_are_kept_are_named() -> None:
    """What rests on those events cannot be compared."""
    recording = Recording()
    recording.lists([instance(chr(ord("a") + n)) for n in range(200)])
    assert told(recording).crowded == frozenset()
    recording = Recording()
    recording.crowd(IN_A_WINDOW + 44)
    assert told(recording).crowded == {(1, "endpoint_added")}


@pytest.mark.parametrize(
    ("detail", "message"),
    [
        ({"instances": ["10.0.0.1"]}, "event 1: 1 of 2 instances are there"),
        ({"instances": ["10.0.0.1", "10.0.0.2:80*1"]}, "event 1: detail.instances: expected an instance such as"),
        ({"instances": [5, 6]}, "event 1: detail.instances: "),
        ({"instances": "ab"}, "event 1: detail.instances: expected a list, got 'ab'"),
        ({"origin": "heaven"}, "event 1: 'heaven' is not a valid Origin"),
        ({"epoch": "first"}, "event 1: detail.epoch: expected a whole number, got 'first'"),
        ({"protect": "no"}, "event 1: detail.protect: expected true or false or null, got 'no'"),
    ],
)
def test_an_event_that_cannot_be_read_is_named(detail: dict[str, Any], message: str) -> None:
    """By its number, with what is wrong in it."""
    recording = Recording()
    recording.lists("ab")
    with pytest.raises(NotATimelineError) as refused:
        story(edited(recording, 1, **detail), "orders")
    assert message in str(refused.value)


def test_a_decision_that_cannot_be_compared_is_named() -> None:
    """A list where a number should be."""
    recording = Recording()
    recording.lists("ab")
    recording.lists("")
    seq = next(event["seq"] for event in recording.events_saved() if event["kind"] == "push_refused")
    with pytest.raises(NotATimelineError, match=rf"event {seq}: detail\.kept: expected "):
        story(edited(recording, seq, kept=[]), "orders")
