"""What the trial with Spring apps accepts as proof, and what it tells."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.apps.stacks import A, B
from tests.apps_trial.caller import AppCall, Carried
from tests.apps_trial.report import report
from tests.apps_trial.rows import EMPTY_40, ROLLING
from tests.apps_trial.stage import Harm
from tests.apps_trial.verdict import Score
from tests.apps_trial.ways import DIRECT, FIXED_LIST

KILLED, OTHER = "10.77.0.1:1", "10.77.0.1:2"
KILL = Harm(KILLED, "killed", began=10.0, over=10.1)


def call(number: int, method: str = "POST", status: int = 200, *, client: str = "feign") -> AppCall:
    return AppCall(method, f"c{number}", 9.9, 9.9, 10.2, status, client=client)


def carried(number: int, endpoint: str = KILLED, method: str = "POST", details: str = "closed") -> Carried:
    return Carried(method, f"c{number}", details, endpoint, rescued="")


def score(*calls: AppCall, **changes: Any) -> Score:
    """One in which all is well but for what is given."""
    well = Score(
        nacos="2.3.2",
        row=ROLLING,
        stack=B,
        way=FIXED_LIST,
        calls=calls,
        executed=Counter(f"{one.method} {one.id}" for one in calls if one.answered),
        carried=[],
        harms=[KILL],
        seconds=1.0,
        rate=len(calls),
    )
    return replace(well, **changes)


def test_calls_answered_and_carried_out_once_prove() -> None:
    """Nothing to object to."""
    assert score(call(0), call(1, "GET")).objections() == []


def test_a_post_sent_to_the_killed_process_is_excused() -> None:
    """By its id: the sidecar's access log says where it went."""
    found = score(call(0), call(1, status=500), carried=[carried(1)])
    assert ([one.call.id for one in found.excused()], found.objections()) == (["c1"], [])


@pytest.mark.parametrize(
    ("failed", "log"),
    [
        (call(1, status=500), []),
        (call(1, status=500), [carried(1, OTHER)]),
        (call(1, "GET", 500), [carried(1, method="GET")]),
        (call(1, status=500), [carried(1, details="refused")]),
        (replace(call(1, status=500), started=10.2, ended=10.3), [carried(1)]),
        (replace(call(1, status=500), ended=9.99), [carried(1)]),
    ],
    ids=["never sent", "to another", "a GET", "refused", "later", "earlier"],
)
def test_nothing_else_is(failed: AppCall, log: list[Carried]) -> None:
    """The app behind a way that cures the row has lost a call."""
    (objection,) = score(call(0), failed, carried=log).objections()
    assert "1 calls failed without excuse" in objection


def test_what_a_way_does_not_cure_is_not_held_against_it() -> None:
    """The figure stands in the table."""
    direct = score(call(0), call(1, status=500), way=DIRECT)
    assert direct.objections() == []
    assert "| *50.0 / 0* |" in report([direct])


def test_a_direct_app_that_loses_nothing_proves_nothing() -> None:
    """In a row that has to hurt it, that is; with Ribbon a rolling restart need not."""
    (objection,) = score(call(0), way=DIRECT).objections()
    assert "nothing was at stake" in objection
    assert score(call(0), way=DIRECT, stack=A).objections() == []
    assert score(call(0), way=DIRECT, stack=A, row=EMPTY_40).objections()


def test_a_post_carried_out_twice_is_objected_to() -> None:
    """A GET may be repeated."""
    twice = Counter({"POST c0": 2, "GET c1": 2})
    (objection,) = score(call(0), call(1, "GET"), executed=twice).objections()
    assert "1 POSTs were carried out twice: POST c0" in objection


def test_an_answer_that_nobody_gave_is_objected_to() -> None:
    """Whoever answered it, it was no provider."""
    (objection,) = score(call(0), executed=Counter()).objections()
    assert "1 calls were answered and never carried out" in objection


def test_too_few_calls_prove_nothing() -> None:
    """Of ten promised calls a second one was sent."""
    (objection,) = score(call(0), rate=10.0).objections()
    assert "only 1.0 of 10 calls/s were sent" in objection


def test_the_table_has_a_line_a_row_and_a_column_a_way() -> None:
    """Both clients in each cell, and what is to be said beside the figures; then what is not proven."""
    lost = [call(0), call(1, status=500), call(2, client="rest"), call(3, "GET", client="rest")]
    page = report([
        score(*lost, way=DIRECT),
        score(*lost, carried=[carried(1)]),
        score(*lost, row=EMPTY_40, executed=Counter({"POST c0": 2, "POST c2": 1, "GET c3": 1})),
    ])  # fmt: skip
    told = " ".join(page.split())
    assert "| graceful rolling restart | *50.0 / 0* | 0 / 0 (1 excused) |" in told
    assert "| 50.0 / 0 (1 twice) |" in told
    assert "- graceful rolling restart, fixed list: POST c1, sent to 10.77.0.1:1, killed" in told
    assert (
        "- **not proven**: b, empty list for 40 s, all serve, fixed list: 1 calls failed without excuse: POST c1"
        in told
    )
