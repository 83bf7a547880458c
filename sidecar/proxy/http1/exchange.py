"""One request, phase by phase: choose, connect, send, answer; and back to choose when an attempt fails.

    head complete ─▶ choose ─▶ pooled connection ─▶ send ─▶ answer head ─▶ answer body ─▶ done
                      ▲ │ └──▶ dial ─▶ connected ──▶ │          │
                      │ └────▶ nothing usable: wait  │          └▶ 503: another attempt
                      └─────── attempt failed ◀──────┘

Three rules hold it together. The body is read only once a connection exists, so that a failed dial costs no body
of whatever size. What may be tried again is decided in one place, `cluster.retry.decide`. Once a final answer has
begun nothing is repeated, and an answer that is cut is made to look cut.

On the straight path (a pooled connection, an answer in one piece) there is no task, no future and no timer.
"""

import enum
import math
from typing import TYPE_CHECKING

from sidecar.cluster.endpoint import State
from sidecar.cluster.policy import OnAmbiguous
from sidecar.cluster.retry import Action, Decision, decide
from sidecar.cluster.retry import Attempt as Facts
from sidecar.errors import FAILURES, Failure, Sent
from sidecar.proxy.connect import DialError
from sidecar.proxy.http1 import ending, proof
from sidecar.proxy.http1.attempt import Attempt, Trouble
from sidecar.proxy.http1.local import LocalAnswer, body_size
from sidecar.proxy.http1.message import BadMessage, Framing
from sidecar.proxy.http1.replay import Replay
from sidecar.proxy.http1.request import RequestHead
from sidecar.proxy.http1.response import ResponseHead
from sidecar.record import AttemptRecord
from sidecar.tasks import spawn

if TYPE_CHECKING:
    from sidecar.proxy.http1.downstream import AppConnection
    from sidecar.proxy.http1.upstream import InstanceConnection
    from sidecar.proxy.upstream import Upstream

_PROOF_PAUSES = (0.0005, 0.001, 0.002, 0.004, 0.0125)
"""Seconds between looks for the RST that proves; together `proof.LIMIT`."""

_RETRIES = frozenset({Action.RETRY_FREE, Action.RETRY_COUNTED})
_USABLE = frozenset({State.AVAILABLE, State.HELD, State.PROBATION, State.LEAVING, State.EJECTED})
_APP_LEFT, _TIMEOUT = FAILURES["app_left"], FAILURES["response_timeout"]
_GATEWAY = frozenset({502, 503, 504})
_NONE = Framing.NONE


class Phase(enum.Enum):
    """Where a request stands."""

    CHOOSING = "choosing"
    CONNECTING = "connecting"
    WAITING = "waiting for an instance"
    PAUSING = "pausing before the same endpoint"
    AWAITING = "awaiting an answer"
    ANSWERING = "answering"
    TUNNEL = "tunnel"
    DONE = "done"


_CHOOSING, _CONNECTING, _WAITING, _PAUSING = Phase.CHOOSING, Phase.CONNECTING, Phase.WAITING, Phase.PAUSING
_AWAITING, _ANSWERING, _TUNNEL, _DONE = Phase.AWAITING, Phase.ANSWERING, Phase.TUNNEL, Phase.DONE


