"""The core under a clock of its own."""

from dataclasses import replace

import pytest

from sidecar.cluster.instance import Via, View
from sidecar.cluster.opinion import IN_VAIN
from sidecar.cluster.policy import OnEmpty, OutlierDetection, Probe, Protection, ServicePolicy
from sidecar.replay.decision import Decision
from sidecar.replay.run import AFTERWARDS, Outcome, replay
from sidecar.replay.story import story
from tests.support.clusters import at
from tests.support.recording import Recording


def replayed(recording: Recording, policy: ServicePolicy | None = None) -> Outcome:
    found = story(recording.saved(), "orders")
    assert found is not None
    return replay(found, policy or recording.policy)


def under(protection: Protection) -> ServicePolicy:
    return ServicePolicy("orders", protection=protection)


def of(outcome: Outcome, kind: str) -> list[Decision]:
    return [one for one in outcome.decisions if one.kind == kind]


def ends(outcome: Outcome) -> list[tuple[str, float]]:
    """By what holds ended, and when, a beat more or less."""
    return [(dict(one.facts)["by"], round(one.at)) for one in of(outcome, "hold_ended")]


@pytest.fixture
def emptied() -> Recording:
    """Ten seconds after an empty list, everyone still answering."""
    recording = Recording()
    recording.connect()
    recording.lists("abc")
    recording.wait(2, alive="abc")
    recording.lists("")
    recording.wait(10, alive="abc")
    return recording


def test_lists_are_judged_by_the_policy_at_hand(emptied: Recording) -> None:
    """Held as recorded; removed where empty lists are obeyed."""
    assert [one.facts for one in of(replayed(emptied), "push_refused")] == [
        (("why", "empty"), ("kept", 3), ("offered", 0))
    ]
    obeying = replayed(emptied, under(Protection(on_empty=OnEmpty.OBEY)))
    assert of(obeying, "push_refused") == []
    assert [(one.at, one.endpoint) for one in of(obeying, "endpoint_removed")] == [(102.0, at(one)) for one in "abc"]


def test_time_passes_as_it_did() -> None:
    """A shrink is confirmed after `confirm` by the answer that repeated it, whatever was recorded."""
    recording = Recording(protection=Protection(confirm=60.0))
    recording.lists("abcd")
    recording.lists("a")
    recording.wait(1, alive="abcd")
    recording.lists("a", via=Via.QUERY)
    recording.wait(80, alive="abcd")
    recording.lists("ab")
    assert ends(replayed(recording)) == [("confirmed", 160)] * 3
    assert ends(replayed(recording, under(Protection(confirm=10.0)))) == [("confirmed", 110)] * 3


def test_without_a_second_answer_nothing_is_confirmed() -> None:
    """The timeline has the first that repeated a list, and there was none."""
    recording = Recording(protection=Protection(confirm=60.0))
    recording.lists("abcd")
    recording.lists("a")
    recording.wait(80, alive="abcd")
    recording.connect()
    assert ends(replayed(recording, under(Protection(confirm=1.0)))) == []


def test_holds_do_not_age_while_the_registry_is_away() -> None:
    """As in the recording: ten seconds of `max_hold`, thirty of them without a session."""
    recording = Recording()
    recording.connect()
    recording.lists("ab")
    recording.lists("")
    recording.wait(5, alive="ab")
    recording.disconnect()
    recording.wait(30, alive="ab")
    recording.connect()
    recording.wait(40, alive="ab")
    recording.lists("ab")
    assert ends(replayed(recording, under(Protection(confirm=1.0, max_hold=10.0)))) == [("expired", 140)] * 2


def test_a_probe_is_answered_as_the_recorded_one_was() -> None:
    """Refused half a second after it was sent; not before, by what had been known."""
    recording = Recording()
    recording.lists("ab")
    recording.lists("")
    (slow, quick) = recording.cluster.probes_due(recording.now)
    recording.ends(quick, "")
    recording.now += 0.5
    recording.ends(slow, "refused")
    outcome = replayed(recording)
    assert [(one.at, one.endpoint) for one in of(outcome, "hold_ended")] == [(100.5, slow.address)]
    assert outcome.assumptions == ()


def test_a_probe_that_nobody_made_is_answered_by_what_was_known_last(emptied: Recording) -> None:
    """Obeyed in the recording, held now: refused once, gone; of the others it is assumed that they answer."""
    recording = Recording(protection=Protection(on_empty=OnEmpty.OBEY))
    recording.lists("abc")
    recording.wait(1, alive="abc")
    recording.call("refused", on="a")
    recording.lists("")
    recording.wait(10)
    outcome = replayed(recording, under(Protection()))
    assert {one.endpoint for one in of(outcome, "ghost")} == {at("b"), at("c")}
    told = {(one.address, round(one.at), one.answer.since) for one in outcome.assumptions}
    assert told == {(at("b"), 101, None), (at("c"), 101, None)}
    assert replayed(emptied).assumptions == ()


