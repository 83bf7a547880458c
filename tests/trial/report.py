"""The page of a trial, in Markdown."""

import itertools
import os
import platform
from collections.abc import Iterator, Mapping, Sequence

from sidecar import __version__
from tests.trial.conduct import RATE
from tests.trial.counts import Count
from tests.trial.load import CONNECT_PATIENCE, PATIENCE
from tests.trial.row import Played, Result
from tests.trial.scene import THINKING
from tests.trial.verdict import Excused

_INTRODUCTION = f"""\
# How many calls does an app lose?

Each row is something that happens to providers or to Nacos while five callers call the same providers in the same
seconds. Each of them sends {RATE:.0f} calls a second at a fixed rate, whatever became of the calls before, half of them
POSTs with ids of their own, over keep-alive connections; it gives a connection up after {CONNECT_PATIENCE:.0f} s and an
answer after {PATIENCE:.0f} s. Providers are processes that take {1000 * THINKING:.0f} ms for an answer and write each id
that they carry out into a file, so calls are counted from both ends. A call has failed unless it was answered 200.

| caller | what it is | where it has its list from |
|---|---|---|
| direct | an app with a pool for each address, taken in turn, nothing tried again | the registry, asked every 30 s, as Ribbon does |
| nginx, HAProxy, Envoy | set up as a competent operator would: another instance after a failed connect, and for GETs after a lost answer, a 503, and, where providers answer 500, a 500; ejection; keep-alive (`tests/peers`) | told at once of each change that the registry has made, and the plain truth while the registry is away or lies: no controller is that good |
| sidecar | `nacos-sidecar run`, at its defaults, but with `any-5xx` in `retry_on` where providers answer 500 | Nacos |

A graceful stop deregisters, refuses, finishes what it began, and closes. Where nobody else is there, providers are away
for two seconds at most. Where the registry's list lies, or stands still, only the sidecar is told so. "Rescued" are calls
that would have failed without the sidecar, by what it did for them; "executed twice" are POSTs that went through it.

Excused is a POST that had already been sent to a process which was then killed, frozen or cut off, or that was sent to a
frozen or cut off one before its silence could show, which is a second and a bit; a 5xx that a provider itself gave to a
POST, so many as make an ejection; and a POST lost on an idle connection before its endpoint was known to close them. Each
is listed below its table. None may be executed twice.

What unmodified Spring Cloud apps lose, and by which way in they lose nothing, is on [another page](trial-apps.md).

[On the registry that comes with the project](trial-embedded.md) the same rows are played by
`make trial ARGS="--on embedded"`; three of them are among the tests (`make trial-quick`). So are restarts of providers that
register with the official Java client (`tests/e2e/test_restarts.py`).
"""

_HEAD_OF_DETAILS = (
    "row",
    "caller",
    "calls",
    "failed",
    "GET failed",
    "POST failed",
    "of these executed",
    "POST twice",
    "GET twice",
    "p50",
    "p99",
    "max",
)


_COMPLAINTS = 20
"""Calls without excuse that are shown one by one: after so many the next says no more."""


def report(results: Sequence[Result], *, date: str, took: float, pictures: Mapping[str, str]) -> str:
    """`took`: seconds; `pictures`: the file of each ground."""
    return "\n".join([
        _INTRODUCTION,
        f"`make trial`, {date}: {_versions(results)}; {took / 60:.0f} minutes.",
        *itertools.chain.from_iterable(
            _section(ground, list(group), pictures.get(ground))
            for ground, group in itertools.groupby(results, lambda result: result.ground)
        ),
        "",
    ])  # fmt: skip


def summary(results: Sequence[Result]) -> list[str]:
    """What is wrong, a line each, and what the sidecar's failures are."""
    missed = [result for result in results if result.misses]
    doubted = [result for result in results if result.doubts]
    kept = f"{len(results)} rows, {f'{len(missed)} not' if missed else 'all'} as promised"
    return [
        f"{kept}, {len(doubted)} doubtful." if doubted else f"{kept}.",
        *(
            f"- {one.row.title} ({one.ground}): {'; '.join([*one.misses, *one.doubts])}"
            for one in results
            if one.misses or one.doubts
        ),
    ]


