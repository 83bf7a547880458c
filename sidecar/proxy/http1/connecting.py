"""A new connection for an attempt: dialled in a task, while the request's body stays unread."""

from typing import TYPE_CHECKING

from sidecar.errors import FAILURES, Blame, Failure
from sidecar.proxy.connect import DialError
from sidecar.proxy.http1 import patience, race, recovery
from sidecar.proxy.http1.attempt import Attempt
from sidecar.proxy.http1.phase import Phase
from sidecar.tasks import spawn

if TYPE_CHECKING:
    from sidecar.proxy.http1.exchange import Exchange


def connect(exchange: "Exchange", attempt: Attempt, now: float) -> None:
    """Dials the attempt's endpoint, unless the service has as many connections as it may."""
    if not exchange.upstream.has_room():
        _not_dialled(exchange, attempt, FAILURES["too_many_connections"], now)
        return
    exchange.phase = Phase.CONNECTING
    exchange.hold_body()
    task = exchange.ensure_trouble().dialling = spawn(_dial(exchange, attempt), name="dial")
    exchange.upstream.count_dial(task)


async def _dial(exchange: "Exchange", attempt: Attempt) -> None:
    upstream = exchange.upstream
    began = upstream.runtime.now()
    try:
        connection = await upstream.dial(attempt.endpoint)
    except DialError as error:
        exchange.ensure_trouble().dialling = None
        _not_connected(exchange, attempt, error.failure)
        return
    exchange.ensure_trouble().dialling = None
    now = upstream.runtime.now()
    if connection.ended:
        # Accepted and hung up at once: nothing was sent, as with a refusal.
        _not_connected(exchange, attempt, FAILURES["refused"])
        return
    upstream.tell(upstream.cluster.report_connected(attempt.endpoint, now - began, now))
    exchange.send(attempt, connection, now)


def _not_connected(exchange: "Exchange", attempt: Attempt, failure: Failure) -> None:
    if failure.reason == "too_many_connections":
        _no_descriptor(exchange, attempt, failure, exchange.upstream.runtime.now())
    elif failure.blame is Blame.SIDECAR:
        _not_dialled(exchange, attempt, failure, exchange.upstream.runtime.now())
    else:
        exchange.upstream.pool.restarted(attempt.endpoint)
        recovery.attempt_failed(attempt, failure)


def _not_dialled(exchange: "Exchange", attempt: Attempt, failure: Failure, now: float) -> None:
    """Our own limit, or a place that leads back to us: no endpoint is to blame, and the next dial would fail as well."""
    attempt.never_made(now)
    if race.is_on(exchange):
        race.back_to_witness(exchange, now)
    else:
        exchange.fail(failure, now)


def _no_descriptor(exchange: "Exchange", attempt: Attempt, failure: Failure, now: float) -> None:
    """Ours have run out: something idle gives way, or another request will give its own back."""
    attempt.never_made(now)
    if race.is_on(exchange):
        race.back_to_witness(exchange, now)
    elif exchange.upstream.pool.make_room():
        exchange.choose(now)
    else:
        patience.pause(exchange, failure, now)
