"""Nobody to ask just now: wait until an instance is usable, or ask the same ones again after a pause.

Both end: what is waited comes out of `wait_for_instance.timeout`, and so do the pauses where nothing was sent.
"""

from typing import TYPE_CHECKING

from sidecar.errors import FAILURES, Failure, Sent
from sidecar.proxy.http1 import race
from sidecar.proxy.http1.phase import Phase
from sidecar.proxy.http1.trouble import Trouble
from sidecar.proxy.waiting import why_nobody

if TYPE_CHECKING:
    from sidecar.proxy.http1.exchange import Exchange


def nobody(exchange: "Exchange", now: float) -> None:
    """The cluster has nobody to offer to this request."""
    if race.is_on(exchange):
        race.back_to_witness(exchange, now)
        return
    trouble = exchange.ensure_trouble()
    if trouble.excluded and exchange.upstream.cluster.usable(now):
        _ask_again(exchange, trouble, now)
    else:
        _wait(exchange, trouble, now)


def stop_waiting(exchange: "Exchange", result: str, now: float) -> None:
    """Leaves the queue; `result` is a label of `sidecar_waits_total`."""
    trouble, upstream = exchange.ensure_trouble(), exchange.upstream
    exchange.phase = Phase.CHOOSING
    trouble.cancel_pause()
    trouble.wait -= now - trouble.wait_began
    upstream.waiting.leave(exchange)
    upstream.count_waiting(-1)
    upstream.stats.waits[result] += 1


def _ask_again(exchange: "Exchange", trouble: Trouble, now: float) -> None:
    """Everybody usable has failed this request once: the same ones again, after a pause."""
    trouble.excluded.clear()
    if trouble.fresh_only and len(trouble.tries) == 1:
        exchange.choose(now)
        return
    last = trouble.last
    if last is not None and last.sent is Sent.NOTHING:
        # Without quarantine a refusing endpoint stays usable: the round counts as waiting, or it never ended.
        pause(exchange, last, now)
    else:
        _pause(exchange, trouble, trouble.next_delay())


def pause(exchange: "Exchange", failure: Failure, now: float) -> None:
    """Another attempt in a while, which counts as waiting; with no time left for that, it is `failure`."""
    trouble = exchange.ensure_trouble()
    delay = trouble.next_delay()
    trouble.wait -= delay
    if trouble.wait < 0:
        exchange.fail(failure, now)
    else:
        _pause(exchange, trouble, delay)


def _pause(exchange: "Exchange", trouble: Trouble, delay: float) -> None:
    exchange.phase = Phase.PAUSING
    exchange.hold_body()
    trouble.pause = exchange.upstream.runtime.loop.call_later(delay, _pause_over, exchange)


def _pause_over(exchange: "Exchange") -> None:
    exchange.choose(exchange.upstream.runtime.now())


def _wait(exchange: "Exchange", trouble: Trouble, now: float) -> None:
    upstream = exchange.upstream
    if trouble.wait <= 0:
        exchange.fail(why_nobody(trouble.last), now)
        return
    if not upstream.waiting.enter(exchange):
        upstream.stats.waits["overflow"] += 1
        exchange.fail(FAILURES["queue_full"], now)
        return
    exchange.phase = Phase.WAITING
    trouble.waited = True
    trouble.wait_began = now
    exchange.hold_body()
    upstream.count_waiting(1)
    trouble.pause = upstream.runtime.loop.call_later(trouble.wait, _wait_over, exchange, trouble)


def _wait_over(exchange: "Exchange", trouble: Trouble) -> None:
    now = exchange.upstream.runtime.now()
    stop_waiting(exchange, "timeout", now)
    exchange.fail(why_nobody(trouble.last), now)
