"""One request, phase by phase: choose, connect, send, answer; and back to choose when an attempt fails.

    head complete ─▶ choose ─▶ pooled connection ─▶ send ─▶ answer head ─▶ answer body ─▶ done
                      ▲ │ └──▶ dial ─▶ connected ──▶ │          │
                      │ └────▶ nothing usable: wait  │          └▶ 503: another attempt
                      └─────── attempt failed ◀──────┘

Three rules hold it together. The body is read only once a connection exists, so that a failed dial costs no body
of whatever size. What may be tried again is decided in one place, `cluster.retry.decide`. Once a final answer has
begun nothing is repeated, and an answer that is cut is made to look cut.

Here is the straight path, a pooled connection and an answer: it has no task, no future and no timer. What leaves
it has a module each: `connecting`, `patience` (nobody to ask), `recovery` (an attempt fails) with `retrying`,
`race` (a stalled endpoint), `tunnel`. They act on the exchange, and bring it back by `choose`, `send` or `fail`.
"""

import math
from typing import TYPE_CHECKING

from sidecar.errors import FAILURES, Failure
from sidecar.proxy.http1 import connecting, ending, handover, patience, proof, race, recovery, tunnel
from sidecar.proxy.http1.attempt import Attempt
from sidecar.proxy.http1.body import LengthBody
from sidecar.proxy.http1.local import LocalAnswer, body_size
from sidecar.proxy.http1.message import BadMessage, Framing
from sidecar.proxy.http1.phase import HEARING, OPEN, Phase
from sidecar.proxy.http1.replay import Replay
from sidecar.proxy.http1.request import RequestHead
from sidecar.proxy.http1.response import ResponseHead
from sidecar.proxy.http1.trouble import Trouble

if TYPE_CHECKING:
    from sidecar.proxy.http1.downstream import AppConnection
    from sidecar.proxy.http1.upstream import InstanceConnection
    from sidecar.proxy.upstream import Upstream

_APP_LEFT, _TIMEOUT = FAILURES["app_left"], FAILURES["response_timeout"]
_NONE = Framing.NONE
_JOINED = 16 * 1024
"""Bytes of a body up to which copying them behind their head costs less than handing them on in a second piece."""

_CHOOSING, _WAITING, _AWAITING = Phase.CHOOSING, Phase.WAITING, Phase.AWAITING
_ANSWERING, _TUNNEL, _DONE = Phase.ANSWERING, Phase.TUNNEL, Phase.DONE


