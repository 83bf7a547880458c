"""The table at the end of a trial, in Markdown."""

import statistics
from collections.abc import Sequence

from tests.registry_trial.row import Bar, Result, Section
from tests.support.pages import table, versions

_FEW = 3
"""So many times are told one by one."""

_HEAD = ("event", "registry", "promised", "seen", "calls", "failed", "")


_INTRODUCTION = """\
# What becomes of a registry's faults, measured

Each row is a fault of the registry and what is promised then. An app calls 50 times a second without a pause, half of
it POSTs, through a sidecar process at its defaults unless the row says otherwise; a call fails unless it is answered
200. Times run from the fault, or from the moment that the row names, until `/clusters` shows that the sidecar sends
to exactly the instances that the registry lists by then, which differ from those before. Rows are played on a real
server wherever the fault can be brought about there; `embedded` is the registry of `nacos-sidecar registry`.
"""


def report(results: Sequence[Result], *, date: str, took: float) -> str:
    """The page; `took` is the length of the trial in seconds."""
    missed = [result for result in results if result.misses]
    return "\n".join([
        _INTRODUCTION,
        f"`make registry-trial`, {date}: {versions()}; {took / 60:.1f} minutes.",
        *(line for section in Section for line in _section(section, results)),
        "",
        f"{len(results)} rows, {len(missed) or 'none'} missed.",
        *(f"- {result.row.event} ({result.row.ground.value}): {'; '.join(result.misses)}" for result in missed),
        "",
    ])  # fmt: skip


def _section(section: Section, results: Sequence[Result]) -> list[str]:
    """The rows of one event stand together."""
    events = [result.row.event for result in results]
    mine = sorted(
        (result for result in results if result.row.section is section),
        key=lambda result: events.index(result.row.event),
    )
    if not mine:
        return []
    return ["", f"## {section.value}", "", *table([_HEAD, *map(_cells, mine)])]


def _cells(result: Result) -> tuple[str, ...]:
    row, measured = result.row, result.measured
    seen = _spread(measured.seconds) if measured else "-"
    calls, failed = ("-", "-") if measured is None else (str(len(measured.calls)), str(len(measured.failed)))
    remarks = [*(["**missed**"] if result.misses else []), measured.remark if measured else "", row.settings]
    return row.event, row.ground.value, _promised(row.bar), seen, calls, failed, "; ".join(filter(None, remarks))


def _promised(bar: Bar) -> str:
    if bar.words:
        return bar.words
    return "no call fails" if bar.seconds is None else _time(bar.seconds)


def _spread(seconds: Sequence[float]) -> str:
    """Each time, or of many the median and the longest."""
    if len(seconds) <= _FEW:
        return ", ".join(map(_time, seconds)) or "-"
    return f"{_time(statistics.median(seconds))}, at most {_time(max(seconds))} ({len(seconds)} times)"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"
