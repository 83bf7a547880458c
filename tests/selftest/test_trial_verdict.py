"""What the trial accepts as proof, and what it does not."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from tests.trial.load import Call
from tests.trial.report import report
from tests.trial.verdict import Books, Kill, Phase, Verdict

KILLED, OTHER = "127.0.0.1:1", "127.0.0.1:2"
KILL = Kill(KILLED, began=10.0, over=10.1)


def call(
    number: int = 0, method: str = "POST", status: int = 200, error: str = "", *, at: float = 9.9, until: float = 10.2
) -> Call:
    return Call(method, f"c{number}", at, at, until, status, error)


def lost(address: str = KILLED, **changes: Any) -> Call:
    return replace(call(status=502, error=f"UC closed {address} attempts=1"), **changes)


def verdict(*calls: Call, executed: tuple[str, ...] | None = None, **books: Any) -> Verdict:
    """One in which all is well but for what is given."""
    told = Books(counted=len(calls), logged=len(calls), rescued={}, events={}, errors=[])
    return Verdict(
        calls=calls,
        executed=[f"{one.method} {one.id}" for one in calls if one.answered] if executed is None else executed,
        kills=[KILL],
        refused={"Nacos restarts": 1},
        books=replace(told, **books),
        seconds=1.0,
        rate=len(calls),
    )


def test_a_clean_run_proves() -> None:
    """Calls answered and executed once, books that agree, and a list that lied: nothing to object to."""
    assert verdict(call(0), call(1, "GET")).objections == ()


@pytest.mark.parametrize("error", [f"UC closed {KILLED} attempts=1", f"UR reset {KILLED} attempts=2"])
def test_a_post_in_flight_on_the_killed_process_is_excused(error: str) -> None:
    """Lost with the connection to that very process, and under way when it died."""
    found = verdict(lost(error=error))
    assert (len(found.excused), found.objections) == (1, ())


@pytest.mark.parametrize(
    "failed",
    [
        lost(method="GET"),
        lost(OTHER),
        lost(error=f"UF refused {KILLED} attempts=3", status=503),
        lost(due=10.2, started=10.2),
        lost(started=9.0, ended=9.9),
        lost(status=0, error="closed without an answer"),
    ],
    ids=["idempotent", "another process", "never sent", "begun after", "ended before", "no answer at all"],
)
def test_nothing_else_is_excused(failed: Call) -> None:
    """Each condition is needed."""
    assert verdict(failed).objections == ("1 calls failed without excuse",)


def test_a_repeated_post_is_an_objection_and_a_repeated_get_is_none() -> None:
    """Only a method that may not be repeated counts."""
    assert verdict(call(1, "GET"), executed=("GET c1", "GET c1")).objections == ()
    assert verdict(call(0), executed=("POST c0", "POST c0")).objections == ("1 POSTs were executed twice",)


def test_an_answer_that_nobody_gave_is_an_objection() -> None:
    """Answered, and in no provider's file."""
    assert verdict(call(0), executed=()).objections == ("1 calls were answered and never executed",)


@pytest.mark.parametrize(
    ("books", "objection"),
    [
        ({"counted": 2}, "1 calls, but 2 in sidecar_requests_total"),
        ({"logged": 0}, "1 calls, but 0 lines in the access log"),
        ({"errors": ["crash"]}, "the sidecar logged 1 errors"),
    ],
)
def test_the_sidecars_own_books_must_agree(books: dict[str, Any], objection: str) -> None:
    """Each request once in the counters and once in the log, and no error."""
    assert verdict(call(), **books).objections == (objection,)


def test_each_time_that_the_registry_forgets_a_list_has_to_be_refused() -> None:
    """Another step's refusals do not stand for those of a restart in which nothing false was told."""
    found = replace(verdict(call()), refused={"Nacos restarts": 0, "Nacos comes back": 2})
    assert found.objections == ("no list was refused when Nacos restarts: nothing was at stake",)


def test_a_load_below_its_rate_proves_nothing() -> None:
    """The machine was too slow."""
    assert replace(verdict(call()), rate=2.0).objections == ("only 1 of 2 calls/s were sent",)


def test_the_report_counts_by_phase_and_shows_what_is_not_proven() -> None:
    """A call belongs to the phase in which it ended; the failed one is told in full."""
    phases = [Phase("nothing", 0.0), Phase("kills", 10.0)]
    lines = report(verdict(call(0, until=9.95), call(1), lost(OTHER)), phases, [0.5]).splitlines()
    rows = [line.split() for line in itertools.takewhile(bool, lines)]
    assert [row[:4] for row in rows[1:]] == [
        ["nothing", "1", "0", "0"],
        ["kills", "2", "1", "0"],
        ["all", "3", "1", "0"],
    ]
    assert "not proven: 1 calls failed without excuse" in lines
    assert "POST c0: 502 UC closed 127.0.0.1:2 attempts=1 after 0.300 s" in lines
