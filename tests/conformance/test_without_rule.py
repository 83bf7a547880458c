"""The tests on the wire see the rules: with one taken out, they fail."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.conformance import test_answers, test_requests, wire
from tests.conformance.wire import Crossing
from tests.conformance.without_rule import OMISSIONS, Omission, without
from tests.support.scripted_peer import OK

pytestmark = pytest.mark.one_loop

_TABLES: tuple[tuple[list[tuple[object, ...]], Callable[..., Awaitable[None]]], ...] = (
    (list(test_requests.REFUSED), test_requests.test_a_bad_request_is_refused_and_does_not_go_on),
    (list(test_requests.PASSED), test_requests.test_a_request_arrives_as_the_rule_says),
    (list(test_answers.PASSED), test_answers.test_an_answer_arrives_as_the_rule_says),
    (list(test_answers.UNTIL_CLOSE), test_answers.test_an_answer_until_close_ends_with_the_connection),
    (list(test_answers.REFUSED), test_answers.test_an_answer_that_cannot_be_passed_on_is_a_502),
)


async def _crossing_that_ends(sent: bytes, answer: bytes = OK, **how: object) -> Crossing:
    """Both sides end when they have said all: without its rule, a sidecar might wait for more, and the test with it."""
    return await wire.crossing(sent, answer, **{**how, "ends": True, "closing": True})  # type: ignore[arg-type]


@pytest.fixture
def both_sides_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (test_requests, test_answers):
        monkeypatch.setattr(module, "crossing", _crossing_that_ends)


async def _failing(rule: str) -> AsyncIterator[int]:
    """The rows of `rule` whose test fails."""
    rows = [(row, test) for table, test in _TABLES for row in table if row[0] == rule]
    assert rows, f"{rule} is in no table"
    for number, (row, test) in enumerate(rows):
        try:
            await test(*row)
        except AssertionError:
            yield number


@pytest.mark.parametrize("omission", OMISSIONS, ids=lambda it: f"{it.rule}-{it.place}-{it.words[:20]}")
async def test_a_rule_that_is_taken_out_is_missed(omission: Omission, both_sides_end: None) -> None:
    """Every test of the rule passes with it, and one at least fails without."""
    assert [row async for row in _failing(omission.rule)] == []
    with without(omission):
        assert [row async for row in _failing(omission.rule)] != []


def test_ten_rules_and_more_were_taken_out() -> None:
    assert len({omission.rule for omission in OMISSIONS}) >= 10
