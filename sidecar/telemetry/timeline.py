"""The last events in memory, numbered, so that a poller can tell whether it missed some.

Events of pushes bring their lists. Those are kept too, as long as all lists together are not too long: then the service
with the most gives away its oldest, so that a service of thousands does not take the history of the small ones.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from sidecar.cluster.events import Event, PushArrived

SIZE = 4096

LISTED = 50_000
"""Instances in all lists that are kept. Where lists share what did not change, as they mostly do, that is 0.4 MB of
references; 20 MB if every list brought nothing but new instances, with metadata of two entries (393 bytes each)."""


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

    __slots__ = ("_entries", "_lists", "_next")

    def __init__(self, size: int = SIZE, *, listed: int = LISTED) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._lists = _Lists(listed)
        self._next = 1

    def __repr__(self) -> str:
        return f"<Timeline {len(self._entries)} of {self._next - 1}>"

    def append(self, event: Event, wall: float, mono: float) -> Entry:
        """Numbers the event and keeps it."""
        entry = Entry(self._next, wall, mono, event)
        if len(self._entries) == self._entries.maxlen:
            self._lists.forget(self._entries[0])
        self._entries.append(entry)
        self._next += 1
        for seq in self._lists.keep(entry):
            self._cut(seq)
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
        return Selection(entries, self._next, max(0, self._oldest - first))

    @property
    def _oldest(self) -> int:
        return self._next - len(self._entries)

    def _newest_first(self, first: int) -> Iterator[Entry]:
        for entry in reversed(self._entries):
            if entry.seq < first:
                return
            yield entry

    def _cut(self, seq: int) -> None:
        place = seq - self._oldest
        entry = self._entries[place]
        if isinstance(entry.event, PushArrived):
            self._entries[place] = replace(entry, event=replace(entry.event, instances=None, cut=True))


class _Lists:
    """How long the lists of each service are that are kept, and under which numbers."""

    __slots__ = ("_kept", "_most", "_of", "_total")

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str | None, deque[tuple[int, int]]] = {}
        self._of: dict[str | None, int] = {}
        self._total = 0

    def keep(self, entry: Entry) -> Iterator[int]:
        """Takes note of the entry's list, if it has one; yields the numbers of those that have to go for it."""
        length = _length(entry.event)
        if length:
            service = entry.event.service
            self._kept.setdefault(service, deque()).append((entry.seq, length))
            self._count(service, length)
        while self._total > self._most:
            yield self._drop(max(self._of, key=self._of.__getitem__))

    def forget(self, entry: Entry) -> None:
        """The entry leaves the ring, and its list with it."""
        if _length(entry.event):
            self._drop(entry.event.service)

    def _drop(self, service: str | None) -> int:
        """The oldest list of this service goes."""
        seq, length = self._kept[service].popleft()
        self._count(service, -length)
        return seq

    def _count(self, service: str | None, more: int) -> None:
        self._of[service] = self._of.get(service, 0) + more
        self._total += more


def _length(event: Event) -> int:
    return len(event.instances) if isinstance(event, PushArrived) and event.instances else 0
