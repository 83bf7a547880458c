"""Who belongs to a service."""

from typing import Any

import pytest

from sidecar.cluster.endpoint import State
from sidecar.cluster.events import HoldEnded, SecondOpinionHeard
from sidecar.cluster.instance import Instance, Origin, Silence, Statement, Via, View
from sidecar.cluster.policy import Discovery, OnEmpty, Probe, Protection
from tests.support.clusters import QUIET, Stage, at, instance


def stage_of(letters: str, **policy: Any) -> Stage:
    stage = Stage(**policy)
    stage.lists(letters)
    stage.clear()
    return stage


# Lists that are believed


def test_the_first_list_serves_at_once() -> None:
    """From the registry: no dial first, no slow start."""
    stage = Stage()
    stage.lists("abc")
    assert repr(stage.cluster) == "<Cluster orders: 3 available>"
    assert stage.kinds() == ["push", *["endpoint_added"] * 3, "snapshot_applied"]
    assert stage["a"].ramp_from is None


@pytest.mark.scenario("S-03")
def test_a_new_one_is_dialled_before_its_first_request() -> None:
    """Newly listed means quarantined and due for a probe now; then a slow start."""
    stage = stage_of("ab")
    stage.lists("abc")
    assert repr(stage["c"]) == "<Endpoint 10.0.0.3:80 quarantined (not dialled yet), 0 in flight>"
    assert stage.chosen(30) == {"a", "b"}
    assert stage.probe("c") == ["c"]
    assert stage["c"].state is State.AVAILABLE
    assert stage["c"].ramp_from == stage.now
    assert stage.cluster.stats.quarantines == 0


def test_a_first_dial_that_fails_is_told_and_is_no_entry_into_quarantine() -> None:
    """It was out already, because nobody had dialled it; one that served and then refuses is counted."""
    stage = stage_of("ab")
    stage.lists("abc")
    assert stage.probe() == ["c"]
    assert (stage.kinds().count("endpoint_quarantined"), stage.cluster.stats.quarantines) == (1, 0)
    stage.call("refused", on="a")
    assert (stage.kinds().count("endpoint_quarantined"), stage.cluster.stats.quarantines) == (2, 1)


def test_a_services_only_endpoint_has_no_slow_start() -> None:
    """After scaling to zero and back, the one that comes is dialled and then serves with all its weight."""
    stage = stage_of("a", protection=Protection(on_empty=OnEmpty.OBEY, shrink_threshold=1.0))
    stage.lists("")
    stage.lists("b")
    assert stage["b"].state is State.QUARANTINED
    stage.probe("b")
    assert (stage["b"].state, stage["b"].ramp_from) == (State.AVAILABLE, None)


def test_a_plausible_removal_drains_at_once() -> None:
    """The absent one gets no new request, finishes what it has, and is then forgotten."""
    stage = stage_of("abc")
    stage["c"].in_flight = 1
    stage.lists("ab")
    assert stage["c"].state is State.DRAINING
    assert stage.chosen(30) == {"a", "b"}
    stage.call(on="c")
    assert at("c") in stage.cluster.endpoints
    stage.cluster.report_answer(stage["c"], 200, stage.now)
    assert at("c") not in stage.cluster.endpoints


def test_an_idle_one_that_leaves_is_forgotten_at_once() -> None:
    """Nothing in flight, nothing to wait for."""
    stage = stage_of("abc")
    stage.lists("ab")
    assert set(stage.cluster.endpoints) == {at("a"), at("b")}
    assert stage.kinds() == ["push", "endpoint_removed", "snapshot_applied"]


@pytest.mark.scenario("S-14")
def test_an_address_that_comes_back_while_it_drains_is_dialled_anew() -> None:
    """Another process may answer there: what was believed is forgotten, what is in flight is not."""
    stage = stage_of("abc")
    stage["c"].in_flight = 1
    stage.lists("ab")
    stage.lists("abc")
    assert (stage["c"].state, stage["c"].in_flight) == (State.QUARANTINED, 1)


@pytest.mark.scenario("S-15")
@pytest.mark.parametrize("order", [{"weight": 0.0}, {"enabled": False}])
def test_switching_off_is_obeyed_at_once_for_any_number(order: dict[str, Any]) -> None:
    """Two of three with weight 0 or enabled: false get nothing, and nothing is doubted."""
    stage = stage_of("abc")
    stage.lists([instance("a"), instance("b", **order), instance("c", **order)])
    assert repr(stage.cluster) == "<Cluster orders: 1 available, 2 disabled>"
    assert "push_refused" not in stage.kinds()


