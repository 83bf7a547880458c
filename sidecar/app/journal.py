"""Where every event goes: the event log for people, the timeline for /events.

The timeline is a ring, and two kinds could fill it by themselves within a minute: a held endpoint is probed each
second, and a call it answers is a rescue. Of these the timeline keeps one a while for each endpoint and outcome, so
that what explains them is still there; counters and the event log (level debug) have them all.
"""

import traceback
from collections.abc import Callable, Hashable, Sequence

from sidecar import clock
from sidecar.cluster.events import Crash, Event, Probed, Rescue
from sidecar.telemetry.logs import EventLog
from sidecar.telemetry.timeline import Timeline

REPEATS_AFTER = 10.0
"""Seconds until a probe or rescue like one that is kept is kept again."""

_REMEMBERED = 4096


class Journal:
    """Takes events in the order in which they happened."""

    def __init__(self, log: EventLog, timeline: Timeline, now: Callable[[], float]) -> None:
        self.log = log
        self.timeline = timeline
        self._now = now
        self._kept_at: dict[Hashable, float] = {}

    def emit(self, events: Sequence[Event]) -> None:
        """Keeps and prints each event, stamped with both clocks."""
        if events:
            wall, mono = clock.wall(), self._now()
            for event in events:
                if not self._repeats(event, mono):
                    self.timeline.append(event, wall, mono)
                self.log.write(event)

    def crash(self, error: BaseException) -> None:
        """Tells of an error of ours, with its traceback."""
        told = "".join(traceback.format_exception(error))
        self.emit([Crash(error=f"{type(error).__name__}: {error}", traceback=told)])

    def _repeats(self, event: Event, now: float) -> bool:
        """Whether the timeline has one like it from just now."""
        match event:
            case Probed():
                like: Hashable = (event.service, event.endpoint, event.result)
            case Rescue():
                like = (event.service, event.endpoint, event.by)
            case _:
                return False
        if now - self._kept_at.get(like, float("-inf")) < REPEATS_AFTER:
            return True
        if len(self._kept_at) >= _REMEMBERED:
            self._kept_at.clear()
        self._kept_at[like] = now
        return False
