"""Events as people and programs read them."""

import pytest

from sidecar.cluster import events
from sidecar.cluster.events import (
    Event,
    Ghost,
    HoldEnded,
    Level,
    PushRefused,
    Ready,
    RegistryConnected,
    SecondOpinionHeard,
    StateDump,
)

KINDS = [
    "starting",
    "listening",
    "ready",
    "registry_connected",
    "registry_disconnected",
    "push",
    "snapshot_applied",
    "push_refused",
    "hold_ended",
    "endpoint_added",
    "endpoint_removed",
    "endpoint_is_self",
    "endpoint_leaving",
    "zombie",
    "ghost",
    "probe",
    "rescue",
    "endpoint_quarantined",
    "endpoint_stalled",
    "endpoint_recovered",
    "endpoint_ejected",
    "endpoint_restored",
    "ejection_suppressed",
    "panic_entered",
    "panic_left",
    "reload_applied",
    "reload_rejected",
    "snapshot_write_failed",
    "access_log_dropped",
    "loop_lag",
    "drain_started",
    "drain_ended",
    "state_dump",
    "crash",
]
"""The contract's list."""

BEYOND = ["hold_ordered", "obey_ordered", "redirect_refused", "second_opinion", "list_withheld", "drain_withdrawn"]
"""What it lacks (docs/design.md, Deviations)."""

CLASSES = [c for c in vars(events).values() if isinstance(c, type) and issubclass(c, Event) and c is not Event]


def test_kinds_are_those_of_the_contract_each_once() -> None:
    """No class has a kind that operators were not told of, and no two share one."""
    kinds = [c.kind for c in CLASSES]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) == set(KINDS + BEYOND)


@pytest.mark.parametrize("event_class", CLASSES)
def test_every_event_says_what_it_is(event_class: type[Event]) -> None:
    """Each class has a level and a sentence of documentation."""
    assert isinstance(event_class.level, Level)
    assert event_class.__doc__


def test_a_text_names_whom_it_concerns_and_the_facts() -> None:
    """Service, endpoint, kind, then the fields in order of declaration."""
    event = HoldEnded(service="orders", endpoint="10.0.0.1:80", by="gone", left=2)
    assert event.text == "orders 10.0.0.1:80: hold ended by=gone left=2"
    assert event.detail == {"by": "gone", "left": 2}


def test_a_text_without_subject_starts_with_the_kind() -> None:
    """Events of the process concern no service."""
    assert Ready(took="0.8s").text == "ready took=0.8s"


def test_a_text_is_in_no_language_of_programs() -> None:
    """Truth in small letters, lists with commas, seconds without their noise; what is not known is not said."""
    connected = RegistryConnected(server="10.0.0.9:8848", epoch=1)
    assert connected.text == "registry connected server=10.0.0.9:8848 epoch=1 second_node=false"
    heard = SecondOpinionHeard(server="10.0.0.9:8848", verdict="partly", misses=1, lists=("10.0.0.1:80", "10.0.0.2:80"))
    assert heard.text.endswith(" misses=1 lists=10.0.0.1:80, 10.0.0.2:80")
    ghost = Ghost(service="orders", endpoint="10.0.0.1:80", proof="probe", unlisted_s=0.04752443100005621)
    assert ghost.text == "orders 10.0.0.1:80: ghost proof=probe unlisted_s=0.048"
    assert StateDump(state={"clusters": []}).text == "state dump"


@pytest.mark.parametrize(
    ("offered", "kept", "said"),
    [
        (0, 2, "empty list refused, 2 instances held"),
        (0, 1, "empty list refused, 1 instance held"),
        (3, 9, "list of 3 refused, 9 instances held"),
    ],
)
def test_a_refused_list_is_a_sentence(offered: int, kept: int, said: str) -> None:
    """As the contract has it; why it was refused stands in the detail."""
    assert PushRefused(service="orders", why="empty", kept=kept, offered=offered).text == f"orders: {said}"
