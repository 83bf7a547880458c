"""A row of the table: what happens to the registry, what we promise then, and how that is measured."""

import enum
from collections import Counter
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
        """Whether it takes a Java server."""
        return self is not Ground.EMBEDDED


@dataclass(frozen=True, slots=True)
class Bar:
    """What is promised: a time, and how many calls may fail meanwhile."""

    seconds: float | None
    """For the longest of the times that were measured; None: no time is promised."""
    failed: int = 0
    words: str = ""
    """What the table says of the time in place of the figure."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a row."""

    seconds: Sequence[float]
    """One time a repetition; empty where no time is promised."""
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
    def longest(self) -> float | None:
        return max(self.seconds, default=None)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `play` brings the fault about and returns when the promise has been kept or broken."""

    section: Section
    event: str
    ground: Ground
    bar: Bar
    play: Callable[[Scene], Awaitable[Measured]]
    settings: str = ""
    """Settings of the sidecar other than the defaults, as they stand in its file."""


@dataclass(frozen=True, slots=True)
class Result:
    """A row, and what was measured; `broken` is why nothing could be."""

    row: Row
    measured: Measured | None = None
    broken: str = "not played"

    @property
    def misses(self) -> list[str]:
        """In words, why the row is a miss; empty when the promise was kept."""
        if self.measured is None:
            return [self.broken]
        return [*self.measured.wrong, *_late(self.row.bar, self.measured), *_lost(self.row.bar, self.measured)]


def _late(bar: Bar, measured: Measured) -> list[str]:
    if bar.seconds is None:
        return []
    if measured.longest is None:
        return ["nothing was timed"]
    return [f"{measured.longest:.3f} s, promised {bar.seconds:g} s"] if measured.longest > bar.seconds else []


def _lost(bar: Bar, measured: Measured) -> list[str]:
    if not measured.calls:
        return ["no call was made"]
    kinds = Counter(f"{call.method} {call.status} {' '.join(call.error.split(' ')[:2])}" for call in measured.failed)
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return [f"{len(measured.failed)} calls failed: {told}"] if len(measured.failed) > bar.failed else []
