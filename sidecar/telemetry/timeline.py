"""The last events in memory, numbered, so that a poller can tell whether it missed some."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sidecar.cluster.events import Event

SIZE = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """One event and when it happened: `wall` seconds since the epoch for people, `mono` for differences."""

    seq: int
    wall: float
    mono: float
    event: Event


@dataclass(frozen=True, slots=True)
class Selection:
    """Entries, oldest first; a poller asks on with `since=next`. `dropped`: numbers from `since` on that are no longer kept."""

    entries: tuple[Entry, ...]
    next: int
    dropped: int


class Timeline:
    """A ring: the oldest entry makes room for the newest."""

    __slots__ = ("_entries", "_next")

    def __init__(self, size: int = SIZE) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._next = 1

    def __repr__(self) -> str:
        return f"<Timeline {len(self._entries)} of {self._next - 1}>"

    def append(self, event: Event, wall: float, mono: float) -> Entry:
        """Numbers the event and keeps it."""
        entry = Entry(self._next, wall, mono, event)
        self._entries.append(entry)
        self._next += 1
        return entry

    def select(
        self, *, newest: int = 100, since: int | None = None, service: str | None = None, kind: str | None = None
    ) -> Selection:
        """The newest entries that match, with `seq >= since`."""
        first = 1 if since is None else max(since, 1)
        matching = (
            entry
            for entry in self._newest_first(first)
            if (service is None or entry.event.service == service) and (kind is None or entry.event.kind == kind)
        )
        entries = tuple(islice(matching, newest))[::-1]
        oldest_kept = self._next - len(self._entries)
        return Selection(entries, self._next, max(0, oldest_kept - first))

    def _newest_first(self, first: int) -> Iterator[Entry]:
        for entry in reversed(self._entries):
            if entry.seq < first:
                return
            yield entry