@pytest.mark.scenario("S-15")
def test_a_disabled_one_is_no_fallback() -> None:
    """When the other refuses there is nobody, rather than the one that was switched off."""
    stage = stage_of("ab")
    stage.lists([instance("a"), instance("b", weight=0.0)])
    stage.call("refused", on="a")
    assert not stage.cluster.usable(stage.now)


def test_an_unhealthy_one_is_left_out() -> None:
    """One of three called unhealthy gets no requests, and is not probed."""
    stage = stage_of("abc")
    stage.lists([instance("a"), instance("b"), instance("c", healthy=False)])
    assert stage["c"].state is State.UNHEALTHY
    assert stage.chosen(30) == {"a", "b"}


def test_a_new_weight_counts_at_once() -> None:
    """A list with another weight changes the share without any dial."""
    stage = stage_of("ab")
    stage.lists([instance("a", weight=9.0), instance("b")])
    calls = [stage.call() for _ in range(500)]
    assert calls.count("a") == pytest.approx(450, abs=25)


def test_our_own_address_gets_nothing() -> None:
    """A loop is cut and told."""
    stage = Stage(own="b")
    stage.lists("ab")
    assert stage["b"].state is State.DISABLED
    assert "endpoint_is_self" in stage.kinds()
    assert stage.chosen(20) == {"a"}


def test_filters_come_first() -> None:
    """Instances of another Nacos cluster are not there, for protection neither."""
    stage = Stage(discovery=Discovery(clusters=("A",)))
    stage.lists([instance("a", cluster="A"), instance("b", cluster="B"), instance("c", cluster="B")])
    stage.lists([instance("a", cluster="A")])
    assert repr(stage.cluster) == "<Cluster orders: 1 available>"
    assert stage.cluster.stats.pushes == {"applied": 1, "unchanged": 1}


# Lists that are doubted


@pytest.mark.scenario("S-04", "S-05")
def test_an_empty_list_holds_everybody() -> None:
    """All are held and, while nobody knows better, used; status, event and counter say so."""
    stage = stage_of("abc")
    stage.lists("")
    assert repr(stage.cluster) == "<Cluster orders: 3 held>"
    assert stage.events[1].text == "orders: empty list refused, 3 instances held"
    assert stage.cluster.stats.pushes["empty_refused"] == 1
    assert stage.call() is not None
    assert len(stage.cluster.in_force()) == 3


def test_held_ones_are_probed_at_once_and_every_second() -> None:
    """Those who refuse are gone with their first refused probe, those who answer stay."""
    stage = stage_of("abc")
    stage.lists("")
    assert sorted(stage.probe("ab")) == ["a", "b", "c"]
    assert repr(stage.cluster) == "<Cluster orders: 2 held>"
    stage.wait(3.1, alive="ab")
    assert stage.cluster.stats.probes["ok"] == 8
    assert stage.cluster.stats.holds_ended == {"gone": 1}


@pytest.mark.scenario("S-06")
def test_scaled_to_zero_ends_within_a_probe() -> None:
    """An empty list and nobody who answers: no endpoint is left, and nothing is doubted any more."""
    stage = stage_of("abc")
    stage.lists("")
    stage.wait(0.1)
    assert repr(stage.cluster) == "<Cluster orders: no instances>"
    assert not stage.cluster.guard.held


@pytest.mark.scenario("S-07")
def test_a_false_shrink_does_not_crush_the_one_that_is_left() -> None:
    """Ten to one: the nine, once shown alive, serve beside the one."""
    stage = stage_of("abcdefghij")
    stage.lists("a")
    assert repr(stage.cluster) == "<Cluster orders: 1 available, 9 held>"
    assert stage.chosen(30) == {"a"}
    stage.probe("abcdefghij")
    assert stage.chosen(300) == set("abcdefghij")


def test_an_answer_shows_a_held_one_alive() -> None:
    """Without probes, held ones come after the listed until an answer arrives from them."""
    stage = stage_of("abc", protection=Protection(probe_interval=1e9))
    stage.lists("a")
    stage.call(on="b")
    assert stage.chosen(50) == {"a", "b"}


def test_a_held_one_is_gone_at_its_first_failed_connect_by_traffic() -> None:
    """One refused call drops it for good."""
    stage = stage_of("abc")
    stage.lists("")
    stage.clear()
    stage.call("refused", on="b")
    assert at("b") not in stage.cluster.endpoints
    assert stage.kinds() == ["hold_ended", "endpoint_removed"]
    assert stage.events[0].detail == {"by": "gone", "left": 2}


