"""What is compared."""

from typing import Any

import pytest

from sidecar.cluster import events
from sidecar.cluster.events import Event, HoldEnded, Probed, PushRefused
from sidecar.replay.decision import BY_ANSWERS, COMPARED, Decision, decision, decisions, without_echoes

A, B = "10.0.0.1:80", "10.0.0.2:80"

CLASSES: dict[str, type[Event]] = {
    one.kind: one
    for one in vars(events).values()
    if isinstance(one, type) and issubclass(one, Event) and one is not Event
}

FACTS = {
    "push",
    "probe",
    "second_opinion",
    "hold_ordered",
    "obey_ordered",
    "registry_connected",
    "registry_disconnected",
    "endpoint_restored",
}
"""Kinds that are fed, not compared; an operator's `endpoint_ejected` besides."""


@pytest.mark.parametrize("kind", COMPARED)
def test_what_is_compared_are_fields_of_the_event(kind: str) -> None:
    """A field that is renamed cannot silently be equal on both sides for ever."""
    assert set(COMPARED[kind]) <= CLASSES[kind].__dataclass_fields__.keys()


def test_every_kind_about_a_service_is_a_fact_or_compared_or_left_out() -> None:
    """A new kind has to be put into one of them."""
    about_the_process = {
        "starting", "listening", "ready", "reload_applied", "reload_rejected", "snapshot_write_failed",
        "access_log_dropped", "loop_lag", "drain_started", "drain_withdrawn", "drain_ended", "state_dump", "crash",
        "redirect_refused",
    }  # fmt: skip
    assert CLASSES.keys() == FACTS | COMPARED.keys() | BY_ANSWERS | about_the_process


def test_a_decision_is_the_same_whatever_follows_from_chance() -> None:
    """Who was let go, and why; how many were left depends on the order of a set."""
    told = [HoldEnded(service="orders", endpoint=A, by="gone", left=left) for left in (0, 7)]
    one, other = decisions(told, 10.0, by_time=False)
    assert one.same_as == other.same_as
    assert one.facts == (("by", "gone"),)


def test_facts_are_no_decisions() -> None:
    """A probe is what happened, not what was made of it."""
    told = decisions([Probed(service="orders", endpoint=A, result="ok")], 10.0, by_time=True)
    assert told == []


def test_the_same_event_is_the_same_decision_from_a_file_and_from_the_core() -> None:
    """One as JSON read back, the other as it is returned."""
    event = PushRefused(service="orders", why="empty", kept=3, offered=0)
    detail: dict[str, Any] = {"offered": 0, "kept": 3, "why": "empty"}
    assert decisions([event], 10.0, by_time=True) == [decision(10.0, "push_refused", None, detail, by_time=True)]


def test_the_removal_after_a_hold_is_no_decision_of_its_own() -> None:
    """That of another endpoint, or at another moment, is."""
    ended = Decision(10.0, "hold_ended", A, (("by", "gone"),))
    removed = [
        Decision(10.0, "endpoint_removed", A),
        Decision(10.0, "endpoint_removed", B),
        Decision(11.0, "endpoint_removed", A),
    ]
    assert without_echoes([ended, *removed]) == [ended, *removed[1:]]
