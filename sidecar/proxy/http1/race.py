"""Two attempts at once: an endpoint fell silent while others answer, so another one is asked as well.

The first attempt stays open as the *witness*: should the second fail, it is gone back to; should it answer first,
it wins. Whoever answers first ends the race, and the other is given up.
"""

import math
from typing import TYPE_CHECKING

from sidecar.errors import FAILURES
from sidecar.proxy.http1 import retrying
from sidecar.proxy.http1.attempt import Attempt
from sidecar.proxy.http1.phase import Phase

if TYPE_CHECKING:
    from sidecar.proxy.http1.exchange import Exchange

_APP_LEFT, _TIMEOUT = FAILURES["app_left"], FAILURES["response_timeout"]


def is_on(exchange: "Exchange") -> bool:
    """Whether a witness is open."""
    return exchange.trouble is not None and exchange.trouble.witness is not None


def begin(exchange: "Exchange", now: float) -> None:
    """Asks another endpoint, if this request waits for one that stalled, and the policy allows it."""
    attempt = exchange.attempt
    if exchange.phase is not Phase.AWAITING or attempt is None or is_on(exchange):
        return
    if not attempt.endpoint.stalled or attempt.owed_since == math.inf:
        return
    decision = retrying.judge(exchange, now, stalled=True)
    if retrying.allowed(decision):
        exchange.ensure_trouble().witness = attempt
        retrying.retry(exchange, decision, now)


def back_to_witness(exchange: "Exchange", now: float) -> None:
    """The second attempt is over, the first is still open."""
    trouble = exchange.ensure_trouble()
    exchange.attempt, trouble.witness = trouble.witness, None
    exchange.phase = Phase.AWAITING
    if exchange.attempt is not None:
        exchange.limit_rest(exchange.attempt, now)


def give_up_witness(exchange: "Exchange", now: float) -> None:
    """The request ends without it: nobody may hear what it says later."""
    trouble = exchange.ensure_trouble()
    witness, trouble.witness = trouble.witness, None
    if witness is not None:
        witness.given_up(_APP_LEFT, now, outcome=_TIMEOUT)


def settle(winner: Attempt, now: float) -> None:
    """One of two open attempts answers: the other is given up."""
    exchange = winner.exchange
    trouble = exchange.ensure_trouble()
    loser = exchange.attempt if winner is trouble.witness else trouble.witness
    trouble.cancel_dial()
    exchange.attempt, trouble.witness = winner, None
    exchange.phase = Phase.AWAITING
    if loser is not None:
        loser.given_up(_APP_LEFT, now, outcome=_TIMEOUT)
