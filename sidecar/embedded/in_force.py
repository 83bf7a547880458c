"""Which faults are in force, and how often each still applies. Pure."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from sidecar.embedded.faults import EVERY, KINDS, Condition, describe, name_of

CONDITIONS: Mapping[str, type[Condition]] = {name: kind for name, kind in KINDS.items() if issubclass(kind, Condition)}
"""The faults that stay in force, by name."""

C = TypeVar("C", bound=Condition)


class Faults:
    """The conditions in force, by kind and key."""

    __slots__ = ("_in_force", "_left")

    def __init__(self) -> None:
        self._in_force: dict[tuple[type[Condition], str], Condition] = {}
        self._left: dict[tuple[type[Condition], str], int] = {}

    def __repr__(self) -> str:
        return f"<Faults {', '.join(self.in_force()) or 'none'}>"

    def set(self, condition: Condition) -> None:
        """Puts it in force, in place of an earlier one of the same kind and key."""
        where = (type(condition), condition.key())
        self._in_force[where] = condition
        self._left.pop(where, None)
        if (times := getattr(condition, "times", None)) is not None:
            self._left[where] = times

    def clear(self, kind: type[Condition] | None = None) -> None:
        """Ends every condition of that kind, or all there are."""
        for where in [w for w in self._in_force if kind in {None, w[0]}]:
            self._end(where)

    def now(self, kind: type[C]) -> C:
        """The condition of that kind, or its defaults: how a healthy server behaves."""
        return self.find(kind) or kind()

    def find(self, kind: type[C], *keys: str) -> C | None:
        """The one in force for the first matching key, else for all, else None. Does not count as met."""
        where = self._where(kind, keys)
        return cast("C", self._in_force[where]) if where else None

    def take(self, kind: type[C], *keys: str) -> C | None:
        """As `find`, and counts as met: a condition with `times` ends after so many."""
        where = self._where(kind, keys)
        if where is None:
            return None
        condition = cast("C", self._in_force[where])
        if where in self._left:
            self._left[where] -= 1
            if self._left[where] <= 0:
                self._end(where)
        return condition

    def in_force(self) -> dict[str, list[dict[str, Any]]]:
        """By name, the fields of each condition."""
        found: dict[str, list[dict[str, Any]]] = {}
        for (kind, _), condition in self._in_force.items():
            found.setdefault(name_of(kind), []).append(describe(condition))
        return found

    def _where(self, kind: type[Condition], keys: tuple[str, ...]) -> tuple[type[Condition], str] | None:
        return next(((kind, key) for key in (*keys, EVERY) if (kind, key) in self._in_force), None)

    def _end(self, where: tuple[type[Condition], str]) -> None:
        self._in_force.pop(where, None)
        self._left.pop(where, None)
