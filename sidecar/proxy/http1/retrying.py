"""Another attempt, or none: the facts go to `cluster.retry.decide`, which alone decides, and its word is obeyed."""

from typing import TYPE_CHECKING

from sidecar.cluster.endpoint import State
from sidecar.cluster.retry import Action, Attempt, Decision, decide
from sidecar.errors import Failure, Sent
from sidecar.proxy.http1.phase import Phase

if TYPE_CHECKING:
    from sidecar.proxy.http1.exchange import Exchange

_AGAIN = frozenset({Action.RETRY_FREE, Action.RETRY_COUNTED})
_USABLE = frozenset({State.AVAILABLE, State.HELD, State.PROBATION, State.LEAVING, State.EJECTED})


def judge(
    exchange: "Exchange",
    now: float,
    *,
    failure: Failure | None = None,
    status: int = 0,
    stalled: bool = False,
    proven: bool = False,
) -> Decision:
    """What becomes of a request whose attempt failed, was answered with `status`, or waits for a stalled endpoint."""
    trouble, attempt, replay = exchange.trouble, exchange.attempt, exchange.replay
    if failure is not None and failure.sent is Sent.NOTHING and replay is not None and not replay.whole:
        # TLS turned away after a long body had begun: nobody has read it, but it is not at hand any more.
        return Decision(Action.FAIL, denied="body_too_large")
    facts = Attempt(
        failure=failure,
        status=status,
        stalled=stalled,
        idempotent=exchange.request.idempotent,
        replayable=replay is None or replay.whole,
        reused=attempt is not None and attempt.reused and not attempt.heard,
        proven_undelivered=proven,
        responded=exchange.responded,
        retries=trouble.counted if trouble is not None else 0,
        other_endpoint=not stalled or _someone_else(exchange),
    )
    return decide(facts, exchange.upstream.policy.retry, exchange.upstream.budget, now)


def allowed(decision: Decision) -> bool:
    """Whether another attempt is to be made."""
    return decision.action in _AGAIN


def retry(exchange: "Exchange", decision: Decision, now: float) -> None:
    """Makes the attempt that the decision allows, elsewhere if there is an elsewhere."""
    trouble, attempt = exchange.ensure_trouble(), exchange.attempt
    trouble.why_again = decision.reason
    if decision.action is Action.RETRY_COUNTED:
        trouble.counted += 1
    if decision.reason == "proof":
        trouble.proven = True
    if attempt is not None:
        trouble.excluded.add(attempt.endpoint)
        if attempt.reused and trouble.last is not None:
            trouble.fresh_only = True
    exchange.phase = Phase.CHOOSING
    exchange.choose(now)


def count_denial(exchange: "Exchange", decision: Decision) -> None:
    """A retry that the policy names was refused."""
    if decision.denied is not None:
        exchange.upstream.stats.retries_denied[decision.denied] += 1
        if decision.exhausted:
            exchange.ensure_trouble().urx = True


def _someone_else(exchange: "Exchange") -> bool:
    excluded = exchange.trouble.excluded if exchange.trouble is not None else ()
    own = exchange.attempt.endpoint if exchange.attempt is not None else None
    endpoints = exchange.upstream.cluster.endpoints.values()
    return any(e.state in _USABLE and not e.stalled and e is not own and e not in excluded for e in endpoints)
