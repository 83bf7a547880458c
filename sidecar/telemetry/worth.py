"""Which events the timeline keeps: the ring is small, and some events could fill it by themselves within a minute.

A held endpoint is probed each second, and a call it answers is a rescue: of these one in a while is kept for each
endpoint, and every probe that ends otherwise than the one before. A list may bring or take thousands of instances, a
slice after the other: of one moment, and of what lists bring about within a second, so many events of a kind are kept;
`snapshot_applied` and the list itself say the rest. Counters and the event log have them all.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

from sidecar.cluster.events import (
    EndpointAdded,
    EndpointQuarantined,
    EndpointRecovered,
    EndpointRemoved,
    Event,
    HoldEnded,
    Probed,
    Rescue,
)

REPEATS_AFTER = 60.0
"""Seconds until a probe or rescue like one that is kept is kept again."""

AT_ONCE = 64
"""Events of one kind and service that are kept of one moment, or of one second of lists."""

A_WHILE = 1.0
"""Seconds from the first of these events on; a list of five thousand takes a few tenths."""

_REMEMBERED = 16384

_BY_LISTS = (EndpointAdded, EndpointRemoved, HoldEnded)


class Worth:
    """Remembers what was kept lately."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[str, float]] = {}
        self._by_lists: Counter[tuple[str, str | None]] = Counter()
        self._by_lists_since = -math.inf

    def keeping(self, events: Sequence[Event], now: float) -> Iterator[Event]:
        """Those of one moment that are to be kept."""
        if now - self._by_lists_since >= A_WHILE:
            self._by_lists.clear()
            self._by_lists_since = now
        at_once: Counter[tuple[str, str | None]] = Counter()
        for event in events:
            group = event.kind, event.service
            masses = self._by_lists if isinstance(event, _BY_LISTS) else at_once
            masses[group] += 1
            if masses[group] <= AT_ONCE and not self._repeats(event, now):
                yield event

    def _repeats(self, event: Event, now: float) -> bool:
        match event:
            case Probed():
                return self._again(("probe", event.service, event.endpoint), event.result, now)
            case Rescue():
                return self._again(("rescue", event.service, event.endpoint, event.by), event.by, now)
            case EndpointQuarantined() | EndpointRecovered() | EndpointRemoved() | HoldEnded():
                # What a dial showed is told by these: the next probe is news, whatever the last one said.
                self._kept.pop(("probe", event.service, event.endpoint), None)
        return False

    def _again(self, like: Hashable, result: str, now: float) -> bool:
        before, at = self._kept.get(like, ("", 0.0))
        if result == before and now - at < REPEATS_AFTER:
            return True
        if len(self._kept) >= _REMEMBERED:
            self._kept.clear()
        self._kept[like] = result, now
        return False
