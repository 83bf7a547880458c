"""The table at the end of a trial, in Markdown."""

import platform
from collections.abc import Sequence

from sidecar import __version__
from tests.registry_trial.row import Result, Section

_HEAD = ("event", "registry", "promised", "seen", "calls", "failed", "")


def report(results: Sequence[Result], *, date: str, took: float) -> str:
    """The page; `took` is the length of the trial in seconds."""
    missed = [result for result in results if result.misses]
    return "\n".join(
        [
            "# What becomes of a registry's faults, measured",
            "",
            _head_line(len(results), len(missed), date, took),
            *(line for section in Section for line in _section(section, results)),
            *_complaints(missed),
            "",
        ]
    )


def _head_line(rows: int, missed: int, date: str, took: float) -> str:
    versions = f"nacos-sidecar {__version__}, Python {platform.python_version()}"
    return (
        f"`make registry-trial`, {date}: {versions}, {took / 60:.1f} minutes, {rows} rows, {missed or 'none'} missed."
    )


def _section(section: Section, results: Sequence[Result]) -> list[str]:
    mine = [result for result in results if result.row.section is section]
    if not mine:
        return []
    return ["", f"## {section.value}", "", *_table([_HEAD, *map(_cells, mine)])]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _cells(result: Result) -> tuple[str, ...]:
    row, measured = result.row, result.measured
    seen = "-" if measured is None else _spread(measured.seconds)
    calls, failed = ("-", "-") if measured is None else (str(len(measured.calls)), str(len(measured.failed)))
    promised = f"{_time(row.bar.seconds)}{' after ' + row.bar.counted_from if row.bar.counted_from else ''}"
    remarks = [*(["**missed**"] if result.misses else []), measured.remark if measured else "", row.settings]
    return row.event, row.ground.value, promised, seen, calls, failed, "; ".join(filter(None, remarks))


def _spread(seconds: Sequence[float]) -> str:
    """One time, or how many there were with the median and the longest."""
    if len(seconds) == 1:
        return _time(seconds[0])
    return f"{_time(sorted(seconds)[len(seconds) // 2])}, at most {_time(max(seconds))} ({len(seconds)} times)"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"


def _complaints(missed: Sequence[Result]) -> list[str]:
    if not missed:
        return []
    return ["", "## Missed", "", *(f"- {result.row.event}: {'; '.join(result.misses)}" for result in missed)]
