"""The tables at the end of a trial, in Markdown: one a stack, a row of the trial a line, a way in a column."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from tests.apps.stacks import Stack
from tests.apps_trial.rows import Row
from tests.apps_trial.verdict import Score
from tests.apps_trial.ways import Way

T = TypeVar("T")


def report(scores: Sequence[Score]) -> str:
    """The tables, and what is not proven."""
    objections = [
        f"- not proven: {score.stack.id}, {score.row.name}, {score.way.name}: {text}"
        for score in scores
        for text in score.objections()
    ]
    return "\n".join(
        [
            *(line for stack in _seen(score.stack for score in scores) for line in _section(stack, scores)),
            *objections,
            "",
        ]
    )


def _section(stack: Stack, scores: Sequence[Score]) -> list[str]:
    mine = [score for score in scores if score.stack is stack]
    ways: list[Way] = _seen(score.way for score in mine)
    rows: list[Row] = _seen(score.row for score in mine)
    cells = {(score.row, score.way): _cell(score) for score in mine}
    head = ("failed %: Feign / RestTemplate", *(way.name for way in ways))
    table = [head, *((row.name, *(cells.get((row, way), "") for way in ways)) for row in rows)]
    return [f"## {stack}", "", *_markdown(table), ""]


def _cell(score: Score) -> str:
    """`14.1 / 0`, and what is to be said of it."""
    shares = " / ".join(_percent(score.share(client)) for client in ("feign", "rest"))
    notes = [
        *([f"{len(score.twice())} twice"] if score.twice() else []),
        *([f"{len(score.excused())} excused"] if score.excused() else []),
    ]
    return f"{shares} ({', '.join(notes)})" if notes else shares


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share else "0"


def _markdown(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _seen(things: Iterable[T]) -> list[T]:
    """Each once, in the order of their first."""
    return list(dict.fromkeys(things))
