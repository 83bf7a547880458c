"""The closing table of a trial, and what stands below it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tests.trial.load import Call
from tests.trial.verdict import Phase, Verdict

_COMPLAINTS = 20
"""Calls and errors that are shown one by one: after so many the next says no more."""


def report(verdict: Verdict, phases: Sequence[Phase], healed: Sequence[float]) -> str:
    """`healed`: seconds that each step took from the registry listing everything to the sidecar using it."""
    late = sorted(call.started - call.due for call in verdict.calls)
    excused, executed, books = verdict.excused, set(verdict.executed), verdict.books
    posts, gets = (len(verdict.repeated(method)) for method in ("POST", "GET"))
    below = {
        "rate": f"{verdict.reached:.1f} calls/s of {verdict.rate:.0f}; "
        f"calls left {_ms(_at(late, 0.5))} (p50), {_ms(_at(late, 0.99))} (p99) after their moment",
        "failed": f"{len(verdict.failed)}: {_listed(_kinds(verdict.failed))}",
        "excused": f"{len(excused)} POSTs in flight on a killed process, "
        f"{sum(f'POST {call.id}' in executed for call in excused)} of them executed",
        "twice": f"{posts} POSTs, {gets} GETs (those may be repeated)",
        "rescued": f"{sum(books.rescued.values())}: {_listed(books.rescued)}",
        "events": _listed(books.events),
        "books": f"{len(verdict.calls)} calls here, {books.counted} counted and {books.logged} logged by the sidecar",
        "healed": f"{', '.join(f'{seconds:.1f}' for seconds in healed)} s after Nacos listed everything again",
    }
    return "\n".join([
        _table(verdict, phases),
        "",
        *(f"{name:<9}{text}" for name, text in below.items()),
        *(f"not proven: {objection}" for objection in verdict.objections),
        *_complaints(verdict),
        "",
    ])  # fmt: skip


def _complaints(verdict: Verdict) -> list[str]:
    calls = (
        f"{call.method} {call.id}: {call.status} {call.error} after {call.ended - call.started:.3f} s"
        for call in verdict.inexcusable
    )
    return [*calls, *verdict.books.errors][:_COMPLAINTS]


def _table(verdict: Verdict, phases: Sequence[Phase]) -> str:
    """A row a phase; a call belongs to the one in which it ended."""
    excused = {call.id for call in verdict.excused}
    ends = [*(phase.began for phase in phases[1:]), float("inf")]
    rows: list[tuple[str, ...]] = [("while", "calls", "failed", "excused", "p50", "p99", "max")]
    for phase, end in zip(phases, ends, strict=True):
        rows.append(_row(phase.name, [call for call in verdict.calls if phase.began <= call.ended < end], excused))
    rows.append(_row("all", verdict.calls, excused))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if cell is row[0] else cell.rjust(width) for cell, width in zip(row, widths, strict=True)
        )
        for row in rows
    )


def _row(name: str, calls: Sequence[Call], excused: set[str]) -> tuple[str, ...]:
    took = sorted(call.ended - call.started for call in calls if call.answered)
    failed = [call.id for call in calls if not call.answered]
    lost = sum(one in excused for one in failed)
    return (name, str(len(calls)), str(len(failed)), str(lost), *(_ms(_at(took, share)) for share in (0.5, 0.99, 1.0)))


def _kinds(calls: Iterable[Call]) -> Counter[str]:
    """`POST 502 UC closed`, and how often."""
    return Counter(f"{call.method} {call.status} {' '.join(call.error.split(' ')[:2])}" for call in calls)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "-"


def _at(ordered: Sequence[float], share: float) -> float | None:
    """The value with that share of all at or below it."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"