def test_a_restored_one_goes_on_without_a_dial() -> None:
    """Empty, then the full list again: as if nothing had happened."""
    stage = stage_of("abc")
    stage.lists("")
    stage.probe("abc")
    stage.clear()
    stage.lists("abc")
    assert repr(stage.cluster) == "<Cluster orders: 3 available>"
    assert stage.cluster.stats.holds_ended == {"restored": 3}
    assert [event.detail["left"] for event in stage.events if event.kind == "hold_ended"] == [2, 1, 0]


def test_a_shrink_is_believed_when_the_registry_says_so_for_a_minute() -> None:
    """Two of three missing, said twice over 60 s: they leave though they answer."""
    stage = stage_of("abc")
    stage.lists("a")
    stage.lists("a", via=Via.QUERY)
    stage.wait(59, alive="abc")
    assert repr(stage.cluster) == "<Cluster orders: 1 available, 2 held>"
    stage.wait(1.1, alive="abc")
    assert repr(stage.cluster) == "<Cluster orders: 1 available>"
    assert stage.cluster.stats.holds_ended == {"confirmed": 2}


@pytest.mark.scenario("S-10")
def test_many_turned_unhealthy_at_once_are_doubted() -> None:
    """Three of four called unhealthy are held and probed; who refuses is unhealthy indeed."""
    stage = stage_of("abcd")
    stage.lists([instance("a"), *(instance(letter, healthy=False) for letter in "bcd")])
    assert repr(stage.cluster) == "<Cluster orders: 1 available, 3 held>"
    stage.probe("bc")
    assert repr(stage.cluster) == "<Cluster orders: 1 available, 2 held, 1 unhealthy>"


def test_who_refused_before_is_not_held() -> None:
    """A quarantined endpoint that vanishes is gone, even on an empty list."""
    stage = stage_of("abc")
    stage.call("refused", on="c")
    stage.lists("")
    assert repr(stage.cluster) == "<Cluster orders: 2 held>"


@pytest.mark.scenario("S-08", "S-21")
def test_the_restart_of_a_registry_costs_nothing() -> None:
    """Empty first, then one by one: everybody serves all the time."""
    stage = stage_of("abc")
    stage.cluster.registry_disconnected(stage.now)
    stage.wait(5, alive="abc")
    stage.cluster.registry_connected(stage.now)
    for listed in ("", "a", "ab", "abc"):
        stage.lists(listed)
        stage.wait(5, alive="abc")
        assert stage.chosen(200) == {"a", "b", "c"}
    assert repr(stage.cluster) == "<Cluster orders: 3 available>"


def test_the_operator_can_drop_what_is_held() -> None:
    """Obey lets all go at once."""
    stage = stage_of("abc")
    stage.lists("a")
    events = stage.cluster.obey(stage.now)
    assert [event.kind for event in events] == ["obey_ordered", *["hold_ended", "endpoint_removed"] * 2]
    assert repr(stage.cluster) == "<Cluster orders: 1 available>"


@pytest.mark.scenario("S-04")
def test_an_obeyed_empty_list_leaves_nobody() -> None:
    """With `on_empty: obey` a false empty list is believed: the operator asked for it."""
    stage = stage_of("abc", protection=Protection(on_empty=OnEmpty.OBEY))
    stage.lists("")
    assert repr(stage.cluster) == "<Cluster orders: no instances>"


def test_without_probes_held_ones_are_asked_by_traffic_only() -> None:
    """`probe: none` dials nobody."""
    stage = stage_of("abc", protection=Protection(probe=Probe.NONE))
    stage.lists("")
    stage.wait(5)
    assert repr(stage.cluster) == "<Cluster orders: 3 held>"
    assert not stage.cluster.stats.probes


# Start


def test_a_list_from_disk_serves_after_a_dial() -> None:
    """Known from disk: has_list opens, each endpoint is probed first."""
    stage = Stage()
    stage.lists("ab", origin=Origin.DISK, epoch=0, age=3600.0)
    assert (stage.cluster.has_list, stage.cluster.origin) == (True, Origin.DISK)
    assert repr(stage.cluster) == "<Cluster orders: 2 quarantined>"
    assert stage.cluster.confirmed_at == stage.now - 3600.0
    stage.probe("ab")
    assert repr(stage.cluster) == "<Cluster orders: 2 available>"