class Exchange:
    """One request of the app, from its complete head to the last byte of its answer; it ends exactly once."""

    __slots__ = (
        "_keep_app",
        "_last_byte",
        "_progress",
        "_replay",
        "_uploaded",
        "answer",
        "app",
        "attempt",
        "head_at",
        "phase",
        "received",
        "request",
        "responded",
        "sent",
        "started",
        "trouble",
        "upstream",
    )

    def __init__(self, app: "AppConnection", upstream: "Upstream", request: RequestHead, now: float) -> None:
        self.app = app
        self.upstream = upstream
        self.request = request
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
        self._progress = now
        self._last_byte = now
        self._replay: Replay | None = None
        self._uploaded = request.framing is _NONE
        self._keep_app = False

    def __repr__(self) -> str:
        return f"<Exchange {self.request!r} {self.phase.value}>"

    # The app's side

    def begin(self, now: float) -> None:
        """The head is complete; `body_part` follows for a body."""
        upstream, stats = self.upstream, self.upstream.stats
        at_instances = stats.requests_in_flight - stats.waiting
        stats.requests_in_flight += 1
        upstream.budget.deposit(now)
        if self.request.request_id is None:
            self.request.request_id = upstream.runtime.request_id()
        if at_instances >= upstream.max_requests:
            self._fail(FAILURES["too_many_requests"], now)
            return
        self.app.arm(now + upstream.patience)
        self._choose(now)

    def keep_first(self, wire: bytes, payload: int, *, done: bool) -> None:
        """Body bytes that came together with the head, before `begin`."""
        self._keep(wire)
        self.received += payload
        self._uploaded = done

    def body_part(self, wire: bytes, payload: int, now: float, *, done: bool) -> None:
        """More of the body."""
        self._progress = self._last_byte = now
        self.received += payload
        attempt = self.attempt
        connection = attempt.connection if attempt is not None else None
        if self.phase is _TUNNEL:
            if connection is not None:
                connection.write(wire)
            return
        self._keep(wire)
        if attempt is not None and connection is not None and self.phase in {_AWAITING, _ANSWERING}:
            connection.write(wire)
            if self._replay is not None:
                self._replay.sent()
            if done and self.phase is _AWAITING:
                attempt.written(now)
        self._uploaded = done

    def app_blocked(self) -> None:
        """The app does not read fast enough."""
        if self.phase in _HEARING and self.attempt is not None and self.attempt.connection is not None:
            self.attempt.connection.pause_reading()

    def app_unblocked(self) -> None:
        if self.phase in _HEARING and self.attempt is not None and self.attempt.connection is not None:
            self.attempt.connection.resume_reading()

    def app_ended_its_side(self) -> None:
        """FIN from the app inside a tunnel: passed on; with both ended it is over."""
        if self.attempt is not None and self.attempt.connection is not None:
            self.attempt.connection.write_eof()
            if self.attempt.connection.ended:
                self.tunnel_over()

    def app_left(self) -> None:
        """The app's connection is gone, or its body ended too early: whatever is under way is cancelled."""
        self._abandon(_APP_LEFT)

    def never_whole(self) -> None:
        """Instead of `begin`: FIN came before the end of the body, so no instance shall see any of it."""
        self.upstream.stats.requests_in_flight += 1
        self._abandon(_APP_LEFT)

    def bad_body(self, failure: Failure) -> None:
        """The app's body is malformed: the attempt's connection is aborted, no instance may take it for complete."""
        self._close_attempts(_APP_LEFT, self.upstream.runtime.now())
        if self.answer is None:
            self._fail(failure, self.upstream.runtime.now())
        else:
            self._end(self.answer.status, failure)
            self.app.abort()

    def cut(self, failure: Failure) -> None:
        """Drain is over."""
        self._abandon(failure)
        self.app.abort()

    def expired(self, now: float) -> None:
        """The wheel's turn: the deadline that was armed may have moved since."""
        deadline = self._deadline()
        if deadline > now:
            self.app.arm(deadline)
        elif self.phase is _TUNNEL:
            self.tunnel_over()
        elif self.phase is _ANSWERING:
            # An app that does not read stops the instance, too: that is not the instance's silence.
            self._close_attempts(_APP_LEFT if self.app.blocked else _TIMEOUT, now)
            self._end(self.answer.status if self.answer else 0, _TIMEOUT)
            self.app.abort()
        else:
            self._close_attempts(_TIMEOUT, now)
            self._fail(_TIMEOUT, now)

    def _deadline(self) -> float:
        timeouts = self.upstream.policy.timeouts
        idle = math.inf if timeouts.idle is None else self._last_byte + timeouts.idle
        if self.phase is _ANSWERING or self.phase is _TUNNEL or timeouts.response is None:
            return idle
        return min(self._progress + timeouts.response, idle)

    def _keep(self, wire: bytes) -> None:
        if self._replay is None:
            self._replay = Replay(self.upstream.runtime, self.upstream.policy.retry.replay_buffer)
        self._replay.keep(wire)

    # Choosing and connecting

    def _choose(self, now: float) -> None:
        upstream, trouble = self.upstream, self.trouble
        endpoint = upstream.cluster.pick(now, trouble.excluded if trouble is not None else ())
        if endpoint is None:
            self._nobody(now)
            return
        if trouble is not None and trouble.why_again is not None:
            upstream.stats.retries[trouble.why_again] += 1
            trouble.why_again = None
        attempt = self.attempt = Attempt(self, endpoint, now)
        if trouble is None or not trouble.fresh_only:
            connection = upstream.pool.take(endpoint, now, self.request.idempotent)
            if connection is not None:
                self._send(attempt, connection, now)
                return
        self._connect(attempt, now)

    def _connect(self, attempt: Attempt, now: float) -> None:
        if not self.upstream.has_room():
            self._put_back(attempt, now)
            self._fail(FAILURES["too_many_connections"], now)
            return
        self.phase = _CONNECTING
        self._hold_body()
        self.ensure_trouble().dialling = spawn(self._dial(attempt), name="dial")

    def _put_back(self, attempt: Attempt, now: float) -> None:
        """Nothing was tried: the endpoint is neither praised nor blamed."""
        attempt.over = True
        self.upstream.tell(self.upstream.cluster.report_failure(attempt.endpoint, _APP_LEFT, now))

    async def _dial(self, attempt: Attempt) -> None:
        upstream = self.upstream
        began = upstream.runtime.now()
        try:
            connection = await upstream.dial(attempt.endpoint)
        except DialError as error:
            self.ensure_trouble().dialling = None
            self._not_connected(attempt, error.failure)
            return
        self.ensure_trouble().dialling = None
        now = upstream.runtime.now()
        if connection.ended:
            # Accepted and hung up at once: nothing was sent, as with a refusal.
            self._not_connected(attempt, FAILURES["refused"])
            return
        upstream.tell(upstream.cluster.report_connected(attempt.endpoint, now - began, now))
        self._send(attempt, connection, now)

    def _not_connected(self, attempt: Attempt, failure: Failure) -> None:
        now = self.upstream.runtime.now()
        if failure.reason == "too_many_connections":
            # Our own shortage of descriptors or ports: no endpoint is to blame, and the next dial would fail as well.
            self._put_back(attempt, now)
            if self._has_witness:
                self._back_to_witness()
            elif self.upstream.pool.make_room():
                self._choose(now)
            else:
                self._fail(failure, now)
            return
        self.upstream.pool.restarted(attempt.endpoint)
        self.attempt_failed(attempt, failure)

    def _send(self, attempt: Attempt, connection: "InstanceConnection", now: float) -> None:
        upstream, request = self.upstream, self.request
        attempt.connection = connection
        self.phase = _AWAITING
        if not self._uploaded:
            self.app.instance_unblocked()
        host = upstream.fixed_host
        if host is None and (upstream.endpoint_host or request.authority is None):
            host = upstream.host_for(attempt.endpoint)
        data = request.to_instance(host, via=upstream.policy.via)
        if connection.served:
            attempt.reused = True
            if not request.idempotent and upstream.looks_for_proof:
                attempt.acknowledged = proof.acknowledged(connection.sock)
        replay = self._replay
        if replay is not None:
            data += replay.bytes()
            connection.send(attempt, data)
            replay.sent()
        else:
            connection.send(attempt, data)
        if self._uploaded:
            attempt.owed_since = now
            attempt.endpoint.owed += 1
        else:
            self.app.read_body()
        if upstream.per_try is not None:
            self._limit_try(attempt, upstream.per_try)

    def _limit_try(self, attempt: Attempt, seconds: float) -> None:
        trouble = self.ensure_trouble()
        if trouble.per_try is not None:
            trouble.per_try.cancel()
        trouble.per_try = self.upstream.runtime.loop.call_later(seconds, self._try_over, attempt)

    def _try_over(self, attempt: Attempt) -> None:
        if self.phase is _AWAITING and attempt is self.attempt:
            self.attempt_failed(attempt, _TIMEOUT)

    def _hold_body(self) -> None:
        if not self._uploaded:
            self.app.hold_body()

    # Nobody to ask

    def _nobody(self, now: float) -> None:
        if self._has_witness:
            self._back_to_witness()
            return
        trouble = self.ensure_trouble()
        if trouble.excluded and self.upstream.cluster.usable(now):
            self._ask_again(trouble, now)
        else:
            self._wait(trouble, now)

    def _ask_again(self, trouble: Trouble, now: float) -> None:
        """Everybody usable has failed this request once: the same ones again, after a pause."""
        trouble.excluded.clear()
        last = trouble.last
        if trouble.fresh_only and len(trouble.tries) == 1:
            self._choose(now)
            return
        delay = trouble.next_delay()
        if last is not None and last.sent is Sent.NOTHING:
            # Without quarantine a refusing endpoint stays usable: the round counts as waiting, or it never ended.
            trouble.wait -= delay
            if trouble.wait < 0:
                self._fail(last, now)
                return
        self.phase = _PAUSING
        self._hold_body()
        trouble.pause = self.upstream.runtime.loop.call_later(delay, self._pause_over)

    def _pause_over(self) -> None:
        self._choose(self.upstream.runtime.now())

    def _wait(self, trouble: Trouble, now: float) -> None:
        upstream = self.upstream
        if trouble.wait <= 0:
            self._fail(self._why_nobody(trouble), now)
            return
        if not upstream.waiting.enter(self):
            upstream.stats.waits["overflow"] += 1
            self._fail(FAILURES["queue_full"], now)
            return
        self.phase = _WAITING
        trouble.waited = True
        trouble.wait_began = now
        self._hold_body()
        upstream.count_waiting(1)
        trouble.pause = upstream.runtime.loop.call_later(trouble.wait, self._wait_over)

    def released(self, now: float) -> None:
        """Something is usable again; it may be one that failed this request before."""
        self._stop_waiting("served", now)
        trouble = self.ensure_trouble()
        trouble.excluded.clear()
        self._choose(now)

    def _wait_over(self) -> None:
        now = self.upstream.runtime.now()
        self._stop_waiting("timeout", now)
        self._fail(self._why_nobody(self.ensure_trouble()), now)

    def _stop_waiting(self, result: str, now: float) -> None:
        trouble, upstream = self.ensure_trouble(), self.upstream
        self.phase = _CHOOSING
        trouble.cancel_pause()
        trouble.wait -= now - trouble.wait_began
        upstream.waiting.leave(self)
        upstream.count_waiting(-1)
        upstream.stats.waits[result] += 1

    @staticmethod
    def _why_nobody(trouble: Trouble) -> Failure:
        """The last refusal, if that is why nobody is left."""
        last = trouble.last
        return last if last is not None and last.sent is Sent.NOTHING else FAILURES["no_instance"]

    def ensure_trouble(self) -> Trouble:
        if self.trouble is None:
            self.trouble = Trouble(self.upstream.policy.wait_for_instance.timeout)
        return self.trouble

    # An attempt goes wrong

    def attempt_lost(self, attempt: Attempt, failure: Failure) -> None:
        """Its connection ended before the answer was complete."""
        if attempt.over:
            return
        if self.phase is _TUNNEL:
            self._tunnel_lost(failure)
        elif self.phase is _ANSWERING:
            self._truncate(attempt, failure)
        elif attempt.looks or (attempt.acknowledged is not None and failure.reason == "closed" and not attempt.heard):
            self._look_for_proof(attempt, failure)
        else:
            self.attempt_failed(attempt, failure)

    def _look_for_proof(self, attempt: Attempt, failure: Failure) -> None:
        """FIN came instead of an answer: a RST behind it may prove that the request was never read."""
        connection = attempt.connection
        if attempt.over or connection is None:
            return
        if proof.undelivered(connection.sock, attempt.acknowledged):
            self.attempt_failed(attempt, failure, proven=True)
        elif attempt.looks >= len(_PROOF_PAUSES) or connection.gone:
            self.attempt_failed(attempt, failure)
        else:
            pause = _PROOF_PAUSES[attempt.looks]
            attempt.looks += 1
            self.upstream.runtime.loop.call_later(pause, self._look_for_proof, attempt, failure)

    def attempt_failed(self, attempt: Attempt, failure: Failure, *, proven: bool = False) -> None:
        """No answer will come of it: try elsewhere, or tell the app."""
        if attempt.over:
            return
        if self.phase is _ANSWERING:
            self._truncate(attempt, failure)
            return
        now = self.upstream.runtime.now()
        self._close(attempt, failure, now)
        trouble = self.ensure_trouble()
        if attempt is trouble.witness:
            trouble.witness = None
            return
        if trouble.witness is not None:
            self._back_to_witness()
            return
        self.phase = _CHOOSING
        trouble.last = failure
        decision = self._decide(self._facts(failure=failure, proven=proven), now)
        if decision.action in _RETRIES:
            self._retry(decision, now)
        elif decision.action is Action.AMBIGUOUS and self._closes_on_ambiguous():
            self._count_denial(decision)
            self._end(0, failure)
            self.app.close()
        else:
            self._count_denial(decision)
            self._fail(failure, now)

    def _closes_on_ambiguous(self) -> bool:
        return self.upstream.policy.retry.on_ambiguous is OnAmbiguous.CLOSE

    def _facts(
        self, *, failure: Failure | None = None, status: int = 0, stalled: bool = False, proven: bool = False
    ) -> Facts:
        trouble, attempt = self.trouble, self.attempt
        return Facts(
            failure=failure,
            status=status,
            stalled=stalled,
            idempotent=self.request.idempotent,
            replayable=self._replay is None or self._replay.whole,
            reused=attempt is not None and attempt.reused and not attempt.heard,
            proven_undelivered=proven,
            responded=self.responded,
            retries=trouble.counted if trouble is not None else 0,
            time_left=True,
            other_endpoint=not stalled or self._someone_else(),
        )

    def _decide(self, facts: Facts, now: float) -> Decision:
        return decide(facts, self.upstream.policy.retry, self.upstream.budget, now)

    def _someone_else(self) -> bool:
        excluded = self.trouble.excluded if self.trouble is not None else ()
        own = self.attempt.endpoint if self.attempt is not None else None
        endpoints = self.upstream.cluster.endpoints.values()
        return any(e.state in _USABLE and e is not own and e not in excluded for e in endpoints)

    def _retry(self, decision: Decision, now: float) -> None:
        trouble, attempt = self.ensure_trouble(), self.attempt
        trouble.why_again = decision.reason
        if decision.action is Action.RETRY_COUNTED:
            trouble.counted += 1
        if decision.reason == "proof":
            trouble.proven = True
        if attempt is not None:
            trouble.excluded.add(attempt.endpoint)
            if attempt.reused and trouble.last is not None:
                trouble.fresh_only = True
        self.phase = _CHOOSING
        self._choose(now)

    def _count_denial(self, decision: Decision) -> None:
        if decision.denied is not None:
            self.upstream.stats.retries_denied[decision.denied] += 1
            if decision.exhausted:
                self.ensure_trouble().urx = True

    def _truncate(self, attempt: Attempt, failure: Failure) -> None:
        """The answer has begun and cannot be completed: the app must see that (RFC 9112 §8)."""
        self._close(attempt, failure, self.upstream.runtime.now())
        if self.upstream.policy.retry.retry_on:
            self.upstream.stats.retries_denied["response_started"] += 1
        self._end(self.answer.status if self.answer is not None else 0, failure)
        self.app.abort()

    def _close(self, attempt: Attempt, failure: Failure, now: float) -> None:
        """Ends an attempt without an answer."""
        connection = attempt.connection
        if connection is not None:
            if attempt.reused and not attempt.heard and failure.reason in {"reset", "closed"}:
                self.upstream.pool.flush(attempt.endpoint, connection.idle_since)
                self.upstream.pool.closed_at(attempt.endpoint, attempt.started - connection.idle_since, now)
            connection.close()
        self._report(attempt, failure, now)

    def _report(self, attempt: Attempt, failure: Failure, now: float, *, outcome: Failure | None = None) -> None:
        upstream = self.upstream
        silent = attempt.silent(now) if attempt.owed_since != math.inf else 0.0
        attempt.settled()
        attempt.over = True
        reused = attempt.reused and not attempt.heard
        outcome = outcome or failure
        upstream.stats.attempts[outcome.reason] += 1
        tries = self.ensure_trouble().tries
        tries.append(AttemptRecord(attempt.endpoint.address, outcome.reason, int((now - attempt.started) * 1000)))
        cluster = upstream.cluster
        upstream.tell(cluster.report_failure(attempt.endpoint, failure, now, reused=reused, silent=silent))

    # A stalled endpoint

    def look_for_stall(self, now: float) -> None:
        """Its endpoint fell silent while others answer: a second attempt elsewhere, the first stays as witness."""
        attempt = self.attempt
        if self.phase is not _AWAITING or attempt is None or self._has_witness:
            return
        if attempt.endpoint.state is not State.STALLED or attempt.owed_since == math.inf:
            return
        decision = self._decide(self._facts(stalled=True), now)
        if decision.action not in _RETRIES:
            return
        self.ensure_trouble().witness = attempt
        self._retry(decision, now)

    def _back_to_witness(self) -> None:
        trouble = self.ensure_trouble()
        self.attempt, trouble.witness = trouble.witness, None
        self.phase = _AWAITING

    @property
    def _has_witness(self) -> bool:
        return self.trouble is not None and self.trouble.witness is not None

    def _settle_race(self, winner: Attempt, now: float) -> None:
        """Two attempts were open and one answers: the other is given up."""
        trouble = self.ensure_trouble()
        loser = self.attempt if winner is trouble.witness else trouble.witness
        trouble.cancel_dial()
        self.attempt, trouble.witness = winner, None
        self.phase = _AWAITING
        if loser is not None:
            if loser.connection is not None:
                loser.connection.close()
            self._report(loser, _APP_LEFT, now, outcome=_TIMEOUT)

    # The answer

    def interim(self, attempt: Attempt, answer: ResponseHead) -> None:
        """A 1xx: passed on, and from now on nothing is repeated (not to HTTP/1.0, which knows none)."""
        if self.request.minor == 0:
            return
        if self._has_witness:
            self._settle_race(attempt, self.upstream.runtime.now())
        self._last_byte = self.upstream.runtime.now()
        self.responded = True
        self.app.write(answer.to_app(self.request, keep_alive=True))

    def answered(self, attempt: Attempt, answer: ResponseHead, wire: bytes, payload: int, *, done: bool) -> None:
        """The final head, with as much of the body as came with it."""
        upstream = self.upstream
        now = upstream.runtime.now()
        if self.trouble is not None and self.trouble.witness is not None:
            self._settle_race(attempt, now)
        if attempt.owed_since != math.inf:
            attempt.owed_since = math.inf
            attempt.endpoint.owed -= 1
        self.head_at = now
        if not self._uploaded:
            answer.reusable = False
        status = answer.status
        if status in _GATEWAY and self._another(attempt, answer, now, done=done):
            return
        app = self.app
        self._keep_app = keep = self._uploaded and answer.keeps_app(self.request)
        try:
            extra = ending.extra_fields(self) if upstream.adds_fields else b""
            head = answer.to_app(self.request, keep_alive=keep, extra=extra)
        except BadMessage as error:
            self.attempt_failed(attempt, error.failure)
            return
        self.answer = answer
        self.responded = True
        self.sent = payload
        app.write(head + wire if wire else head)
        if done:
            self._complete(attempt, answer, now)
        else:
            self.phase = _ANSWERING
            self._last_byte = now
            app.arm(self._deadline())
            if app.blocked:
                self.app_blocked()

    def _another(self, attempt: Attempt, answer: ResponseHead, now: float, *, done: bool) -> bool:
        """A gateway error: another endpoint may do better."""
        decision = self._decide(self._facts(status=answer.status), now)
        if decision.action not in _RETRIES:
            self._count_denial(decision)
            return False
        trouble = self.ensure_trouble()
        trouble.tries.append(AttemptRecord(attempt.endpoint.address, "ok", int((now - attempt.started) * 1000)))
        trouble.last = None
        self._leave(attempt, answer, now, clean=done)
        self._retry(decision, now)
        return True

    def answer_part(self, attempt: Attempt, wire: bytes, payload: int = 0, *, done: bool) -> None:
        """More of the answer's body."""
        now = self._last_byte = self.upstream.runtime.now()
        self.sent += payload
        if wire:
            self.app.write(wire)
        if done and self.answer is not None:
            self._complete(attempt, self.answer, now)

    def instance_blocked(self) -> None:
        """The instance does not read fast enough."""
        self.app.instance_blocked()

    def instance_unblocked(self) -> None:
        self.app.instance_unblocked()

    def _complete(self, attempt: Attempt, answer: ResponseHead, now: float) -> None:
        self._leave(attempt, answer, now, clean=True)
        ending.end(self, answer.status, None, now)
        self._close_down()
        self.app.finished(now, keep_alive=self._keep_app)

    def _leave(self, attempt: Attempt, answer: ResponseHead, now: float, *, clean: bool) -> None:
        """An attempt ends with an answer: its connection goes back to the pool if nothing speaks against it."""
        upstream, endpoint, connection = self.upstream, attempt.endpoint, attempt.connection
        attempt.over = True
        upstream.stats.attempts["ok"] += 1
        status = answer.status
        marker = upstream.leaving_header
        leaving = (status == 503 or marker is not None) and answer.leaving(marker)
        events = upstream.cluster.report_answer(endpoint, status, now, leaving=leaving, closing=answer.closes)
        if connection is not None:
            if answer.keep_alive_timeout is not None:
                upstream.pool.said(endpoint, answer.keep_alive_timeout, now)
            if clean and answer.reusable:
                connection.release()
                upstream.pool.put(endpoint, connection, now)
            elif answer.upgrade is not None:
                connection.finish()
            else:
                connection.close()
        if events:
            upstream.tell(events)

    # Tunnel

    def switched(self, attempt: Attempt, answer: ResponseHead, rest: bytes) -> None:
        """101: from now on bytes go both ways as they are, under the idle limit alone."""
        now = self.upstream.runtime.now()
        if self._has_witness:
            self._settle_race(attempt, now)
        attempt.settled()
        self.answer, self.head_at, self.responded = answer, now, True
        self.phase = _TUNNEL
        self._last_byte = now
        self.sent = len(rest)
        self.app.write(answer.to_app(self.request, keep_alive=True) + rest)
        self.app.open_tunnel()
        self.app.arm(self._deadline())

    def instance_ended_its_side(self) -> None:
        """FIN from the instance inside a tunnel: passed on; with both ended it is over."""
        if self.app.ended:
            self.tunnel_over()
        else:
            self.app.write_eof()

    def tunnel_over(self) -> None:
        """Both sides ended, or nobody said anything for too long."""
        attempt, answer = self.attempt, self.answer
        if attempt is not None and answer is not None:
            self._leave(attempt, answer, self.upstream.runtime.now(), clean=False)
        self._end(101, None)
        self.app.close()

    def _tunnel_lost(self, failure: Failure) -> None:
        if self.attempt is not None:
            self._close(self.attempt, failure, self.upstream.runtime.now())
        self._end(101, failure)
        self.app.abort()

    # The end

    def _fail(self, failure: Failure, now: float) -> None:
        """A local answer: what failed, where, after how many attempts."""
        upstream, request, trouble = self.upstream, self.request, self.trouble
        keep = request.keep_alive and self._uploaded
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
        self._end(failure.status, failure)
        self.app.finished(now, keep_alive=keep)

    def _abandon(self, failure: Failure) -> None:
        """Nobody waits for the answer any more."""
        now = self.upstream.runtime.now()
        if self.phase is _WAITING:
            self._stop_waiting("app_left", now)
        self._close_attempts(_APP_LEFT, now)
        self._end(self.answer.status if self.answer is not None else 0, failure)

    def _close_attempts(self, failure: Failure, now: float) -> None:
        trouble = self.ensure_trouble()
        trouble.cancel_dial()
        if self.phase is _WAITING:
            self._stop_waiting("timeout", now)
        for attempt in (trouble.witness, self.attempt if self.phase in _OPEN else None):
            if attempt is not None:
                neutral = attempt.connection is None
                self._close_quietly(attempt, _APP_LEFT if neutral else failure, now, outcome=failure)
        trouble.witness = None
        self.phase = _CHOOSING

    def _close_quietly(self, attempt: Attempt, failure: Failure, now: float, *, outcome: Failure) -> None:
        if attempt.connection is not None:
            attempt.connection.close()
        self._report(attempt, failure, now, outcome=outcome)

    def _end(self, code: int, failure: Failure | None) -> None:
        ending.end(self, code, failure, self.upstream.runtime.now())
        self._close_down()

    def _close_down(self) -> None:
        self.phase = _DONE
        if self._replay is not None:
            self._replay.drop()
        if self.trouble is not None:
            self.trouble.cancel_timers()


_HEARING = frozenset({_AWAITING, _ANSWERING, _TUNNEL})
"""Phases in which an instance may speak."""

_OPEN = frozenset({_CONNECTING, _AWAITING, _ANSWERING, _TUNNEL})
"""Phases in which an attempt is under way."""
