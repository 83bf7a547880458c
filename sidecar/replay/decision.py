"""Decisions: the kinds of events that are compared, and by which of their facts.

Not compared are facts (they are what is replayed), times to come (back-offs have jitter), and everything that follows
from answers to calls, since calls are in no timeline: ejections, stalls, announcements, panic, rescues.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sidecar.cluster.events import Event

COMPARED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "push_refused": ("why", "kept", "offered"),
        "snapshot_applied": ("added", "removed", "changed"),
        "hold_ended": ("by",),
        "endpoint_added": (),
        "endpoint_removed": (),
        "endpoint_is_self": (),
        "endpoint_quarantined": ("reason",),
        "endpoint_recovered": (),
        "zombie": ("reason",),
        "ghost": (),
    }
)
"""Kinds of decisions that facts of a timeline lead to, and which fields of each are compared."""

BY_ANSWERS = frozenset(
    {
        "endpoint_leaving",
        "endpoint_stalled",
        "endpoint_ejected",
        "ejection_suppressed",
        "panic_entered",
        "panic_left",
        "rescue",
        "list_withheld",
    }
)
"""Kinds that follow from what calls met, or from what the app asked the façade."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided at `at`, seconds of the recording's clock; `facts` are those that are compared.

    `by_time`: not a fact brought it about, but time, or a probe that the recording did not make.
    """

    at: float
    kind: str
    endpoint: str | None = None
    facts: tuple[tuple[str, Any], ...] = ()
    by_time: bool = False

    @property
    def same_as(self) -> tuple[object, ...]:
        """What another has to have in common to be the same decision, its time apart."""
        return self.kind, self.endpoint, self.facts


def decision(
    at: float, kind: str, endpoint: str | None, detail: Mapping[str, Any], *, by_time: bool = False
) -> Decision | None:
    """The decision that an event tells of; None when it is none."""
    compared = COMPARED.get(kind)
    if compared is None:
        return None
    return Decision(at, kind, endpoint, tuple((name, detail.get(name)) for name in compared), by_time=by_time)


def decisions(events: Iterable[Event], at: float, *, by_time: bool) -> list[Decision]:
    """Those that the core has just taken."""
    found = (decision(at, event.kind, event.endpoint, event.detail, by_time=by_time) for event in events)
    return [one for one in found if one is not None]


def without_echoes(found: Iterable[Decision]) -> list[Decision]:
    """The same without the removal of an endpoint whose hold has just ended: the end of the hold says it."""
    found = list(found)
    released = {(one.at, one.endpoint) for one in found if one.kind == "hold_ended"}
    return [one for one in found if one.kind != "endpoint_removed" or (one.at, one.endpoint) not in released]
