"""A row of the table: what happens to the registry, what we promise then, and how that is measured."""

import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.registry_trial.cast import Scene
from tests.trial.load import Call


class Section(enum.Enum):
    """The part of the table that a row belongs to."""

    FRESHNESS = "Freshness"
    GUARD = "Guard"


class Ground(enum.Enum):
    """The registry that a row is measured on."""

    NACOS_3 = "Nacos 3.1.0"
    NACOS_2 = "Nacos 2.3.2"
    EMBEDDED = "embedded"

    @property
    def is_real(self) -> bool:
        return self is not Ground.EMBEDDED


@dataclass(frozen=True, slots=True)
class Bar:
    """What is promised: a time, and how many calls may fail meanwhile."""

    seconds: float
    """For the longest of the times that were measured."""
    failed: int = 0
    counted_from: str = ""
    """The moment from which the time counts, where the row's name does not say it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a row."""

    seconds: Sequence[float]
    """One time a repetition."""
    calls: Sequence[Call]
    """All calls of the app from before the fault until after the recovery."""
    wrong: Sequence[str] = ()
    """What else is not as promised; any makes the row a miss."""
    remark: str = ""
    """For the table: what a reader must know to believe the figure."""

    @property
    def failed(self) -> list[Call]:
        """Calls that were not answered 200."""
        return [call for call in self.calls if not call.answered]

    @property
    def longest(self) -> float:
        return max(self.seconds)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `play` brings the fault about and returns when the promise has been kept or broken."""

    section: Section
    event: str
    ground: Ground
    bar: Bar
    play: Callable[[Scene], Awaitable[Measured]]
    needs: tuple[str, ...] = ()
    """Tools of the machine."""
    settings: str = ""
    """Settings of the sidecar other than the defaults, as they stand in its file."""


@dataclass(frozen=True, slots=True)
class Result:
    """A row, and what was measured; `broken` is why nothing could be."""

    row: Row
    measured: Measured | None = None
    broken: str = ""
    took: float = 0.0

    @property
    def misses(self) -> list[str]:
        """In words, why the row is a miss; empty when the promise was kept."""
        if self.measured is None:
            return [self.broken or "not measured"]
        found = list(self.measured.wrong)
        if self.measured.longest > self.row.bar.seconds:
            found.append(f"{self.measured.longest:.3f} s, promised {self.row.bar.seconds:g} s")
        if len(self.measured.failed) > self.row.bar.failed:
            found.append(f"{len(self.measured.failed)} calls failed: {_kinds(self.measured.failed)}")
        if not self.measured.calls:
            found.append("no call was made")
        return found


def _kinds(calls: Sequence[Call]) -> str:
    kinds: dict[str, int] = {}
    for call in calls:
        kind = f"{call.method} {call.status} {' '.join(call.error.split(' ')[:2])}".strip()
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items())
