"""What was seen, as numbers, and what it proves. Pure: counts in, lines out."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

RESCUES = ("retry", "wait", "guard", "proof", "address")
"""The ways of being rescued, in the order of the contract."""

_FULL_RATE = 0.95
"""Below this share of the offered rate the load was not the one promised, and nothing is proven."""


@dataclass(slots=True)
class Tally:
    """What one caller saw. `offered` counts the calls that were due, `latencies` are seconds of answered ones."""

    name: str
    offered: int = 0
    calls: int = 0
    failed: int = 0
    duplicated: int = 0
    latencies: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def succeed(self, seconds: float) -> None:
        """Counts one answered call."""
        self.calls += 1
        self.latencies.append(seconds)

    def fail(self, reason: str) -> None:
        """Counts one lost call by its reason."""
        self.calls += 1
        self.failed += 1
        self.failures[reason] += 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison; `rescued` counts by the ways of `RESCUES`."""

    direct: Tally
    sidecar: Tally
    rescued: Mapping[str, int]

    @property
    def objections(self) -> tuple[str, ...]:
        """Why the run does not show what it should; empty when it does."""
        found = (
            (self.sidecar.failed > 0, f"{self.sidecar.failed} calls through the sidecar failed"),
            (self.sidecar.duplicated > 0, f"{self.sidecar.duplicated} calls through the sidecar were executed twice"),
            (self.direct.failed == 0, "the direct caller lost nothing, so nothing was at stake"),
            (sum(self.rescued.values()) == 0, "no call needed rescue, so nothing was shown"),
            *(
                (
                    tally.calls < _FULL_RATE * tally.offered or not tally.offered,
                    f"{tally.name}: only {tally.calls} of {tally.offered} calls were sent, the machine is too busy",
                )
                for tally in (self.direct, self.sidecar)
            ),
        )
        return tuple(text for wrong, text in found if wrong)

    @property
    def summary(self) -> str:
        """The last line, as the contract has it."""
        return (
            f"direct: {self.direct.calls} calls, {self.direct.failed} failed; "
            f"sidecar: {self.sidecar.calls} calls, {self.sidecar.failed} failed, "
            f"{self.sidecar.duplicated} duplicated, {sum(self.rescued.values())} rescued"
        )

    def as_text(self) -> str:
        """The closing table for people, what speaks against it, the summary."""
        objections = "".join(f"not proven: {text}\n" for text in self.objections)
        return f"{self._table()}\nrescued by the sidecar: {self._saved()}\n{objections}{self.summary}\n"

    def as_json(self) -> dict[str, object]:
        """The verdict for programs, as the contract has it."""
        return {
            "direct": {"calls": self.direct.calls, "failed": self.direct.failed},
            "sidecar": {
                "calls": self.sidecar.calls,
                "failed": self.sidecar.failed,
                "duplicated": self.sidecar.duplicated,
                "rescued": {by: self.rescued.get(by, 0) for by in RESCUES},
            },
        }

    def _table(self) -> str:
        rows: list[tuple[str, ...]] = [("caller", "calls", "failed", "twice", "p50", "p99", "max", "lost to")]
        rows += [
            (
                tally.name,
                str(tally.calls),
                str(tally.failed),
                str(tally.duplicated),
                *(_milliseconds(quantile(tally.latencies, percent)) for percent in (50, 99, 100)),
                ", ".join(f"{reason} {count}" for reason, count in sorted(tally.failures.items())) or "-",
            )
            for tally in (self.direct, self.sidecar)
        ]
        return aligned(rows)

    def _saved(self) -> str:
        return ", ".join(f"{by} {self.rescued[by]}" for by in RESCUES if self.rescued.get(by)) or "none"


def repeated(executed: Iterable[str], prefix: str) -> int:
    """How many ids that start with `prefix` were executed more than once."""
    times = Counter(one for one in executed if one.startswith(prefix))
    return sum(count > 1 for count in times.values())


def quantile(values: Sequence[float], percent: int) -> float | None:
    """The smallest value with at least `percent` of all values at or below it; None without values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns under each other, the first row as their heads."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"
