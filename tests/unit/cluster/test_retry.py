"""What may be tried again."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.policy import Budget, NonIdempotent, Retry, RetryOn
from sidecar.cluster.retry import (
    RULES,
    Action,
    Attempt,
    Decision,
    Kind,
    RetryBudget,
    decide,
    kind_of,
)
from sidecar.errors import ATTEMPT_FAILURES, FAILURES

ALL = Retry(retry_on=frozenset(RetryOn))
GET: dict[str, Any] = {"idempotent": True, "replayable": True}
POST: dict[str, Any] = {"idempotent": False, "replayable": True}


def outcome(attempt: Attempt, policy: Retry = ALL, budget: RetryBudget | None = None) -> Decision:
    return decide(attempt, policy, budget or RetryBudget(Budget()), 0.0)


def failed(reason: str, **facts: Any) -> Attempt:
    return Attempt(failure=FAILURES[reason], **{**GET, **facts})


def test_every_kind_has_a_rule_for_both_sorts_of_methods() -> None:
    """The table names each (kind, idempotent?) pair once."""
    assert set(RULES) == set(itertools.product(Kind, (True, False)))


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        (failed("refused"), Decision(Action.RETRY_FREE, "connect_failure")),
        (failed("unreachable", **POST), Decision(Action.RETRY_FREE, "connect_failure")),
        (failed("connect_timeout", **POST), Decision(Action.RETRY_FREE, "connect_failure")),
        (failed("tls", **POST), Decision(Action.RETRY_FREE, "connect_failure")),
        (failed("refused", idempotent=False, replayable=False), Decision(Action.RETRY_FREE, "connect_failure")),
        (failed("reset", reused=True), Decision(Action.RETRY_FREE, "reset")),
        (failed("closed", reused=True), Decision(Action.RETRY_FREE, "reset")),
        (failed("closed", reused=True, replayable=False), Decision(Action.AMBIGUOUS, denied="body_too_large")),
        (failed("closed", reused=True, **POST), Decision(Action.AMBIGUOUS, denied="non_idempotent")),
        (failed("closed", reused=True, proven_undelivered=True, **POST), Decision(Action.RETRY_FREE, "proof")),
        (failed("closed", reused=True, proven_undelivered=True), Decision(Action.RETRY_FREE, "reset")),
        (failed("reset"), Decision(Action.RETRY_COUNTED, "reset")),
        (failed("reset", **POST), Decision(Action.AMBIGUOUS, denied="non_idempotent")),
        (failed("closed", proven_undelivered=True, **POST), Decision(Action.AMBIGUOUS, denied="non_idempotent")),
        (failed("response_timeout"), Decision(Action.RETRY_COUNTED, "timeout")),
        (failed("response_timeout", **POST), Decision(Action.FAIL, denied="non_idempotent")),
        (failed("protocol"), Decision(Action.FAIL)),
        (failed("app_left"), Decision(Action.DROP)),
        (failed("app_left", responded=True), Decision(Action.DROP)),
        (failed("reset", responded=True), Decision(Action.ABORT, denied="response_started")),
        (failed("protocol", responded=True), Decision(Action.ABORT)),
        (Attempt(status=503, responded=True, **GET), Decision(Action.PASS_ON, denied="response_started")),
        (Attempt(status=200, responded=True, **GET), Decision(Action.PASS_ON)),
        (Attempt(stalled=True, responded=True, **GET), Decision(Action.KEEP_WAITING, denied="response_started")),
        (Attempt(status=503, **GET), Decision(Action.RETRY_COUNTED, "status")),
        (Attempt(status=502, **GET), Decision(Action.RETRY_COUNTED, "status")),
        (Attempt(status=504, **GET), Decision(Action.RETRY_COUNTED, "status")),
        (Attempt(status=500, **GET), Decision(Action.RETRY_COUNTED, "status")),
        (Attempt(status=500, **POST), Decision(Action.PASS_ON, denied="non_idempotent")),
        (Attempt(status=404, **GET), Decision(Action.PASS_ON)),
        (Attempt(status=200, **GET), Decision(Action.PASS_ON)),
        (Attempt(status=503, **POST), Decision(Action.PASS_ON, denied="non_idempotent")),
        (Attempt(status=503, idempotent=True, replayable=False), Decision(Action.PASS_ON, denied="body_too_large")),
        (Attempt(status=503, retries=2, **GET), Decision(Action.PASS_ON, denied="num_retries")),
        (Attempt(stalled=True, **GET), Decision(Action.RETRY_COUNTED, "stall")),
        (Attempt(stalled=True, **POST), Decision(Action.KEEP_WAITING, denied="non_idempotent")),
        (Attempt(stalled=True, other_endpoint=False, **GET), Decision(Action.KEEP_WAITING, denied="no_other_endpoint")),
    ],
    ids=str,
)
def test_a_failure_is_decided_by_its_row(attempt: Attempt, expected: Decision) -> None:
    """With every word in retry_on: each row of the contract, and each obstacle."""
    assert outcome(attempt) == expected


@pytest.mark.parametrize(
    ("attempt", "word", "otherwise"),
    [
        (failed("refused"), RetryOn.CONNECT_FAILURE, Action.FAIL),
        (failed("reset"), RetryOn.RESET_BEFORE_RESPONSE, Action.AMBIGUOUS),
        (failed("closed", reused=True), RetryOn.RESET_BEFORE_RESPONSE, Action.AMBIGUOUS),
        (failed("response_timeout"), RetryOn.RESPONSE_TIMEOUT, Action.FAIL),
        (Attempt(status=500, **GET), RetryOn.ANY_5XX, Action.PASS_ON),
        (Attempt(stalled=True, **GET), RetryOn.STALL, Action.KEEP_WAITING),
    ],
    ids=str,
)
def test_what_retry_on_does_not_name_is_not_tried_again(attempt: Attempt, word: RetryOn, otherwise: Action) -> None:
    """Without its word a failure ends at once, and counts as no denial; with that word alone it is tried again."""
    assert outcome(attempt, replace(ALL, retry_on=ALL.retry_on - {word})) == Decision(otherwise)
    assert outcome(attempt, replace(ALL, retry_on=frozenset({word}))).reason is not None


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (503, {RetryOn.RETRIABLE_5XX, RetryOn.GATEWAY_ERROR, RetryOn.ANY_5XX}),
        (502, {RetryOn.GATEWAY_ERROR, RetryOn.ANY_5XX}),
        (504, {RetryOn.GATEWAY_ERROR, RetryOn.ANY_5XX}),
        (500, {RetryOn.ANY_5XX}),
        (501, {RetryOn.ANY_5XX}),
        (404, set()),
    ],
)
def test_each_word_covers_the_one_before_it(status: int, words: set[RetryOn]) -> None:
    """`retriable-5xx` is 503, `gateway-error` 502 and 504 too, `any-5xx` all of them."""
    answered = Attempt(status=status, **GET)
    allowing = {word for word in RetryOn if outcome(answered, replace(ALL, retry_on=frozenset({word}))).reason}
    assert allowing == words


def test_never_means_that_no_proof_counts() -> None:
    """`non_idempotent: never` leaves a proven loss ambiguous."""
    policy = replace(ALL, non_idempotent=NonIdempotent.NEVER)
    attempt = failed("closed", reused=True, proven_undelivered=True, **POST)
    assert outcome(attempt, policy) == Decision(Action.AMBIGUOUS, denied="non_idempotent")


def test_an_empty_budget_denies_counted_retries_only() -> None:
    """Free retries pass, counted ones do not, and URX is due."""
    empty = RetryBudget(Budget(percent=0, min_per_second=0))
    assert outcome(failed("refused"), budget=empty).action is Action.RETRY_FREE
    denied = outcome(Attempt(status=503, **GET), budget=empty)
    assert denied == Decision(Action.PASS_ON, denied="budget")
    assert denied.exhausted


def test_a_retry_that_something_else_forbids_costs_no_budget() -> None:
    """The budget is asked last."""
    one = RetryBudget(Budget(percent=0, min_per_second=0.1))
    outcome(Attempt(status=503, idempotent=True, replayable=False), budget=one)
    outcome(Attempt(status=503, retries=2, **GET), budget=one)
    assert outcome(Attempt(status=503, **GET), budget=one).action is Action.RETRY_COUNTED
    assert outcome(Attempt(status=503, **GET), budget=one).denied == "budget"


def test_no_retries_allowed_is_exhausted() -> None:
    """`num_retries: 0` flags URX, a missing word does not."""
    assert outcome(failed("reset"), replace(ALL, num_retries=0)).exhausted
    assert not outcome(failed("reset"), replace(ALL, retry_on=frozenset())).exhausted


ATTEMPTS = st.builds(
    Attempt,
    failure=st.sampled_from([None, *ATTEMPT_FAILURES.values()]),
    status=st.sampled_from([200, 404, 500, 502, 503, 504]),
    stalled=st.booleans(),
    idempotent=st.booleans(),
    replayable=st.booleans(),
    reused=st.booleans(),
    proven_undelivered=st.booleans(),
    responded=st.booleans(),
    retries=st.integers(0, 3),
    other_endpoint=st.booleans(),
)
RETRIES = {Action.RETRY_FREE, Action.RETRY_COUNTED}


@given(ATTEMPTS, st.sets(st.sampled_from(RetryOn)), st.sampled_from(NonIdempotent))
def test_a_request_that_may_have_been_executed_is_never_executed_twice(
    attempt: Attempt, words: set[RetryOn], switch: NonIdempotent
) -> None:
    """Whatever is configured: a POST goes again only when nothing was sent or non-delivery is proven."""
    decision = outcome(attempt, replace(ALL, retry_on=frozenset(words), non_idempotent=switch))
    if decision.action not in RETRIES or attempt.idempotent:
        return
    kind = kind_of(attempt)
    assert kind is Kind.UNSENT or (kind is Kind.LOST_UNDELIVERED and attempt.reused and attempt.proven_undelivered)


@given(ATTEMPTS, st.sets(st.sampled_from(RetryOn)))
def test_a_retry_has_a_reason_and_a_refusal_has_none(attempt: Attempt, words: set[RetryOn]) -> None:
    """Reason and denial exclude each other, and after a byte to the app there is no retry."""
    decision = outcome(attempt, replace(ALL, retry_on=frozenset(words)))
    assert (decision.action in RETRIES) == (decision.reason is not None)
    assert decision.reason is None or decision.denied is None
    if decision.action in RETRIES:
        assert not attempt.responded


# The budget


def test_a_budget_is_a_share_plus_a_floor() -> None:
    """Ten requests at 20 % and half a retry a second: two and five retries in ten seconds."""
    budget = RetryBudget(Budget(percent=20, min_per_second=0.5))
    for _ in range(10):
        budget.deposit(100.0)
    assert [budget.withdraw(100.5) for _ in range(8)] == [True] * 7 + [False]


def test_a_budget_comes_back_exactly_after_ten_seconds() -> None:
    """What second 100 took is free again in second 110, not before."""
    budget = RetryBudget(Budget(percent=0, min_per_second=0.1))
    assert budget.withdraw(100.9)
    assert not budget.withdraw(109.99)
    assert budget.withdraw(110.0)


@given(st.lists(st.tuples(st.sampled_from("drrd"), st.floats(0, 3)), max_size=80), st.sampled_from([0, 20, 100]))
def test_no_ten_seconds_see_more_retries_than_their_budget(steps: list[tuple[str, float]], percent: int) -> None:
    """Whenever one is granted, the retries of the last ten seconds are within share and floor of their requests."""
    budget, now = RetryBudget(Budget(percent=percent, min_per_second=0.2)), 1000.0
    requests: list[int] = []
    retries: list[int] = []
    for what, pause in steps:
        now += pause
        if what == "d":
            budget.deposit(now)
            requests.append(int(now))
        elif budget.withdraw(now):
            retries.append(int(now))
            recent = sum(second > int(now) - 10 for second in retries)
            asked = sum(second > int(now) - 10 for second in requests)
            assert recent <= asked * percent / 100 + 2