class Exchange:
    """One request of the app, from its complete head to the last byte of its answer; it ends exactly once."""

    __slots__ = (
        "answer",
        "app",
        "attempt",
        "dialled",
        "handover",
        "head_at",
        "keep_app",
        "last_byte",
        "phase",
        "progress",
        "received",
        "replay",
        "request",
        "responded",
        "sent",
        "started",
        "through_us",
        "trouble",
        "uploaded",
        "upstream",
    )

    def __init__(
        self, app: "AppConnection", upstream: "Upstream", request: RequestHead, now: float, dialled: str | None = None
    ) -> None:
        self.app = app
        self.upstream = upstream
        self.request = request
        self.dialled = dialled
        """The address of the instance that the app chose itself, if it did."""
        self.started = now
        self.phase = _CHOOSING
        self.attempt: Attempt | None = None
        """The attempt under way, else the last one."""
        self.answer: ResponseHead | None = None
        self.head_at = 0.0
        """When the answer's head came."""
        self.received = 0
        """Body bytes from the app."""
        self.sent = 0
        """Body bytes to the app."""
        self.responded = False
        """A byte of an answer, interim or final, has gone to the app."""
        self.trouble: Trouble | None = None
        self.progress = now
        """The newest byte of the request,"""
        self.last_byte = now
        """and of either side."""
        self.replay: Replay | None = None
        """What has come of the body, for an attempt to come."""
        self.handover: handover.Handover | None = None
        """What brings the rest of it beside us."""
        self.through_us = False
        """That was tried, and cannot be."""
        self.uploaded = request.framing is _NONE
        """All of the body has come."""
        self.keep_app = False
        """The app's connection lives on after the answer."""

    def __repr__(self) -> str:
        return f"<Exchange {self.request!r} {self.phase.value}>"

    # The app's side

    def begin(self, now: float) -> None:
        """The head is complete; `body_part` follows for a body."""
        upstream, stats = self.upstream, self.upstream.stats
        at_instances = stats.requests_in_flight - stats.waiting
        stats.requests_in_flight += 1
        if self.dialled is not None:
            stats.by_address += 1
        upstream.budget.deposit(now)
        if self.request.request_id is None:
            self.request.request_id = upstream.runtime.request_id()
        if at_instances >= upstream.max_requests:
            self.fail(FAILURES["too_many_requests"], now)
            return
        self.app.arm(now + upstream.patience)
        self.choose(now)

    def keep_first(self, wire: bytes, payload: int, *, done: bool) -> None:
        """Body bytes that came together with the head, before `begin`."""
        self._keep(wire)
        self.received += payload
        self.uploaded = done

    def body_part(self, wire: bytes, payload: int, now: float, *, done: bool) -> None:
        """More of the body."""
        self.progress = self.last_byte = now
        self.received += payload
        attempt = self.attempt
        connection = attempt.connection if attempt is not None else None
        if self.phase is _TUNNEL:
            if connection is not None:
                connection.write(wire)
            return
        self._keep(wire)
        if attempt is not None and connection is not None and self.phase in HEARING:
            connection.write(wire)
            if self.replay is not None:
                self.replay.sent()
            if done and self.phase is _AWAITING:
                attempt.written(now)
        self.uploaded = done

    def hand_over(self, body: LengthBody) -> bool:
        """The rest of a large body may go without us; False: not this one, or not yet."""
        attempt, replay = self.attempt, self.replay
        if self.through_us or attempt is None or self.phase is not _AWAITING or replay is None or replay.whole:
            return False
        self.handover = handover.begin(self, attempt, body)
        self.through_us = self.handover is None
        return self.handover is not None

    def hold_body(self) -> None:
        """No connection to an instance: no more of the body for now."""
        if not self.uploaded:
            self.app.hold_body()

    def app_blocked(self) -> None:
        """The app does not read fast enough."""
        if self.phase in HEARING and self.attempt is not None and self.attempt.connection is not None:
            self.attempt.connection.pause_reading()

    def app_unblocked(self) -> None:
        if self.phase in HEARING and self.attempt is not None and self.attempt.connection is not None:
            self.attempt.connection.resume_reading()

    def app_left(self) -> None:
        """The app's connection is gone, or its body ended too early: whatever is under way is cancelled."""
        if self.phase is _TUNNEL:
            tunnel.app_broke_off(self)
        self._abandon(_APP_LEFT)

    def never_whole(self) -> None:
        """Instead of `begin`: FIN came before the end of the body, so no instance shall see any of it."""
        self.upstream.stats.requests_in_flight += 1
        self._abandon(_APP_LEFT)

    def bad_body(self, failure: Failure) -> None:
        """The app's body is malformed: the attempt's connection is aborted, no instance may take it for complete."""
        now = self.upstream.runtime.now()
        self._close_attempts(_APP_LEFT, now)
        if self.answer is None:
            self.fail(failure, now)
        else:
            self.end(self.answer.status, failure)
            self.app.abort()

    def cut(self, failure: Failure) -> None:
        """Drain is over."""
        self._abandon(failure)
        self.app.abort()

    def look_for_stall(self, now: float) -> None:
        """An endpoint of the service fell silent while others answer."""
        race.begin(self, now)

    def released(self, now: float) -> None:
        """Something is usable again; it may be one that failed this request before."""
        patience.stop_waiting(self, "served", now)
        self.ensure_trouble().excluded.clear()
        self.choose(now)

    def expired(self, now: float) -> None:
        """The wheel's turn: the deadline that was armed may have moved since."""
        deadline = self.deadline()
        if deadline > now:
            self.app.arm(deadline)
        elif self.phase is _TUNNEL:
            tunnel.over(self)
        elif self.phase is _ANSWERING:
            # An app that does not read stops the instance, too: that is not the instance's silence.
            self._close_attempts(_APP_LEFT if self.app.blocked else _TIMEOUT, now)
            self.end(self.answered_with, _TIMEOUT)
            self.app.abort()
        else:
            self._close_attempts(_APP_LEFT if self._waits_for_app else _TIMEOUT, now)
            self.fail(_TIMEOUT, now)

    @property
    def _waits_for_app(self) -> bool:
        """The instance takes what it gets of the request, and nothing more comes: it is not to blame for the silence."""
        connection = self.attempt.connection if self.attempt is not None else None
        if self.uploaded or connection is None:
            return False
        return not (connection.blocked or (self.handover is not None and self.handover.blocked))

    def deadline(self) -> float:
        """When the silence of both sides, or of the instance alone, has lasted too long."""
        timeouts = self.upstream.policy.timeouts
        idle = math.inf if timeouts.idle is None else self.last_byte + timeouts.idle
        if self.phase is _ANSWERING or self.phase is _TUNNEL or timeouts.response is None:
            return idle
        return min(self.progress + timeouts.response, idle)

    def _keep(self, wire: bytes) -> None:
        if self.replay is None:
            self.replay = Replay(self.upstream.runtime, self.upstream.policy.retry.replay_buffer)
        self.replay.keep(wire)

    # Choosing and sending

    def choose(self, now: float) -> None:
        """Picks an endpoint for the next attempt, and a connection to it."""
        upstream, trouble = self.upstream, self.trouble
        excluded = trouble.excluded if trouble is not None else ()
        wary = not self.request.idempotent
        endpoint = None
        if self.dialled is not None:
            endpoint = upstream.cluster.pick_dialled(self.dialled, now, excluded, wary=wary)
        if endpoint is None:
            endpoint = upstream.cluster.pick(now, excluded, wary=wary)
            if endpoint is None:
                patience.nobody(self, now)
                return
        if trouble is not None and trouble.why_again is not None:
            upstream.stats.retries[trouble.why_again] += 1
            trouble.why_again = None
        attempt = self.attempt = Attempt(self, endpoint, now)
        if trouble is None or not trouble.fresh_only:
            connection = upstream.pool.take(endpoint, now, self.request.idempotent)
            if connection is not None:
                self.send(attempt, connection, now)
                return
        connecting.connect(self, attempt, now)

    def send(self, attempt: Attempt, connection: "InstanceConnection", now: float) -> None:
        """Writes the head, and what is there of the body."""
        upstream, request = self.upstream, self.request
        attempt.connection = connection
        self.phase = _AWAITING
        if not self.uploaded:
            self.app.instance_unblocked()
        if upstream.changes_head or request.authority is None:
            data = request.to_instance(upstream.host_for(attempt.endpoint, request), upstream.policy.via)
        else:
            data = request.to_instance()
        if connection.served:
            attempt.reused = True
            if not request.idempotent and upstream.looks_for_proof:
                attempt.acknowledged = proof.acknowledged(connection.sock)
        replay = self.replay
        if replay is not None:
            data += replay.bytes()
            connection.send(attempt, data)
            replay.sent()
        else:
            connection.send(attempt, data)
        if self.uploaded:
            attempt.owed_since = now
            attempt.endpoint.owed += 1
        else:
            self.app.read_body()
        if upstream.per_try is not None:
            self._limit_try(attempt, upstream.per_try)

    def ensure_trouble(self) -> Trouble:
        """The memory of what does not go straight; made when first needed."""
        if self.trouble is None:
            self.trouble = Trouble(self.upstream.policy.wait_for_instance.timeout)
        return self.trouble

    def limit_rest(self, attempt: Attempt, now: float) -> None:
        """It is waited for again, for what is left of its share of the time."""
        if (seconds := self.upstream.per_try) is not None:
            self._limit_try(attempt, seconds, after=max(0.0, attempt.started + seconds - now))

    def _limit_try(self, attempt: Attempt, seconds: float, *, after: float | None = None) -> None:
        trouble = self.ensure_trouble()
        if trouble.per_try is not None:
            trouble.per_try.cancel()
        delay = seconds if after is None else after
        trouble.per_try = self.upstream.runtime.loop.call_later(delay, self._try_over, attempt, seconds)

    def _try_over(self, attempt: Attempt, seconds: float) -> None:
        if self.phase is not _AWAITING or attempt is not self.attempt:
            return
        # The clock of the whole begins anew with each byte of the body, and so does that of its share.
        rest = seconds if self._waits_for_app else self.progress + seconds - self.upstream.runtime.now()
        if rest > 0:
            self.ensure_trouble().per_try = self.upstream.runtime.loop.call_later(
                rest, self._try_over, attempt, seconds
            )
        else:
            recovery.attempt_failed(attempt, _TIMEOUT)

    # The answer

    def interim(self, attempt: Attempt, answer: ResponseHead) -> None:
        """A 1xx: passed on, and from now on nothing is repeated (not to HTTP/1.0, which knows none)."""
        if self.request.minor == 0:
            return
        now = self.upstream.runtime.now()
        if race.is_on(self):
            race.settle(attempt, now)
        self.last_byte = now
        self.responded = True
        self.app.write(answer.to_app(self.request, keep_alive=True))

    def answered(self, attempt: Attempt, answer: ResponseHead, wire: bytes, payload: int, done: bool) -> None:  # noqa: FBT001 - once a request
        """The final head, with as much of the body as came with it."""
        upstream = self.upstream
        now = upstream.runtime.now()
        if self.trouble is not None and self.trouble.witness is not None:
            race.settle(attempt, now)
        if attempt.owed_since != math.inf:
            upstream.stats.answer_time.observe(now - attempt.owed_since)
            attempt.owed_since = math.inf
            attempt.endpoint.owed -= 1
        self.head_at = now
        if not self.uploaded and attempt.connection is not None:
            attempt.connection.spent = True
        if answer.status >= 500 and recovery.another_for(attempt, answer, now, done=done):
            return
        app = self.app
        self.keep_app = keep = self.uploaded and answer.keeps_app(self.request)
        try:
            extra = ending.extra_fields(self, answer.status) if upstream.adds_fields else b""
            head = answer.to_app(self.request, keep, extra)
        except BadMessage as error:
            recovery.attempt_failed(attempt, error.failure)
            return
        self.answer = answer
        self.responded = True
        self.sent = payload
        if payload <= _JOINED:
            app.write(head + wire)
        else:
            app.write(head)
            app.write(wire)
        if done:
            self._complete(attempt, answer, now)
        else:
            self.phase = _ANSWERING
            self.last_byte = now
            if answer.status < 500:
                upstream.tell(upstream.cluster.report_answering(attempt.endpoint, now))
            app.arm(self.deadline())
            if app.blocked:
                self.app_blocked()

    def answer_part(self, attempt: Attempt, wire: bytes, payload: int = 0, *, done: bool) -> None:
        """More of the answer's body."""
        now = self.last_byte = self.upstream.runtime.now()
        self.sent += payload
        if wire:
            self.app.write(wire)
        if done and self.answer is not None:
            self._complete(attempt, self.answer, now)

    @property
    def answered_with(self) -> int:
        """The status that the app has seen; 0: none."""
        return self.answer.status if self.answer is not None else 0

    def instance_blocked(self) -> None:
        """The instance does not read fast enough."""
        self.app.instance_blocked()

    def instance_unblocked(self) -> None:
        self.app.instance_unblocked()

    # The end

    def _complete(self, attempt: Attempt, answer: ResponseHead, now: float) -> None:
        attempt.answered(answer, now, True)
        ending.end(self, answer.status, None, now)
        self._close_down()
        self.app.finished(now, self.keep_app)

    def fail(self, failure: Failure, now: float) -> None:
        """A local answer: what failed, where, after how many attempts."""
        upstream, request, trouble = self.upstream, self.request, self.trouble
        keep = request.keep_alive and self.uploaded
        hope = upstream.cluster.next_hope(now)
        local = LocalAnswer(
            failure,
            service=upstream.cluster.name,
            endpoint=trouble.tries[-1].endpoint if trouble is not None and trouble.tries else None,
            attempts=len(trouble.tries) if trouble is not None else 0,
            flags=("URX",) if trouble is not None and trouble.urx else (),
            retry_after=1 if hope is None else math.ceil(hope),
        )
        answer = local.to_app(request, keep_alive=keep, date=upstream.runtime.date())
        self.sent = body_size(answer)
        self.app.write(answer)
        self.end(failure.status, failure)
        self.app.finished(now, keep)

    def end(self, code: int, failure: Failure | None) -> None:
        """Counts it and lets go; what becomes of the app's connection is up to the caller."""
        now = self.upstream.runtime.now()
        if race.is_on(self):
            race.give_up_witness(self, now)
        ending.end(self, code, failure, now)
        self._close_down()

    def _abandon(self, failure: Failure) -> None:
        """Nobody waits for the answer any more."""
        now = self.upstream.runtime.now()
        if self.phase is _WAITING:
            patience.stop_waiting(self, "app_left", now)
        self._close_attempts(_APP_LEFT, now)
        self.end(self.answered_with, failure)

    def _close_attempts(self, failure: Failure, now: float) -> None:
        trouble = self.ensure_trouble()
        trouble.cancel_dial()
        if self.phase is _WAITING:
            patience.stop_waiting(self, "timeout", now)
        for attempt in (trouble.witness, self.attempt if self.phase in OPEN else None):
            if attempt is not None:
                neutral = attempt.connection is None
                attempt.given_up(_APP_LEFT if neutral else failure, now, outcome=failure)
        trouble.witness = None
        self.phase = _CHOOSING

    def _close_down(self) -> None:
        self.phase = _DONE
        self.attempt = None  # it knows the exchange: a circle would leave both to the garbage collector
        if self.handover is not None:
            self.handover.stop()
            self.handover = None
        if self.replay is not None:
            self.replay.drop()
        if self.trouble is not None:
            self.trouble.cancel_timers()