def test_the_first_push_is_judged_against_the_disk() -> None:
    """A restarted server that says empty first takes nothing away."""
    stage = Stage()
    stage.lists("ab", origin=Origin.DISK, epoch=0)
    stage.probe("ab")
    stage.cluster.registry_connected(stage.now)
    stage.lists("")
    assert repr(stage.cluster) == "<Cluster orders: 2 held>"
    stage.lists("a")
    assert repr(stage.cluster) == "<Cluster orders: 1 available, 1 held>"


def test_the_first_push_confirms_what_the_disk_named() -> None:
    """Listed by the registry too: no dial is waited for any more, nor for those it adds."""
    stage = Stage()
    stage.lists("ab", origin=Origin.DISK, epoch=0)
    stage.lists("abc")
    assert repr(stage.cluster) == "<Cluster orders: 3 available>"


def test_a_first_push_that_says_what_the_disk_said_confirms_it_too() -> None:
    """The very same list is still the first of the registry: no dial is waited for."""
    stage = Stage()
    stage.lists("ab", origin=Origin.DISK, epoch=0)
    stage.lists("ab")
    assert repr(stage.cluster) == "<Cluster orders: 2 available>"
    assert stage.cluster.origin is Origin.NACOS


def test_a_list_from_disk_comes_too_late_after_the_registry() -> None:
    """It ranks below any session's list and is counted as stale."""
    stage = stage_of("ab")
    stage.lists("c", origin=Origin.DISK, epoch=0)
    assert repr(stage.cluster) == "<Cluster orders: 2 available>"
    assert stage.cluster.stats.pushes["stale"] == 1


def test_a_late_list_of_an_older_session_is_stale() -> None:
    """Order is epoch, then sequence."""
    stage = Stage()
    stage.lists("ab", epoch=2)
    stage.lists("c", epoch=1)
    assert stage.events[-1].detail["result"] == "stale"
    assert set(stage.cluster.endpoints) == {at("a"), at("b")}


def test_an_empty_first_list_counts_after_five_seconds() -> None:
    """A restarted registry says empty first; the latch waits for the second word."""
    stage = Stage()
    stage.lists("")
    stage.wait(4.9)
    assert not stage.cluster.has_list
    stage.wait(0.2)
    assert stage.cluster.has_list


def test_a_first_list_within_the_five_seconds_serves_at_once() -> None:
    """Empty, then two instances: they are the first list."""
    stage = Stage()
    stage.lists("")
    stage.wait(2)
    stage.lists("ab")
    assert stage.cluster.has_list
    assert repr(stage.cluster) == "<Cluster orders: 2 available>"


def test_static_instances_serve_at_once_and_have_no_age() -> None:
    """There is no registry to confirm them."""
    stage = Stage()
    stage.lists("ab", origin=Origin.STATIC, epoch=0)
    assert repr(stage.cluster) == "<Cluster orders: 2 available>"
    assert stage.cluster.confirmed_at is None


# What is told


def test_the_same_answer_renews_the_age_and_changes_nothing() -> None:
    """Of the queries that say what the push said the first is told, since it may confirm it; all are counted."""
    stage = stage_of("ab")
    stage.now += 7
    (told,) = stage.lists("ba", via=Via.QUERY)
    assert (told.detail["result"], told.detail["instances"]) == ("unchanged", None)
    assert stage.lists("ab", via=Via.QUERY) == []
    assert stage.cluster.confirmed_at == stage.now
    assert stage.cluster.stats.pushes == {"applied": 1, "unchanged": 2}
    stage.lists("a")
    assert len(stage.lists("a", via=Via.QUERY)) == 1


def test_a_malformed_list_is_counted_and_changes_nothing() -> None:
    """An error is no empty list."""
    stage = stage_of("ab")
    assert stage.cluster.malformed(stage.now) == []
    assert stage.cluster.stats.pushes["malformed"] == 1
    assert repr(stage.cluster) == "<Cluster orders: 2 available>"


def test_a_push_event_has_the_whole_list_and_names_fifty_in_a_line() -> None:
    """A timeline can be replayed; a line of the event log stays readable."""
    stage = Stage(protection=QUIET)
    events = stage.lists([instance("a", weight=2.5), *(instance(chr(ord("b") + i)) for i in range(80))])
    assert events[0].detail["offered"] == len(events[0].detail["instances"]) == 81
    assert events[0].detail["instances"][0] == "10.0.0.1:80*2.5"
    assert len(events[0].brief["instances"]) == 50
    assert "10.0.0.81" not in events[0].text


