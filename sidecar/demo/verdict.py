"""What was seen, as numbers, and what it proves. Pure: counts in, lines out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

RESCUES = ("retry", "wait", "guard", "proof", "address")
"""The ways of being rescued, in the order of the contract."""

_FULL_RATE = 0.95
"""Below this share of the offered rate the load was not the one promised, and nothing is proven."""


@dataclass(slots=True)
class Tally:
    """What one caller saw. `latencies` are seconds of answered calls."""

    name: str
    calls: int = 0
    failed: int = 0
    duplicated: int = 0
    latencies: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)

    def succeed(self, seconds: float) -> None:
        """Counts one answered call."""
        self.calls += 1
        self.latencies.append(seconds)

    def fail(self, reason: str) -> None:
        """Counts one lost call by its reason."""
        self.calls += 1
        self.failed += 1
        self.failures[reason] = self.failures.get(reason, 0) + 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison. `offered` is how many calls each caller should have made."""

    direct: Tally
    sidecar: Tally
    rescued: Mapping[str, int]
    offered: int

    @property
    def objections(self) -> tuple[str, ...]:
        """Why the run does not show what it should; empty when it does."""
        least = _FULL_RATE * self.offered
        found = (
            (self.sidecar.failed > 0, f"{self.sidecar.failed} calls through the sidecar failed"),
            (self.sidecar.duplicated > 0, f"{self.sidecar.duplicated} calls through the sidecar were executed twice"),
            (self.direct.failed == 0, "the direct caller lost nothing, so nothing was at stake"),
            (sum(self.rescued.values()) == 0, "no call needed rescue, so nothing was shown"),
            (
                min(self.direct.calls, self.sidecar.calls) < least,
                f"only {min(self.direct.calls, self.sidecar.calls)} of {self.offered} calls were sent: machine too busy",
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

    def table(self) -> str:
        """The closing table for people."""
        rows: list[tuple[str, ...]] = [("caller", "calls", "failed", "twice", "p50", "p99", "max", "lost to")]
        rows += [
            (
                tally.name,
                str(tally.calls),
                str(tally.failed),
                str(tally.duplicated),
                *(_milliseconds(quantile(tally.latencies, share)) for share in (0.5, 0.99, 1.0)),
                ", ".join(f"{reason} {count}" for reason, count in sorted(tally.failures.items())) or "-",
            )
            for tally in (self.direct, self.sidecar)
        ]
        saved = ", ".join(f"{by} {self.rescued[by]}" for by in RESCUES if self.rescued.get(by)) or "none"
        return f"{_aligned(rows)}\nrescued by the sidecar: {saved}\n"

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


def repeated(executed: Sequence[str], prefix: str) -> int:
    """How many ids that start with `prefix` were executed more than once."""
    seen: set[str] = set()
    twice: set[str] = set()
    for request_id in executed:
        if request_id.startswith(prefix):
            (twice if request_id in seen else seen).add(request_id)
    return len(twice)


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value with at least `share` of all values at or below it; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
