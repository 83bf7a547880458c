"""One try of one request at one endpoint: what it owes, and the one report that ends it."""

import math
from typing import TYPE_CHECKING

from sidecar.cluster.endpoint import Endpoint
from sidecar.errors import FAILURES, Failure
from sidecar.proxy.http1.response import ResponseHead
from sidecar.record import AttemptRecord

if TYPE_CHECKING:
    from sidecar.proxy.http1.exchange import Exchange
    from sidecar.proxy.http1.upstream import InstanceConnection

_APP_LEFT = FAILURES["app_left"]


class Attempt:
    """One try at one endpoint."""

    __slots__ = (
        "acknowledged",
        "connection",
        "endpoint",
        "exchange",
        "heard",
        "looks",
        "over",
        "owed_since",
        "reused",
        "started",
    )

    def __init__(self, exchange: "Exchange", endpoint: Endpoint, started: float) -> None:
        self.exchange = exchange
        self.endpoint = endpoint
        self.started = started
        self.connection: InstanceConnection | None = None
        self.reused = False
        """Its connection had served before."""
        self.owed_since = math.inf
        """When the request was written completely: from then on the endpoint owes an answer."""
        self.acknowledged: int | None = None
        """Bytes that the peer's kernel had acknowledged before this request (http1.proof)."""
        self.heard = False
        """A byte of an answer has come."""
        self.over = False
        """It is reported, once."""
        self.looks = 0
        """How often the kernel was asked for a proof."""

    def __repr__(self) -> str:
        return f"<Attempt at {self.endpoint.address}{', reused connection' if self.reused else ''}>"

    def written(self, now: float) -> None:
        """The whole request is on its way."""
        self.owed_since = now
        self.endpoint.owed += 1

    def settled(self) -> None:
        """The answer begins, or nobody waits for it any more."""
        if self.owed_since != math.inf:
            self.owed_since = math.inf
            self.endpoint.owed -= 1

    def silent(self, now: float) -> float:
        """Seconds that the endpoint has owed an answer."""
        return max(0.0, now - self.owed_since)

    # How it ends

    def answered(self, answer: ResponseHead, now: float, clean: bool) -> None:  # noqa: FBT001 - once a request
        """With an answer: its connection goes back to the pool if nothing speaks against it.

        `clean`: the answer was read to its end.
        """
        upstream, endpoint, connection = self.exchange.upstream, self.endpoint, self.connection
        self.over = True
        upstream.stats.answered += 1
        status = answer.status
        marker = upstream.leaving_header
        leaving = (status == 503 or marker is not None) and answer.leaving(marker)
        events = upstream.cluster.report_answer(endpoint, status, now, leaving=leaving, closing=answer.closes)
        if connection is not None:
            if answer.keep_alive_timeout is not None:
                upstream.pool.said(endpoint, answer.keep_alive_timeout, now)
            if clean and answer.reusable and not connection.spent:
                connection.release()
                upstream.pool.put(endpoint, connection, now)
            elif answer.upgrade is not None:
                connection.finish()
            else:
                connection.close()
        if events:
            upstream.tell(events)

    def lost(self, failure: Failure, now: float) -> None:
        """Without an answer; a reused connection that was dead tells something of those that idle."""
        connection = self.connection
        if connection is not None:
            if self.reused and not self.heard and failure.reason in {"reset", "closed"}:
                pool = self.exchange.upstream.pool
                pool.flush(self.endpoint, connection.idle_since)
                pool.closed_at(self.endpoint, self.started - connection.idle_since, now)
            connection.close()
        self._report(failure, now, failure)

    def given_up(self, failure: Failure, now: float, *, outcome: Failure) -> None:
        """By us: the cluster hears of `failure`, counters and log of `outcome`."""
        if self.connection is not None:
            self.connection.close()
        self._report(failure, now, outcome)

    def never_made(self, now: float) -> None:
        """Nothing was tried: the endpoint is neither praised nor blamed."""
        self.over = True
        upstream = self.exchange.upstream
        upstream.tell(upstream.cluster.report_failure(self.endpoint, _APP_LEFT, now))

    def _report(self, failure: Failure, now: float, outcome: Failure) -> None:
        upstream = self.exchange.upstream
        silent = self.silent(now) if self.owed_since != math.inf else 0.0
        self.settled()
        self.over = True
        reused = self.reused and not self.heard
        upstream.stats.failed[outcome.reason] += 1
        self.exchange.ensure_trouble().tries.append(self.record(outcome.reason, now))
        upstream.tell(upstream.cluster.report_failure(self.endpoint, failure, now, reused=reused, silent=silent))

    def record(self, outcome: str, now: float) -> AttemptRecord:
        """What the access log may say about it."""
        return AttemptRecord(self.endpoint.address, outcome, int((now - self.started) * 1000))