def test_an_unchanged_list_that_our_filters_cut_is_told_when_the_rest_of_it_changed() -> None:
    """With `clusters: [A]` nothing is new for us, but it would be for a configuration without that filter."""
    stage = Stage(discovery=Discovery(clusters=("A",)))
    stage.lists([instance("a", cluster="A"), instance("b", cluster="B")])
    (told,) = stage.lists([instance("a", cluster="A"), instance("c", cluster="B")], via=Via.QUERY)
    assert told.detail["result"] == "unchanged"
    assert told.detail["instances"] == ("10.0.0.1:80*1;cluster=A", "10.0.0.3:80*1;cluster=B")
    assert stage.lists([instance("c", cluster="B"), instance("a", cluster="A")], via=Via.QUERY) == []
    (flagged,) = stage.lists([instance("a", cluster="A"), instance("c", cluster="B")], via=Via.QUERY, protect=True)
    assert flagged.detail["protect"] is True


# What nodes answer while a list is doubted


def hear(stage: Stage, view: View, *instances: Instance) -> None:
    stage.clear()
    stage.events += stage.cluster.hear(Statement("orders", view, "10.0.0.9:8848", instances, stage.now), stage.now)


def test_a_second_opinion_is_told_and_heeded() -> None:
    """Of a, b and c held the other node lists b and, useless to us, c without weight: b alone is held on."""
    stage = Stage(protection=Protection(confirm=60.0, max_hold=600.0))
    stage.cluster.registry_connected(stage.now, second_node=True)
    stage.lists("abc")
    stage.lists("")
    stage.lists("", via=Via.QUERY)
    hear(stage, View.OFFERED, instance("b"), instance("c", weight=0.0))
    assert stage.events == [
        SecondOpinionHeard(service="orders", server="10.0.0.9:8848", verdict="partly", misses=2, lists=(at("b"),))
    ]
    stage.wait(61, alive="abc")
    assert set(stage.cluster.endpoints) == {at("b")}
    assert stage.cluster.stats.holds_ended == {"confirmed": 2}


def test_that_no_other_node_answers_is_told_once_and_ends_a_shrink_in_time() -> None:
    """Three questions in vain: the operator reads whom nobody reached, and why the shrink was believed at `confirm`."""
    stage = stage_of("abc", protection=Protection(confirm=60.0, max_hold=600.0))
    stage.cluster.registry_connected(stage.now, second_node=True)
    stage.lists("a")
    stage.lists("a", via=Via.QUERY)
    stage.clear()
    silence = Silence("orders", ("10.0.0.9:8848", "10.0.0.10:8848"), stage.now)
    for _ in range(5):
        stage.events += stage.cluster.hear(silence, stage.now)
    assert stage.events == [
        SecondOpinionHeard(service="orders", server="10.0.0.9:8848,10.0.0.10:8848", verdict="silent")
    ]
    stage.wait(59, alive="abc")
    assert stage.state("b") is State.HELD
    stage.wait(2, alive="abc")
    assert set(stage.cluster.endpoints) == {at("a")}
    assert stage.cluster.stats.holds_ended == {"confirmed": 2}


def test_the_filters_hold_for_a_second_opinion_too() -> None:
    """An address that the other node lists in another cluster is missing for us."""
    stage = stage_of("ab", discovery=Discovery(clusters=("DEFAULT",)))
    stage.cluster.registry_connected(stage.now, second_node=True)
    stage.lists("")
    hear(stage, View.OFFERED, instance("a", cluster="B"), instance("b", cluster="B"))
    (told,) = stage.events
    assert isinstance(told, SecondOpinionHeard)
    assert told.verdict == "agrees"


def test_the_last_instance_switched_off_is_no_ghost() -> None:
    """The list is empty, the list for administrators shows it disabled: let go at once, though it answers."""
    stage = stage_of("a")
    stage.lists("")
    stage.wait(0.5, alive="a")
    assert stage.state("a") is State.HELD
    hear(stage, View.EVERYTHING, instance("a", enabled=False))
    assert stage.kinds() == ["second_opinion", "hold_ended", "endpoint_removed"]
    assert stage.events[0].detail["verdict"] == "switched_off"
    assert stage.events[0].detail["lists"] == (at("a"),)
    assert isinstance(stage.events[1], HoldEnded)
    assert stage.events[1].by == "confirmed"
    assert not stage.cluster.usable(stage.now)
    stage.lists("a")
    assert stage.cluster.endpoints.keys() == {at("a")}


def test_what_administrators_see_switched_on_is_held_on() -> None:
    """Listed there, enabled: the doubt stays, and nothing is told."""
    stage = stage_of("ab")
    stage.lists("")
    hear(stage, View.EVERYTHING, instance("a"), instance("b"))
    assert stage.events == []
    assert stage.state("a") is State.HELD
