"""After 101: bytes of another protocol go both ways as they are, under the idle limit alone."""

from typing import TYPE_CHECKING

from sidecar.errors import Failure
from sidecar.proxy.http1 import race
from sidecar.proxy.http1.attempt import Attempt
from sidecar.proxy.http1.phase import Phase
from sidecar.proxy.http1.response import ResponseHead
from sidecar.proxy.sockets import reset_on_close

if TYPE_CHECKING:
    from sidecar.proxy.http1.exchange import Exchange


def switched(attempt: Attempt, answer: ResponseHead, rest: bytes) -> None:
    """The instance agreed; `rest` is the first it says in the other protocol."""
    exchange = attempt.exchange
    now = exchange.upstream.runtime.now()
    if race.is_on(exchange):
        race.settle(attempt, now)
    attempt.settled()
    exchange.upstream.tell(exchange.upstream.cluster.report_answering(attempt.endpoint, now))
    exchange.answer, exchange.head_at, exchange.responded = answer, now, True
    exchange.phase = Phase.TUNNEL
    exchange.last_byte = now
    exchange.sent = len(rest)
    exchange.app.write(answer.to_app(exchange.request, keep_alive=True) + rest)
    exchange.app.open_tunnel()
    exchange.app.arm(exchange.deadline())


def app_ended_its_side(exchange: "Exchange") -> None:
    """FIN from the app: passed on; with both ended it is over."""
    if exchange.attempt is not None and exchange.attempt.connection is not None:
        exchange.attempt.connection.write_eof()
        if exchange.attempt.connection.ended:
            over(exchange)


def app_broke_off(exchange: "Exchange") -> None:
    """RST from the app: it goes on as RST, or the instance would take that for an orderly end."""
    if exchange.attempt is not None and exchange.attempt.connection is not None:
        reset_on_close(exchange.attempt.connection.sock)


def instance_ended_its_side(exchange: "Exchange") -> None:
    """FIN from the instance: passed on; with both ended it is over."""
    if exchange.app.ended:
        over(exchange)
    else:
        exchange.app.write_eof()


def over(exchange: "Exchange") -> None:
    """Both sides ended, or nobody said anything for too long."""
    attempt, answer = exchange.attempt, exchange.answer
    if attempt is not None and answer is not None:
        attempt.answered(answer, exchange.upstream.runtime.now(), False)
    exchange.end(101, None)
    exchange.app.close()


def lost(attempt: Attempt, failure: Failure) -> None:
    """The instance's connection broke: so does the app's."""
    exchange = attempt.exchange
    attempt.lost(failure, exchange.upstream.runtime.now())
    exchange.end(101, failure)
    exchange.app.abort()
