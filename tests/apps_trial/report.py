"""The tables at the end of a trial, in Markdown: one a stack, a row of the trial a line, a way in a column."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from tests.apps.stacks import Stack
from tests.apps_trial.caller import CLIENTS
from tests.apps_trial.verdict import Score
from tests.support.pages import table, versions

T = TypeVar("T")


_INTRODUCTION = """\
# Unmodified Spring Cloud apps while their providers restart

"""


def page(scores: Sequence[Score], *, date: str, took: float) -> str:
    """The same with what a reader has to know; `took` is the length of the trial in seconds."""
    return f"{_INTRODUCTION}`make trial-apps`, {date}: {versions()}; {took / 60:.1f} minutes.\n\n{report(scores)}"


def report(scores: Sequence[Score]) -> str:
    """The tables, and what is not proven."""
    tables = [line for stack in _seen(score.stack for score in scores) for line in _section(stack, scores)]
    return "\n".join([*tables, *_objections(scores), ""])


def _section(stack: Stack, scores: Sequence[Score]) -> list[str]:
    mine = [score for score in scores if score.stack is stack]
    ways = _seen(score.way for score in mine)
    rows = _seen(score.row for score in mine)
    cells = {(score.row, score.way): _cell(score) for score in mine}
    lines = [
        ("failed %: Feign / RestTemplate", *(way.name for way in ways)),
        *((row.name, *(cells.get((row, way), "") for way in ways)) for row in rows),
        ("rescued, in all rows", *(_rescued(score for score in mine if score.way is way) for way in ways)),
    ]
    return [f"## {stack}", "", *table(lines), "", *_excuses(mine)]


def _cell(score: Score) -> str:
    """`14.1 / 0`, and what is to be said of it."""
    shares = " / ".join(_percent(score.share(client)) for client in CLIENTS)
    excused, twice = len(score.excused()), len(score.twice())
    notes = [*([f"{twice} twice"] if twice else []), *([f"{excused} excused"] if excused else [])]
    return f"{shares} ({', '.join(notes)})" if notes else shares


def _rescued(scores: Iterable[Score]) -> str:
    total = sum((score.rescued() for score in scores), Counter[str]())
    return ", ".join(f"{by} {number}" for by, number in total.most_common()) or "-"


def _excuses(scores: Sequence[Score]) -> list[str]:
    """One by one, by their ids."""
    told = [
        f"{score.row.name}, {score.way.name}: POST {excuse.call.id}, sent to {excuse.harm.address}, {excuse.harm.what}"
        for score in scores
        for excuse in score.excused()
    ]
    return ["Excused:", "", *(f"- {line}" for line in told), ""] if told else []


def _objections(scores: Sequence[Score]) -> list[str]:
    return [
        f"- **not proven**: {score.stack.id}, {score.row.name}, {score.way.name}: {text}"
        for score in scores
        for text in score.objections()
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share else "0"


def _seen(things: Iterable[T]) -> list[T]:
    """Each once, in the order of their first."""
    return list(dict.fromkeys(things))
