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

What becomes of an app's calls when it calls its providers directly, and behind each of the
[ways in](operating/which-way-in.md)? One provider and one consumer, two source files, are built for four eras of Spring
Cloud (`tests/apps`). Registry and providers are real processes, and so is everything that happens to them.

- All apps of a table run at the same time, with the same providers: what hurts the direct one happens to the others too.
- Each app is made to call 16 times a second, whatever became of the calls before: half by Feign, half by a RestTemplate,
  half GET, half POST, each with an id of its own. A call fails unless the app answers it with 200 within 10 s.
- A provider takes 20 ms for a call and writes its id down before it answers. *n twice*: so many POSTs were carried out more
  than once. No call may be answered that nobody has carried out.
- *n excused*: so many POSTs, each listed below its table, had been sent to a provider when it was killed, frozen or stopped, by the
  sidecar's own log. They may have been carried out, so they are not repeated. (A provider that stops gracefully finishes what
  it has begun, but Spring Boot overlooks a call that has come in at that very moment.)
- A figure in *italics* is not promised: the way does not cure that row. Direct apps have to be hurt where their era is known to
  be, else the row proves nothing.
- The empty list is that of a real Nacos whose connections to all providers are cut. That of 15 s and the exchange of all
  providers begin at the moment, within Ribbon's period of 30 s, that hurts; what it does to LoadBalancer is luck.
- Sidecars are at their defaults but for [two lines](operating/which-way-in.md#services-with-few-calls-and-apps-that-soon-give-up)
  that few calls a second ask for; Ribbon's apps have `ribbon.ReadTimeout=8000`, providers `server.shutdown=graceful`.

"""


def page(scores: Sequence[Score], *, date: str, took: float) -> str:
    """The same with what a reader has to know; `took` is the length of the trial in seconds."""
    calls = f"{sum(len(score.calls) for score in scores)} calls"
    return f"{_INTRODUCTION}`make trial-apps`, {date}: {versions()}; {calls} in {took / 60:.0f} minutes.\n\n{report(scores)}"


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
    return [f"## {stack}", "", f"On Nacos {mine[0].nacos}.", "", *table(lines), "", *_excuses(mine)]


def _cell(score: Score) -> str:
    """`14.1 / 0`, and what is to be said of it."""
    shares = " / ".join(_percent(score.share(client)) for client in CLIENTS)
    excused, twice = len(score.excused()), len(score.twice())
    notes = [*([f"{twice} twice"] if twice else []), *([f"{excused} excused"] if excused else [])]
    told = shares if score.is_cured else f"*{shares}*"
    return f"{told} ({', '.join(notes)})" if notes else told


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