def _versions(results: Sequence[Result]) -> str:
    titles = next((list(result.played.counts)[1:-1] for result in results if result.played), [])
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores shared by all of them"
    return ", ".join([f"nacos-sidecar {__version__}", *titles, machine])


def _section(ground: str, results: Sequence[Result], picture: str | None) -> Iterator[str]:
    yield from ("", f"## {ground}", "", "Share of calls that failed:", "")
    callers = next((list(result.played.counts) for result in results if result.played), [])
    head = ("row", *callers, "executed twice", "rescued")
    yield from table([head, *(_overview(result, len(callers)) for result in results)])
    if picture:
        yield from ("", f"![errors per second of each caller in each row]({picture})")
    yield from ("", *summary(results))
    played = [(result, result.played) for result in results if result.played]
    yield from ("", "The sidecar's failed calls, each:", "")
    yield from [line for one in played for line in _failures(*one)] or ["- none"]
    yield from ("", "How long the sidecar's answers took, and what bounds the longest:", "")
    yield from table([("row", "p50", "p99", "max", "bound"), *(_times(*one) for one in played)])
    yield from ("", f"<details><summary>Every caller on {ground}</summary>", "")
    yield from table([_HEAD_OF_DETAILS, *(cells for one in played for cells in _details(*one))])
    yield from ("", "</details>")


def _overview(result: Result, callers: int) -> tuple[str, ...]:
    if result.played is None:
        return (result.row.title, *["-"] * callers, "-", result.why_not)
    *others, sidecar = result.played.counts.values()
    verdict = result.played.verdict
    failed, excused = len(verdict.inexcusable), len(verdict.excused)
    ours = [_share(sidecar)] + [f"**{failed} without excuse**"] * bool(failed) + [f"{excused} excused"] * bool(excused)
    twice = f"{len(sidecar.duplicated)}"
    return (result.row.title, *map(_share, others), ", ".join(ours), twice, _listed(verdict.books.rescued))


def _times(result: Result, played: Played) -> tuple[str, ...]:
    sidecar = played.verdict.sidecar
    return (result.row.title, *_percentiles(sidecar), result.row.longest)


def _failures(result: Result, played: Played) -> Iterator[str]:
    for excused in played.verdict.excused:
        yield f"- {result.row.title}: {_excuse(excused)}"
    inexcusable = played.verdict.inexcusable
    for call in inexcusable[:_COMPLAINTS]:
        yield f"- **{result.row.title}: {call.method} {call.id}, {call.status} {call.error}**"
    if more := inexcusable[_COMPLAINTS:]:
        yield f"- **{result.row.title}: and {len(more)} more**"


def _excuse(excused: Excused) -> str:
    call = excused.call
    answer = f"{call.status}" if call.status else "no answer"
    return f"{call.method} {call.id} ({answer}): {excused.why.value}, {excused.address}"


def _details(result: Result, played: Played) -> Iterator[tuple[str, ...]]:
    for number, (title, count) in enumerate(played.counts.items()):
        yield ("" if number else result.row.title, title, *_figures(count))


def _figures(count: Count) -> tuple[str, ...]:
    methods = [call.method for call in count.failed]
    numbers = (
        methods.count("GET"),
        methods.count("POST"),
        len(count.failed_but_executed),
        len(count.duplicated),
        len(count.repeated),
    )
    return (
        str(len(count.calls)),
        _share(count),
        *map(str, numbers),
        *_percentiles(count),
    )


def _percentiles(count: Count) -> tuple[str, ...]:
    return tuple(_ms(count.took(share)) for share in (0.5, 0.99, 1.0))


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The first one is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _share(count: Count) -> str:
    share = 100 * count.failed_share
    return "0" if not share else f"{share:.1f} %" if share >= 0.1 else f"{share:.2f} %"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "-"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"