def test_a_call_that_was_refused_is_refused_again() -> None:
    """A held endpoint goes with it, a listed one is quarantined, and comes back when the recording saw it back."""
    recording = Recording()
    recording.lists("abc")
    recording.lists("c")
    recording.now += 0.01
    recording.call("refused", on="a")
    recording.call("refused", on="c")
    recording.wait(1.0, alive="bc")
    outcome = replayed(recording)
    assert [(one.endpoint, one.at) for one in of(outcome, "hold_ended")] == [(at("a"), 100.01)]
    assert [one.endpoint for one in of(outcome, "endpoint_quarantined")] == [at("c")]
    assert [one.endpoint for one in of(outcome, "endpoint_recovered")] == [at("c")]


def test_where_connects_are_not_heeded_a_refusal_quarantines_nobody() -> None:
    """`quarantine_on_connect_failure: false` holds in the replay too."""
    recording = Recording()
    recording.lists("ab")
    recording.call("refused", on="a")
    recording.lists("abc")
    lenient = replace(recording.policy, outlier_detection=OutlierDetection(quarantine_on_connect_failure=False))
    assert of(replayed(recording), "endpoint_quarantined") != []
    assert of(replayed(recording, lenient), "endpoint_quarantined") == []


def test_where_nobody_probes_the_results_of_probes_are_not_known(emptied: Recording) -> None:
    """`probe: none`: what was held and refused a probe is held on."""
    emptied.wait(5, alive="bc")
    assert ends(replayed(emptied)) == [("gone", 112)]
    assert ends(replayed(emptied, under(Protection(probe=Probe.NONE)))) == []


@pytest.mark.parametrize(("listed", "confirmed"), [("", "abc"), ("b", "ac"), ("abc", "")])
def test_a_second_nodes_word_counts_again(listed: str, confirmed: str) -> None:
    """Of those held, what it missed then it misses now, also when they are held for longer."""
    recording = Recording(protection=Protection(confirm=5.0))
    recording.connect(second_node=True)
    recording.lists("abc")
    recording.lists("")
    recording.lists("", via=Via.QUERY)
    recording.hears(View.OFFERED, listed)
    recording.wait(30, alive="abc")
    recording.lists("")
    for confirm in (5.0, 20.0):
        outcome = replayed(recording, under(Protection(confirm=confirm)))
        assert ends(outcome) == [("confirmed", round(100 + confirm))] * len(confirmed)
        assert {one.endpoint for one in of(outcome, "hold_ended")} == {at(one) for one in confirmed}


def test_that_no_other_node_answered_counts_again() -> None:
    """The shrink was believed on one node's word then, and is when it is held for longer."""
    recording = Recording(protection=Protection(confirm=5.0))
    recording.connect(second_node=True)
    recording.lists("abc")
    recording.lists("a")
    recording.lists("a", via=Via.QUERY)
    for _ in range(IN_VAIN):
        recording.asks_in_vain()
    recording.wait(30, alive="abc")
    recording.lists("a")
    for confirm in (5.0, 20.0):
        outcome = replayed(recording, under(Protection(confirm=confirm)))
        assert ends(outcome) == [("confirmed", round(100 + confirm))] * 2


def test_an_order_of_the_administrators_list_counts_again() -> None:
    """Switched off there: let go at once."""
    recording = Recording()
    recording.lists("ab")
    recording.lists("")
    recording.wait(1, alive="ab")
    recording.off("a")
    assert ends(replayed(recording)) == [("confirmed", 101)]


def test_what_was_done_by_hand_is_done_again(emptied: Recording) -> None:
    """Drop now lets go, hold now keeps; where nothing is held any more the order is carried out all the same."""
    emptied.tell(emptied.cluster.obey(emptied.now))
    assert ends(replayed(emptied)) == [("obeyed", 112)] * 3
    assert ends(replayed(emptied, under(Protection(on_empty=OnEmpty.OBEY)))) == []
    recording = Recording(protection=Protection(on_empty=OnEmpty.OBEY, shrink_threshold=1.0))
    recording.lists("abc")
    recording.tell(recording.cluster.hold(30, recording.now))
    recording.tell(recording.cluster.eject(at("a"), 5, recording.now))
    recording.tell(recording.cluster.restore(at("a"), recording.now))
    recording.lists("a")
    assert [dict(one.facts)["kept"] for one in of(replayed(recording), "push_refused")] == [2]


def test_what_is_done_to_a_stranger_is_done_to_nobody() -> None:
    """Ejected in the recording, an endpoint that the other configuration does not even have."""
    recording = Recording()
    recording.lists("ab")
    recording.tell(recording.cluster.eject(at("a"), 5, recording.now))
    recording.tell(recording.cluster.restore(at("a"), recording.now))
    elsewhere = replace(recording.policy, discovery=replace(recording.policy.discovery, clusters=("B",)))
    assert replayed(recording, elsewhere).decisions == ()


def test_it_ends_a_little_after_the_recording() -> None:
    """What the last event made due soon is seen, what it made due in a minute is not."""
    recording = Recording()
    recording.lists("abc")
    recording.lists("")
    late = replayed(recording, under(Protection(confirm=1.0, max_hold=AFTERWARDS / 2)))
    assert ends(late) == [("expired", 100)] * 3 or ends(late) == [("expired", 101)] * 3
    assert ends(replayed(recording, under(Protection(confirm=1.0, max_hold=AFTERWARDS + 0.5)))) == []
    assert late.listed == {at(one) for one in "abc"}
