"""Where every event goes: the event log for people, the timeline for /events."""

import traceback
from collections.abc import Callable, Sequence

from sidecar import clock
from sidecar.cluster.events import Crash, Event
from sidecar.telemetry.logs import EventLog
from sidecar.telemetry.timeline import Timeline
from sidecar.telemetry.worth import Worth


class Journal:
    """Takes events in the order in which they happened."""

    def __init__(self, log: EventLog, timeline: Timeline, now: Callable[[], float]) -> None:
        self.log = log
        self.timeline = timeline
        self._now = now
        self._worth = Worth()

    def emit(self, events: Sequence[Event]) -> None:
        """Prints each event and keeps those that the timeline has room for, stamped with both clocks."""
        if events:
            wall, mono = clock.wall(), self._now()
            for event in self._worth.keeping(events, mono):
                self.timeline.append(event, wall, mono)
            for event in events:
                self.log.write(event)

    def crash(self, error: BaseException) -> None:
        """Tells of an error of ours, with its traceback."""
        told = "".join(traceback.format_exception(error))
        self.emit([Crash(error=f"{type(error).__name__}: {error}", traceback=told)])
