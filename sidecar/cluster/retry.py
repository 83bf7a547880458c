"""What may be tried again after a failed attempt, and how much of it.

Why: a retry turns a failure into an answer, unless the request was executed already; then it turns one order into
two. So each way to fail is a row that says which methods may go again, and at what price.

- *Free* is an attempt of which nothing was executed for certain (no connection was made, the kernel proves that
  nothing was delivered) or that was lost on an idle connection that its server was closing anyway.
- *Counted* is all else: it may have cost an instance work, so `num_retries` and the budget bound it.
- A request that cannot be repeated ends as its row says: the instance's answer is passed on, the failure is told,
  or, where the request may have been executed, `on_ambiguous` decides.

Nothing is sent twice once a byte of an answer went to the app.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sidecar.cluster.policy import Budget, NonIdempotent, Retry, RetryOn
from sidecar.cluster.slots import SLOTS, Slots
from sidecar.errors import Blame, Failure, Sent


class RetryBudget:
    """Counted retries: a share of the requests of the last ten seconds, plus a floor; one budget a service."""

    __slots__ = ("_requests", "_retries", "deposit", "policy")

    def __init__(self, policy: Budget) -> None:
        self.policy = policy
        self._requests = Slots()
        self._retries = Slots()
        self.deposit = self._requests.add
        """Counts one request of the app."""

    def withdraw(self, now: float) -> bool:
        """Takes one retry out, if there is one left."""
        share = self._requests.total(now) * self.policy.percent / 100
        if self._retries.total(now) + 1 > share + self.policy.min_per_second * SLOTS:
            return False
        self._retries.add(now)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What is known of an attempt that did not go well; `failure` None: it was answered with `status`."""

    failure: Failure | None = None
    status: int = 0
    stalled: bool = False
    """Its endpoint became `stalled`; the attempt itself is still open."""
    idempotent: bool
    replayable: bool
    """All body bytes that were sent are still at hand."""
    reused: bool = False
    """Its connection had served before."""
    proven_undelivered: bool = False
    responded: bool = False
    """A byte of an answer went to the app."""
    retries: int = 0
    """Counted retries of this request so far."""
    other_endpoint: bool = True
    """A usable endpoint is left that this request has not tried."""


class Kind(enum.Enum):
    """The ways to fail that the rules tell apart."""

    UNSENT = "no connection was made"
    LOST_REUSED = "lost before an answer, on a connection that had served before"
    LOST_UNDELIVERED = "the same, and the kernel proves that nothing was delivered"
    LOST_FRESH = "lost before an answer, on a new connection"
    UNAVAILABLE = "answered 503"
    BAD_GATEWAY = "answered 502 or 504"
    SERVER_ERROR = "answered any other 5xx"
    STALLED = "its endpoint is silent while others answer"
    NO_HEAD = "no answer within its share of the time"
    UNREADABLE = "the answer is not HTTP"
    ANSWERED = "any other answer"
    ABANDONED = "the app left, or the message was its own fault"


class Action(enum.Enum):
    """What the data path does next."""

    RETRY_FREE = "another attempt, unbounded by num_retries and budget"
    RETRY_COUNTED = "another attempt, taken out of both"
    PASS_ON = "the instance's answer goes to the app"  # noqa: S105 - no password
    FAIL = "a local answer, as the failure's row says"
    AMBIGUOUS = "on_ambiguous decides"
    ABORT = "the app's connection is reset, so that truncation shows"
    KEEP_WAITING = "the attempt stays open"
    DROP = "nobody waits for an answer any more"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and under which words to count it."""

    action: Action
    reason: str | None = None
    """Label of `sidecar_retries_total`, with a retry."""
    denied: str | None = None
    """Label of `sidecar_retries_denied_total`: `retry_on` names the failure, something else forbade the retry."""

    @property
    def exhausted(self) -> bool:
        """Whether flag URX is due."""
        return self.denied in {"num_retries", "budget"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: the words of `retry_on` any of which allows it, the retry if allowed, what happens otherwise."""

    words: frozenset[RetryOn]
    retry: Action | None
    reason: str | None
    otherwise: Action


def _rule(otherwise: Action, *words: RetryOn, retry: Action | None = None, reason: str | None = None) -> Rule:
    return Rule(frozenset(words), retry, reason, otherwise)


_FREE, _COUNTED = Action.RETRY_FREE, Action.RETRY_COUNTED
_CONNECT, _RESET, _STALL = RetryOn.CONNECT_FAILURE, RetryOn.RESET_BEFORE_RESPONSE, RetryOn.STALL
_503, _GATEWAY, _5XX, _TIMEOUT = RetryOn.RETRIABLE_5XX, RetryOn.GATEWAY_ERROR, RetryOn.ANY_5XX, RetryOn.RESPONSE_TIMEOUT
_SAFE, _UNSAFE = True, False

