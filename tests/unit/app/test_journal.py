"""Claims about where events go."""

from typing import cast

from sidecar.app.journal import Journal
from sidecar.cluster.events import Event, PanicEntered, PanicLeft, Probed
from sidecar.telemetry.logs import EventLog
from sidecar.telemetry.timeline import Timeline


class _Log:
    """An event log that remembers."""

    def __init__(self) -> None:
        self.written: list[Event] = []

    def write(self, event: Event) -> None:
        self.written.append(event)


def _journal() -> tuple[Journal, _Log]:
    log = _Log()
    return Journal(cast("EventLog", log), Timeline(), lambda: 12.5), log


def test_every_event_is_kept_and_printed_in_order() -> None:
    """Timeline and event log see the same events in the same order, stamped by the given clock."""
    journal, log = _journal()
    events = [PanicEntered(service="orders"), PanicLeft(service="orders")]
    journal.emit(events)
    entries = journal.timeline.select().entries
    assert log.written == events
    assert [entry.event for entry in entries] == events
    assert {entry.mono for entry in entries} == {12.5}


def test_a_crash_is_told_with_its_traceback() -> None:
    """An error of ours is one event with the error's name and where it came from."""
    journal, log = _journal()
    try:
        int("a bug")
    except ValueError as error:
        journal.crash(error)
    (crash,) = log.written
    assert crash.kind == "crash"
    assert crash.detail["error"] == "ValueError: invalid literal for int() with base 10: 'a bug'"
    assert "test_journal.py" in crash.detail["traceback"]


def test_what_the_timeline_has_no_room_for_is_printed_all_the_same() -> None:
    """The same result of the same endpoint again and again: kept once, each time in the event log."""
    journal, log = _journal()
    for _ in range(3):
        journal.emit([Probed(service="orders", endpoint="10.0.0.1:80", result="ok")])
    assert len(journal.timeline.select().entries) == 1
    assert len(log.written) == 3
