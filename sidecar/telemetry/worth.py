"""Which events the timeline keeps: the ring is small, and some events could fill it by themselves within a minute.

A held endpoint is probed each second, and a call it answers is a rescue: of these one in a while is kept for each
endpoint, and every probe that ends otherwise than the one before. A service may have thousands of endpoints: in each
minute so many events of a kind are kept about them, the list itself and `snapshot_applied` say the rest. Counters and
the event log have them all.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

from sidecar.cluster.events import (
    EndpointQuarantined,
    EndpointRecovered,
    EndpointRemoved,
    Event,
    HoldEnded,
    Probed,
    Rescue,
)

PROBE_AGAIN = 300.0
RESCUE_AGAIN = 60.0
"""Seconds until one that is like the last that was kept is kept again."""

WINDOW = 60.0
IN_A_WINDOW = 256
"""Events of one kind about the endpoints of one service that are kept in each minute of the clock."""

_REMEMBERED = 16384


class Worth:
    """Remembers what was kept lately."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[str, float]] = {}
        self._window = 0
        self._counts: Counter[tuple[str, str | None]] = Counter()

    def keeping(self, events: Sequence[Event], now: float) -> Iterator[Event]:
        """Those of one moment that are to be kept."""
        return (event for event in events if not self._repeats(event, now) and self._has_room(event, now))

    def _repeats(self, event: Event, now: float) -> bool:
        match event:
            case Probed():
                return self._again(("probe", event.service, event.endpoint), event.result, now, PROBE_AGAIN)
            case Rescue():
                return self._again(("rescue", event.service, event.endpoint, event.by), event.by, now, RESCUE_AGAIN)
            case EndpointQuarantined() | EndpointRecovered() | EndpointRemoved() | HoldEnded():
                # What a dial showed is told by these: the next probe is news, whatever the last one said.
                self._kept.pop(("probe", event.service, event.endpoint), None)
        return False

    def _again(self, like: Hashable, result: str, now: float, after: float) -> bool:
        before, at = self._kept.get(like, ("", 0.0))
        if result == before and now - at < after:
            return True
        if len(self._kept) >= _REMEMBERED:
            self._kept.clear()
        self._kept[like] = result, now
        return False

    def _has_room(self, event: Event, now: float) -> bool:
        if event.endpoint is None:
            return True
        window = window_of(now)
        if window != self._window:
            self._window = window
            self._counts.clear()
        group = event.kind, event.service
        self._counts[group] += 1
        return self._counts[group] <= IN_A_WINDOW


def window_of(now: float) -> int:
    """The minute that a time of the monotonic clock is in."""
    return int(now // WINDOW)
