"""An attempt goes wrong: look for what can be proven, then try elsewhere, or let the app know.

Once a final answer has begun nothing is repeated: what is cut must look cut (RFC 9112 §8).
"""

from typing import TYPE_CHECKING

from sidecar.cluster.policy import OnAmbiguous
from sidecar.cluster.retry import Action, Decision
from sidecar.errors import Failure
from sidecar.proxy.http1 import proof, race, retrying, tunnel
from sidecar.proxy.http1.attempt import Attempt
from sidecar.proxy.http1.phase import Phase
from sidecar.proxy.http1.response import ResponseHead

if TYPE_CHECKING:
    from sidecar.proxy.http1.exchange import Exchange

_PROOF_PAUSES = (0.0005, 0.001, 0.002, 0.004, 0.0125)
"""Seconds between looks for the RST that proves; together `proof.LIMIT`."""


def attempt_lost(attempt: Attempt, failure: Failure) -> None:
    """Its connection ended before the answer was complete."""
    if attempt.over:
        return
    phase = attempt.exchange.phase
    if phase is Phase.TUNNEL:
        tunnel.lost(attempt, failure)
    elif phase is Phase.ANSWERING:
        _truncate(attempt, failure)
    elif attempt.looks or (attempt.acknowledged is not None and failure.reason == "closed" and not attempt.heard):
        _look_for_proof(attempt, failure)
    else:
        attempt_failed(attempt, failure)


def attempt_failed(attempt: Attempt, failure: Failure, *, proven: bool = False) -> None:
    """No answer will come of it: try elsewhere, or tell the app."""
    exchange = attempt.exchange
    if attempt.over:
        return
    if exchange.phase is Phase.ANSWERING:
        _truncate(attempt, failure)
        return
    now = exchange.upstream.runtime.now()
    attempt.lost(failure, now)
    if exchange.phase is Phase.DONE:
        return
    trouble = exchange.ensure_trouble()
    if attempt is trouble.witness:
        trouble.witness = None
        return
    if trouble.witness is not None:
        trouble.excluded.add(attempt.endpoint)
        race.back_to_witness(exchange, now)
        return
    exchange.phase = Phase.CHOOSING
    trouble.last = failure
    decision = retrying.judge(exchange, now, failure=failure, proven=proven)
    if retrying.allowed(decision):
        retrying.retry(exchange, decision, now)
    else:
        _tell(exchange, decision, failure, now)


def another_for(attempt: Attempt, answer: ResponseHead, now: float, *, done: bool) -> bool:
    """A 5xx, read to its end or not: another endpoint may do better. False: it goes to the app."""
    exchange = attempt.exchange
    decision = retrying.judge(exchange, now, status=answer.status)
    if not retrying.allowed(decision):
        retrying.count_denial(exchange, decision)
        return False
    trouble = exchange.ensure_trouble()
    trouble.tries.append(attempt.record("ok", now))
    trouble.last = None
    attempt.answered(answer, now, done)
    retrying.retry(exchange, decision, now)
    return True


def _look_for_proof(attempt: Attempt, failure: Failure) -> None:
    """FIN came instead of an answer: a RST behind it may prove that the request was never read."""
    connection = attempt.connection
    if attempt.over or connection is None:
        return
    if proof.undelivered(connection.sock, attempt.acknowledged):
        attempt_failed(attempt, failure, proven=True)
    elif attempt.looks >= len(_PROOF_PAUSES) or connection.gone:
        attempt_failed(attempt, failure)
    else:
        pause = _PROOF_PAUSES[attempt.looks]
        attempt.looks += 1
        attempt.exchange.upstream.runtime.loop.call_later(pause, _look_for_proof, attempt, failure)


def _tell(exchange: "Exchange", decision: Decision, failure: Failure, now: float) -> None:
    """No further attempt: a local answer, or for what may have been executed whatever `on_ambiguous` says."""
    retrying.count_denial(exchange, decision)
    if decision.action is Action.AMBIGUOUS and exchange.upstream.policy.retry.on_ambiguous is OnAmbiguous.CLOSE:
        exchange.end(0, failure)
        exchange.app.close()
    else:
        exchange.fail(failure, now)


def _truncate(attempt: Attempt, failure: Failure) -> None:
    """The answer has begun and cannot be completed: the app must see that."""
    exchange = attempt.exchange
    attempt.lost(failure, exchange.upstream.runtime.now())
    if exchange.upstream.policy.retry.retry_on:
        exchange.upstream.stats.retries_denied["response_started"] += 1
    exchange.end(exchange.answered_with, failure)
    exchange.app.abort()
