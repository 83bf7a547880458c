"""Facts: what came from outside, read off the events that tell of it.

Dials are told by probes, and by what only a dial brings about: a call that was refused shows as `endpoint_quarantined`
or as a hold that is `gone`, one that was connected as `endpoint_recovered` or as a `ghost`.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from sidecar.cluster.instance import Instance, Origin, Push, Via
from sidecar.cluster.notation import read
from sidecar.errors import FAILURES, Failure, Sent
from sidecar.replay.dials import Dialled
from sidecar.replay.saved import Entry, NotATimelineError


@dataclass(frozen=True, slots=True)
class Listed:
    """A list came."""

    at: float
    push: Push


@dataclass(frozen=True, slots=True)
class Connected:
    """A registry session opened; `second_node`: there was another node to ask."""

    at: float
    second_node: bool


@dataclass(frozen=True, slots=True)
class Disconnected:
    """It was lost."""

    at: float


@dataclass(frozen=True, slots=True)
class Heard:
    """Another node answered: `verdict` is the word of the event, `lists` the held addresses that it is about."""

    at: float
    server: str
    verdict: str
    lists: frozenset[str]


class Order(enum.Enum):
    """What an operator may do to a service."""

    HOLD = "hold now"
    OBEY = "drop now"
    EJECT = "eject"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class Ordered:
    """The operator did something."""

    at: float
    what: Order
    address: str = ""
    seconds: float = 0.0


Fact = Listed | Connected | Disconnected | Dialled | Heard | Ordered


def fact(entry: Entry) -> Dialled | Heard | Ordered | None:
    """What an event about a service tells besides lists; None when it tells of no fact."""
    reader = _READERS.get(entry.kind)
    return reader(entry) if reader is not None else None


def instances(entry: Entry) -> tuple[Instance, ...]:
    """The list that the event of a push has."""
    listed = entry.fact("instances", list)
    if len(listed) != entry.fact("offered", int):
        raise NotATimelineError(f"event {entry.seq}: {len(listed)} of {entry.detail['offered']} instances are there")
    try:
        return tuple(read(one) for one in listed)
    except (ValueError, TypeError, AttributeError) as error:
        raise NotATimelineError(f"event {entry.seq}: detail.instances: {error}") from error


def push(entry: Entry, listed: tuple[Instance, ...]) -> Push:
    """The push that an event tells of."""
    try:
        origin, via = Origin(entry.fact("origin", str)), Via(entry.fact("via", str))
    except ValueError as error:
        raise NotATimelineError(f"event {entry.seq}: {error}") from error
    return Push(
        entry.service or "",
        listed,
        origin,
        epoch=entry.fact("epoch", int),
        sequence=entry.seq,
        via=via,
        protect=entry.fact("protect", bool, type(None)),
    )


_RESULTS: Mapping[str, str] = MappingProxyType(
    {"refused": "refused", "timeout": "connect_timeout", "unreachable": "unreachable"}
)
"""Results of probes in the words of `errors`."""


def _probed(entry: Entry) -> Dialled:
    result = entry.fact("result", str)
    return _dialled(entry, None if result == "ok" else _RESULTS.get(result, result), probe=True)


def _quarantined(entry: Entry) -> Dialled:
    return _dialled(entry, entry.fact("reason", str))


def _gone(entry: Entry) -> Dialled | None:
    return _dialled(entry, "refused") if entry.detail.get("by") == "gone" else None


def _reached(entry: Entry) -> Dialled:
    return _dialled(entry, None)


def _dialled(entry: Entry, reason: str | None, *, probe: bool = False) -> Dialled:
    return Dialled(entry.mono, entry.endpoint or "", _failure(reason), probe=probe)


def _failure(reason: str | None) -> Failure | None:
    """The row of a failed dial; a connection lost by a stalled endpoint counts as one (nothing was sent on it)."""
    if reason is None:
        return None
    known = FAILURES.get(reason, FAILURES["unreachable"])
    return known if known.sent is Sent.NOTHING else replace(known, sent=Sent.NOTHING)


def _heard(entry: Entry) -> Heard:
    lists = frozenset(map(str, entry.fact("lists", list)))
    return Heard(entry.mono, entry.fact("server", str), entry.fact("verdict", str), lists)


def _held(entry: Entry) -> Ordered:
    return Ordered(entry.mono, Order.HOLD, seconds=entry.fact("for_s", int, float))


def _obeyed(entry: Entry) -> Ordered:
    return Ordered(entry.mono, Order.OBEY)


def _ejected(entry: Entry) -> Ordered | None:
    if entry.detail.get("reason") != "operator":
        return None
    return Ordered(entry.mono, Order.EJECT, entry.endpoint or "", entry.fact("for_s", int, float))


def _restored(entry: Entry) -> Ordered | None:
    return Ordered(entry.mono, Order.RESTORE, entry.endpoint or "") if entry.detail.get("by") == "operator" else None


_READERS: Mapping[str, Callable[[Entry], Dialled | Heard | Ordered | None]] = MappingProxyType(
    {
        "probe": _probed,
        "endpoint_quarantined": _quarantined,
        "endpoint_recovered": _reached,
        "ghost": _reached,
        "hold_ended": _gone,
        "second_opinion": _heard,
        "hold_ordered": _held,
        "obey_ordered": _obeyed,
        "endpoint_ejected": _ejected,
        "endpoint_restored": _restored,
    }
)
