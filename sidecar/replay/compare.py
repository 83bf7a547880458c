"""Two courses of decisions laid side by side: what has no counterpart in the other, and what came at another time.

Why a tolerance: the application looks at what is due twenty times a second, and a busy machine comes late.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sidecar.replay.decision import Decision

TOLERANCE = 1.0
"""Seconds by which the same decision may be apart; the recording says how late it was beyond that (`loop_lag`)."""

MOMENT = 0.5
"""Seconds within which decisions are told together: a long list takes a while, so do the probes that it causes."""

SHIFTABLE = frozenset({"hold_ended", "zombie", "ghost", "endpoint_recovered"})
"""Kinds that time brings about: the same one earlier or later is one difference, not two."""


@dataclass(frozen=True, slots=True)
class Difference:
    """At `at`: what was `recorded` and is not decided `now`, and the reverse.

    `later`: the same decisions stand on both sides, and come so many seconds later now; earlier when it is negative.
    """

    at: float
    recorded: tuple[Decision, ...] = ()
    now: tuple[Decision, ...] = ()
    later: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`same` of `recorded` decisions stand on both sides; `differences` in order of time."""

    recorded: int
    same: int
    differences: tuple[Difference, ...]


def compare(
    recorded: Sequence[Decision], now: Sequence[Decision], *, ends: float, tolerance: float = TOLERANCE
) -> Comparison:
    """Both in order of time. `ends`: of what time brings about just then, the recording may have known nothing yet."""
    left, rest = _unmatched(recorded, now, tolerance)
    same = len(recorded) - len(left)
    pairs = _pairs(left, rest)
    left = [one for one in left if one not in pairs]
    rest = [one for one in rest if one not in pairs.values() and not (one.by_time and one.at > ends - tolerance)]
    differences = sorted([*_shifts(pairs), *_moments(left, rest)], key=lambda one: one.at)
    return Comparison(len(recorded), same, tuple(differences))


def _unmatched(
    recorded: Iterable[Decision], now: Iterable[Decision], tolerance: float
) -> tuple[list[Decision], list[Decision]]:
    """Of each side what the other lacks at about that time."""
    waiting: defaultdict[object, deque[Decision]] = defaultdict(deque)
    for one in now:
        waiting[one.same_as].append(one)
    left: list[Decision] = []
    rest: list[Decision] = []
    for one in recorded:
        candidates = waiting[one.same_as]
        while candidates and candidates[0].at < one.at - tolerance:
            rest.append(candidates.popleft())
        if candidates and candidates[0].at <= one.at + tolerance:
            candidates.popleft()
        else:
            left.append(one)
    rest += (one for candidates in waiting.values() for one in candidates)
    return left, sorted(rest, key=lambda one: one.at)


def _pairs(left: Iterable[Decision], rest: Iterable[Decision]) -> dict[Decision, Decision]:
    """What is the same but for its time, the first with the first."""
    waiting: defaultdict[object, deque[Decision]] = defaultdict(deque)
    for one in rest:
        if one.kind in SHIFTABLE:
            waiting[one.same_as].append(one)
    return {one: waiting[one.same_as].popleft() for one in left if waiting.get(one.same_as)}


def _shifts(pairs: Mapping[Decision, Decision]) -> list[Difference]:
    """Those that were taken together, and would be, are one difference."""
    groups: list[list[tuple[Decision, Decision]]] = []
    for was, now in sorted(pairs.items(), key=lambda pair: (pair[0].kind, pair[0].at)):
        if groups and _together((was, now), groups[-1][0]):
            groups[-1].append((was, now))
        else:
            groups.append([(was, now)])
    return [
        Difference(
            min(group[0][0].at, group[0][1].at),
            tuple(was for was, _ in group),
            tuple(now for _, now in group),
            later=group[0][1].at - group[0][0].at,
        )
        for group in groups
    ]


def _together(one: tuple[Decision, Decision], other: tuple[Decision, Decision]) -> bool:
    """Whether two pairs have the same kind and facts, and times that are close on both sides."""
    alike = (one[0].kind, one[0].facts) == (other[0].kind, other[0].facts)
    return alike and all(abs(a.at - b.at) <= MOMENT for a, b in zip(one, other, strict=True))


def _moments(left: Iterable[Decision], rest: Iterable[Decision]) -> list[Difference]:
    """What happened together is one difference."""
    sides = sorted([*((one, True) for one in left), *((one, False) for one in rest)], key=lambda pair: pair[0].at)
    groups: list[list[tuple[Decision, bool]]] = []
    for one, was in sides:
        if groups and one.at - groups[-1][0][0].at <= MOMENT:
            groups[-1].append((one, was))
        else:
            groups.append([(one, was)])
    return [
        Difference(
            group[0][0].at,
            tuple(one for one, was in group if was),
            tuple(one for one, was in group if not was),
        )
        for group in groups
    ]
