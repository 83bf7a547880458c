"""What the trial accepts as proof, and what it does not."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.trial.counts import Count, Fate, Harm
from tests.trial.load import Call
from tests.trial.verdict import Books, Excuse, Loss, Verdict

HURT, OTHER = "127.0.0.1:1", "127.0.0.1:2"
KILL = Harm(HURT, Fate.KILLED, began=10.0)
FREEZE = Harm(HURT, Fate.FROZEN, began=10.0)
HOLE = Harm(HURT, Fate.CUT_OFF, began=10.0)


def call(
    number: int = 0, method: str = "POST", status: int = 200, error: str = "", *, at: float = 9.9, until: float = 10.2
) -> Call:
    return Call(method, f"s{number}", at, at, until, status, error)


def lost(**changes: Any) -> Call:
    return replace(call(status=502, error="UC closed 127.0.0.1:1 attempts=1"), **changes)


def given_up(**changes: Any) -> Call:
    return replace(call(error="no answer within 10 s", until=19.9), status=0, **changes)


def counted(*calls: Call, executed: tuple[str, ...] | None = None) -> Count:
    lines = [f"{one.method} {one.id}" for one in calls if one.answered] if executed is None else executed
    return Count(calls, Counter(lines))


def verdict(*calls: Call, executed: tuple[str, ...] | None = None, books: Any = None, **changes: Any) -> Verdict:
    """One in which all is well but for what is given; all calls were last sent to `HURT`."""
    told = Books(
        counted=len(calls),
        logged=len(calls),
        upstreams=dict.fromkeys((one.id for one in calls), HURT),
        losses=[],
        rescued={},
        ejections=0,
        refused=0,
        errors=[],
    )
    well = Verdict(
        sidecar=counted(*calls, executed=executed),
        direct=counted(call(status=0)),
        books=replace(told, **(books or {})),
        harms=[],
        away=[],
        idle_closes=False,
        seconds=1.0,
        rate=len(calls),
        bursts=False,
        direct_fails=True,
        lied_to=False,
    )
    return replace(well, **changes)


def test_a_clean_run_proves() -> None:
    """Calls answered and executed once, books that agree, and a direct caller that lost some: nothing to object to."""
    found = verdict(call(0), call(1, "GET"))
    assert (found.misses, found.doubts) == ([], [])


@pytest.mark.parametrize("error", ["UC closed 127.0.0.1:1 attempts=1", "UR reset 127.0.0.1:1 attempts=2"])
def test_a_post_in_flight_on_the_killed_process_is_excused(error: str) -> None:
    """Lost with the connection to that very process, and under way when it died."""
    found = verdict(lost(error=error), harms=[KILL])
    assert [(one.why, one.address) for one in found.excused] == [(Excuse.KILLED, HURT)]
    assert found.misses == []


@pytest.mark.parametrize(
    ("failed", "harm"),
    [
        (lost(method="GET"), KILL),
        (lost(), replace(KILL, address=OTHER)),
        (lost(error="UF refused 127.0.0.1:1 attempts=3", status=503), KILL),
        (lost(due=10.01, started=10.01), KILL),
        (lost(started=9.0, ended=9.9), KILL),
        (lost(status=0, error="closed without an answer"), KILL),
        (given_up(method="GET"), FREEZE),
        (given_up(started=12.0, ended=22.0), FREEZE),
        (given_up(), replace(HOLE, address=OTHER)),
        (given_up(started=0.0, ended=9.9), HOLE),
    ],
    ids=[
        "idempotent",
        "another process",
        "never sent",
        "begun after",
        "ended before",
        "no answer at all",
        "idempotent, frozen",
        "sent to a process long frozen",
        "cut off is another one",
        "ended before the hole",
    ],
)
def test_nothing_else_is_excused(failed: Call, harm: Harm) -> None:
    """Each condition is needed."""
    assert verdict(failed, harms=[harm]).misses == ["1 calls failed without excuse"]


@pytest.mark.parametrize(("harm", "why"), [(FREEZE, Excuse.FROZEN), (HOLE, Excuse.CUT_OFF)])
def test_a_post_sent_before_silence_could_show_is_excused(harm: Harm, why: Excuse) -> None:
    """It was there when the process fell silent, or came within the second and a half after; the two are told apart."""
    found = verdict(given_up(), given_up(id="s1", started=11.4, ended=21.4), harms=[harm])
    assert [one.why for one in found.excused] == [why, Excuse.SILENT]


def test_a_providers_own_answer_to_a_post_is_excused() -> None:
    """It is passed on; a GET's is to be asked of another instance."""
    found = verdict(call(0, status=503), call(1, status=500), call(2, "GET", 500), call(3, "GET", 503))
    assert [one.why for one in found.excused] == [Excuse.OWN_ANSWER] * 2
    assert [one.id for one in found.inexcusable] == ["s2", "s3"]


