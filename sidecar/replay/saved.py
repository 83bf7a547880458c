"""A saved timeline, as it was served by `/events`: read and checked once, so that nobody else has to."""

import json
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

LONGEST = 366 * 86_400.0
"""Seconds from the first event to the last; all of them are lived through."""

_DIGITS = 18
"""Of a whole number; no count of ours has more."""

REMEDY = "save one with: curl -s '127.0.0.1:19901/events?n=4096' > events.json"


class NotATimelineError(ValueError):
    """The text is no body of `/events`; `place` is the line and column of what is no JSON, as `:3:7`."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: `wall` seconds since the epoch, `mono` seconds of the recording process's own clock."""

    seq: int
    wall: float
    mono: float
    kind: str
    service: str | None = None
    endpoint: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    def fact(self, name: str, *kinds: type) -> Any:
        """A field of the detail that has to be of one of these types."""
        value = self.detail.get(name)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise NotATimelineError(f"event {self.seq}: detail.{name}: expected {_words(*kinds)}, got {value!r}")
        return value


class Timeline:
    """Entries, oldest first; at least one."""

    __slots__ = ("_monos", "entries")

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self._monos = [entry.mono for entry in entries]

    def __repr__(self) -> str:
        return f"<Timeline of {len(self.entries)} events, {'whole' if self.whole else 'without its beginning'}>"

    @property
    def whole(self) -> bool:
        """Whether it begins with the process."""
        return self.entries[0].seq == 1

    @property
    def missing(self) -> int:
        """Numbers that are left out between the first and the last: it was saved through a filter."""
        return self.entries[-1].seq - self.entries[0].seq + 1 - len(self.entries)

    def wall(self, mono: float) -> float:
        """When that was, for people; the wall clock may have been set in between."""
        entry = self.entries[max(0, bisect_right(self._monos, mono) - 1)]
        return entry.wall + mono - entry.mono


def parse(text: str) -> Timeline:
    """Raises `NotATimelineError`."""
    try:
        body = json.loads(text, parse_constant=_number, parse_float=_number, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        raise NotATimelineError(f"not JSON: {error.msg}", f":{error.lineno}:{error.colno}") from error
    except RecursionError as error:
        raise NotATimelineError("not a body of /events: nested too deeply") from error
    events = body.get("events") if isinstance(body, dict) else None
    if not isinstance(events, list):
        raise NotATimelineError('not a body of /events: expected an object with a list "events"')
    if not events:
        raise NotATimelineError("no event is in it")
    entries = tuple(_entry(place, one) for place, one in enumerate(events))
    for place, (entry, following) in enumerate(pairwise(entries)):
        if following.seq <= entry.seq or following.mono < entry.mono:
            raise NotATimelineError(
                f"events[{place + 1}]: expected to come after the one before it, number {entry.seq}"
            )
    if entries[-1].mono - entries[0].mono > LONGEST:
        raise NotATimelineError(f"events[{len(entries) - 1}].mono_s: expected less than a year after the first")
    return Timeline(entries)


def _entry(place: int, event: Any) -> Entry:
    if not isinstance(event, dict):
        raise NotATimelineError(f"events[{place}]: expected an object, got {event!r}")

    def given(name: str, *kinds: type) -> Any:
        value = event.get(name)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise NotATimelineError(f"events[{place}].{name}: expected {_words(*kinds)}, got {value!r}")
        return value

    at = given("at", str)
    try:
        wall = datetime.fromisoformat(at)
    except ValueError:
        raise NotATimelineError(f"events[{place}].at: expected a time in RFC 3339, got {at!r}") from None
    return Entry(
        seq=given("seq", int),
        wall=(wall if wall.tzinfo else wall.replace(tzinfo=UTC)).timestamp(),
        mono=float(given("mono_s", int, float)),
        kind=given("kind", str),
        service=given("service", str, type(None)),
        endpoint=given("endpoint", str, type(None)),
        detail=given("detail", dict),
    )


_NAMES: Mapping[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _number(word: str) -> float:
    """JSON as Python reads it has NaN and Infinity, and numbers that become it."""
    number = float(word)
    if not math.isfinite(number):
        raise NotATimelineError(f"not a body of /events: {word} is no number of ours")
    return number


def _whole_number(word: str) -> int:
    if len(word) > _DIGITS:
        raise NotATimelineError(f"not a body of /events: {word[:_DIGITS]}… is no number of ours")
    return int(word)


def _words(*kinds: type) -> str:
    return " or ".join(_NAMES[kind] for kind in kinds if not (kind is int and float in kinds))