RULES: Mapping[tuple[Kind, bool], Rule] = MappingProxyType(
    {
        (Kind.UNSENT, _SAFE): _rule(Action.FAIL, _CONNECT, retry=_FREE, reason="connect_failure"),
        (Kind.UNSENT, _UNSAFE): _rule(Action.FAIL, _CONNECT, retry=_FREE, reason="connect_failure"),
        (Kind.LOST_REUSED, _SAFE): _rule(Action.AMBIGUOUS, _RESET, retry=_FREE, reason="reset"),
        (Kind.LOST_REUSED, _UNSAFE): _rule(Action.AMBIGUOUS, _RESET),
        (Kind.LOST_UNDELIVERED, _SAFE): _rule(Action.AMBIGUOUS, _RESET, retry=_FREE, reason="reset"),
        (Kind.LOST_UNDELIVERED, _UNSAFE): _rule(Action.AMBIGUOUS, _RESET, retry=_FREE, reason="proof"),
        (Kind.LOST_FRESH, _SAFE): _rule(Action.AMBIGUOUS, _RESET, retry=_COUNTED, reason="reset"),
        (Kind.LOST_FRESH, _UNSAFE): _rule(Action.AMBIGUOUS, _RESET),
        (Kind.UNAVAILABLE, _SAFE): _rule(Action.PASS_ON, _503, _GATEWAY, _5XX, retry=_COUNTED, reason="status"),
        (Kind.UNAVAILABLE, _UNSAFE): _rule(Action.PASS_ON, _503, _GATEWAY, _5XX),
        (Kind.BAD_GATEWAY, _SAFE): _rule(Action.PASS_ON, _GATEWAY, _5XX, retry=_COUNTED, reason="status"),
        (Kind.BAD_GATEWAY, _UNSAFE): _rule(Action.PASS_ON, _GATEWAY, _5XX),
        (Kind.SERVER_ERROR, _SAFE): _rule(Action.PASS_ON, _5XX, retry=_COUNTED, reason="status"),
        (Kind.SERVER_ERROR, _UNSAFE): _rule(Action.PASS_ON, _5XX),
        (Kind.STALLED, _SAFE): _rule(Action.KEEP_WAITING, _STALL, retry=_COUNTED, reason="stall"),
        (Kind.STALLED, _UNSAFE): _rule(Action.KEEP_WAITING, _STALL),
        (Kind.NO_HEAD, _SAFE): _rule(Action.FAIL, _TIMEOUT, retry=_COUNTED, reason="timeout"),
        (Kind.NO_HEAD, _UNSAFE): _rule(Action.FAIL, _TIMEOUT),
        (Kind.UNREADABLE, _SAFE): _rule(Action.FAIL),
        (Kind.UNREADABLE, _UNSAFE): _rule(Action.FAIL),
        (Kind.ANSWERED, _SAFE): _rule(Action.PASS_ON),
        (Kind.ANSWERED, _UNSAFE): _rule(Action.PASS_ON),
        (Kind.ABANDONED, _SAFE): _rule(Action.DROP),
        (Kind.ABANDONED, _UNSAFE): _rule(Action.DROP),
    }
)
"""(kind of failure, idempotent?) -> rule. A row without a retry is denied as `non_idempotent` where it has words."""


def kind_of(attempt: Attempt) -> Kind:
    """Which row an attempt belongs to."""
    failure = attempt.failure
    if failure is None:
        return _answered_kind(attempt)
    if failure.blame is not Blame.INSTANCE:
        return Kind.ABANDONED
    if failure.sent is Sent.NOTHING:
        return Kind.UNSENT
    if failure.reason not in {"reset", "closed"}:
        return Kind.NO_HEAD if failure.reason == "response_timeout" else Kind.UNREADABLE
    if not attempt.reused:
        return Kind.LOST_FRESH
    return Kind.LOST_UNDELIVERED if attempt.proven_undelivered else Kind.LOST_REUSED


def _answered_kind(attempt: Attempt) -> Kind:
    if attempt.stalled:
        return Kind.STALLED
    if attempt.status == 503:
        return Kind.UNAVAILABLE
    if attempt.status in {502, 504}:
        return Kind.BAD_GATEWAY
    return Kind.SERVER_ERROR if attempt.status >= 500 else Kind.ANSWERED


def decide(attempt: Attempt, policy: Retry, budget: RetryBudget, now: float) -> Decision:
    """What becomes of a request after this attempt. Takes a counted retry out of `budget` when it allows one."""
    kind = kind_of(attempt)
    rule = RULES[kind, attempt.idempotent]
    named = bool(rule.words & policy.retry_on)
    if attempt.responded and rule.otherwise is not Action.DROP:
        action = Action.ABORT if attempt.failure is not None else rule.otherwise
        return Decision(action, denied="response_started" if named else None)
    if not named:
        return Decision(rule.otherwise)
    denied = _obstacle(attempt, kind, rule, policy)
    if denied is None and rule.retry is _COUNTED:
        denied = _price(attempt, policy, budget, now)
    if denied is not None or rule.retry is None:
        return Decision(rule.otherwise, denied=denied)
    return Decision(rule.retry, reason=rule.reason)


def _obstacle(attempt: Attempt, kind: Kind, rule: Rule, policy: Retry) -> str | None:
    if rule.retry is None:
        return "non_idempotent"
    if rule.reason == "proof" and policy.non_idempotent is NonIdempotent.NEVER:
        return "non_idempotent"
    if kind is not Kind.UNSENT and not attempt.replayable:
        return "body_too_large"
    if kind is Kind.STALLED and not attempt.other_endpoint:
        return "no_other_endpoint"
    return None


def _price(attempt: Attempt, policy: Retry, budget: RetryBudget, now: float) -> str | None:
    if attempt.retries >= policy.num_retries:
        return "num_retries"
    return None if budget.withdraw(now) else "budget"
