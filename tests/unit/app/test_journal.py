"""Claims about where events go."""

from typing import cast

from sidecar.app.journal import Journal
from sidecar.cluster.events import Event, PanicEntered, PanicLeft, Probed, Rescue
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


def test_probes_and_rescues_of_one_kind_do_not_fill_the_timeline() -> None:
    """The same probe result of the same endpoint is kept once in ten seconds, another result at once; the log has all."""
    log, clock = _Log(), [100.0]
    journal = Journal(cast("EventLog", log), Timeline(), lambda: clock[0])
    for _ in range(12):
        journal.emit([Probed(service="orders", endpoint="10.0.0.1:80", result="ok")])
        clock[0] += 1.0
    journal.emit([Probed(service="orders", endpoint="10.0.0.1:80", result="refused")])
    journal.emit([Rescue(service="orders", endpoint="10.0.0.1:80", by="guard", attempts=1)] * 3)
    kept = [entry.event.detail for entry in journal.timeline.select().entries]
    assert [one.get("result", one.get("by")) for one in kept] == ["ok", "ok", "refused", "guard"]
    assert len(log.written) == 16