def test_own_answers_are_as_few_as_make_an_ejection() -> None:
    """Three 503 for each, or five 500; one more is a miss."""
    three = [call(number, status=503) for number in range(3)]
    assert verdict(*three).misses == []
    more = [*three, call(3, status=503)]
    assert verdict(*more).misses == ["4 answers 503 were passed on, at 0 ejections"]
    assert verdict(*more, books={"ejections": 2}).misses == []


def test_a_post_lost_on_an_idle_connection_is_excused_before_the_first_such_loss_was_known() -> None:
    """Where providers close idle connections; what was sent to this one after the first loss is not."""
    first, second, late = lost(started=2.0), lost(id="s1", started=2.01), lost(id="s2", started=2.1)
    books = {"losses": [Loss("s0", HURT, 0.05), Loss("s1", HURT, 0.2), Loss("s2", HURT, 0.2)]}
    found = verdict(first, second, late, books=books, idle_closes=True)
    assert [(one.call.id, one.why) for one in found.excused] == [
        ("s0", Excuse.FIRST_IDLE_CLOSE),
        ("s1", Excuse.FIRST_IDLE_CLOSE),
    ]
    assert [one.id for one in found.inexcusable] == ["s2"]
    elsewhere = {"losses": [Loss("s0", OTHER, 0.05)]}
    assert verdict(first, late, books=elsewhere, idle_closes=True).misses == []
    assert verdict(first).misses == ["1 calls failed without excuse"]


def test_a_repeated_post_is_a_miss_and_a_repeated_get_is_none() -> None:
    """Only a method that may not be repeated counts."""
    assert verdict(call(1, "GET"), executed=("GET s1", "GET s1")).misses == []
    assert verdict(call(0), executed=("POST s0", "POST s0")).misses == ["1 POSTs were executed twice"]


def test_an_answer_that_nobody_gave_is_a_miss() -> None:
    """Answered, and in no provider's file."""
    assert verdict(call(0), executed=()).misses == ["1 calls were answered and never executed"]


@pytest.mark.parametrize(
    ("books", "miss"),
    [
        ({"counted": 2}, "1 calls, but 2 in sidecar_requests_total"),
        ({"logged": 0}, "1 calls, but 0 lines in the access log"),
        ({"errors": ["crash"]}, "the sidecar logged 1 errors"),
    ],
)
def test_the_sidecars_own_books_must_agree(books: dict[str, Any], miss: str) -> None:
    """Each request once in the counters and once in the log, and no error."""
    assert verdict(call(), books=books).misses == [miss]


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"rate": 2.0}, "only 1 of 2 calls/s were sent"),
        ({"away": [1.5, 2.3]}, "providers were away for 2.3 s, longer than 2 s"),
        ({"lied_to": True}, "no list was refused: nothing was at stake"),
        ({"direct": counted(call())}, "the direct caller lost 0.0% of its calls: nothing was at stake"),
        (
            {"sidecar": counted(call(at=9.9), replace(call(1), due=9.0))},
            "calls left 900 ms late (p99): times are the machine's",
        ),
    ],
    ids=["rate", "away", "no lie", "nothing lost", "late"],
)
def test_a_row_that_shows_nothing_is_doubted(changes: dict[str, Any], doubt: str) -> None:
    """The machine was too slow, or nothing was at stake."""
    assert doubt in verdict(call(), **changes).doubts


def test_in_bursts_calls_may_leave_late() -> None:
    """So many at once take their time."""
    late = counted(call(), replace(call(1), due=9.0))
    assert verdict(call(), sidecar=late, bursts=True, books={"counted": 2, "logged": 2}).doubts == []


def test_the_direct_caller_need_not_lose_where_nothing_restarts() -> None:
    """A lie that only the sidecar hears costs the others nothing."""
    assert verdict(call(), direct=counted(call()), direct_fails=False).doubts == []


def test_counts_tell_what_was_lost_from_what_was_only_thought_so() -> None:
    """A failed call may have been carried out all the same."""
    count = counted(call(0, status=502), call(1, status=502), executed=("POST s0",))
    assert [one.id for one in count.failed_but_executed] == ["s0"]
    assert count.failed_share == 1.0
