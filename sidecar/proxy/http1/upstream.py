"""The instance's side: one connection, serving one attempt after another.

Between two attempts it lies in the pool, where any byte and any end is a reason to drop it: bytes nobody asked
for could be taken for the next answer (RFC 9112 §9.2).
"""

import asyncio
import socket
from typing import TYPE_CHECKING, cast

from sidecar.cluster.endpoint import Endpoint
from sidecar.errors import FAILURES
from sidecar.proxy.connect import lost
from sidecar.proxy.http1 import recovery, tunnel
from sidecar.proxy.http1.body import Body, ChunkedBody, LengthBody, RawBody, UntilCloseBody
from sidecar.proxy.http1.message import PROTOCOL, BadMessage, Framing
from sidecar.proxy.http1.phase import Phase
from sidecar.proxy.http1.response import ResponseHead, read_response
from sidecar.proxy.sockets import (
    BLACK_HOLE_MS,
    HIGH_WATER,
    LOW_WATER,
    SMALL,
    end_writing,
    last_words,
    set_black_hole_limit,
    window,
)
from sidecar.proxy.tls import TlsTransport

if TYPE_CHECKING:
    from sidecar.proxy.http1.attempt import Attempt
    from sidecar.proxy.upstream import Upstream

LAST_BYTES = 300.0
"""Seconds for them where there is no limit on idling."""

_LONGEST_MS = 2**31 - 1
"""What the kernel takes for a number."""

_NONE, _LENGTH, _CHUNKED = Framing.NONE, Framing.LENGTH, Framing.CHUNKED
_DONE = Phase.DONE
_APP_LEFT = FAILURES["app_left"]


class InstanceConnection(asyncio.Protocol):
    """One connection to one endpoint."""

    __slots__ = (
        "_body",
        "_broken",
        "_counted",
        "_held",
        "_patient",
        "_paused",
        "_room",
        "_transport",
        "_upstream",
        "_written",
        "attempt",
        "blocked",
        "ended",
        "endpoint",
        "gone",
        "idle_since",
        "served",
        "sock",
        "spent",
    )

    def __init__(self, upstream: "Upstream", endpoint: Endpoint, sock: socket.socket) -> None:
        self._upstream = upstream
        self.endpoint = endpoint
        self.sock = sock
        self.attempt: Attempt | None = None
        self.served = 0
        """Exchanges completed on it."""
        self.idle_since = 0.0
        self.spent = False
        """Nothing may follow on it: more came than the answer has, or less went than the request has."""
        self.blocked = False
        """It takes no more bytes for now."""
        self._transport: asyncio.Transport
        self.ended = False
        """FIN or worse has come, or we ended it."""
        self.gone = False
        """The transport is closed."""
        self._counted = False
        self._held = b""
        self._body: Body | None = None
        self._written = 0
        self._room = SMALL
        """Bytes that its kernel takes at least."""
        self._patient = False
        self._paused = False
        self._broken: OSError | None = None

    def __repr__(self) -> str:
        state = "ended" if self.ended else "busy" if self.attempt else "idle"
        return f"<InstanceConnection {self.endpoint.address} {state}, {self.served} served>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        self.idle_since = self._upstream.runtime.now()

    def count(self) -> None:
        """Its dial came to its end: from now on it is one of the service's open connections.

        Not before: one loop tells a connection whose dial is cancelled that it is made, but never that it is lost.
        """
        if not self.gone:
            self._counted = True
            self._upstream.pool.opened(self.endpoint)

    # What the exchange does with it

    def send(self, attempt: "Attempt", data: bytes) -> None:
        """Begins an attempt: the request's head with all of the body that is there."""
        self.attempt = attempt
        self._body = None
        self._written = len(data)
        if self._written > self._room:
            self._mind_the_window()
        self._transport.write(data)

    def write(self, data: bytes) -> None:
        """More of the request's body."""
        self._written += len(data)
        if self._written > self._room and not self._patient:
            self._mind_the_window()
        self._transport.write(data)

    @property
    def plain(self) -> bool:
        """No TLS: what is written goes to the socket as it is."""
        return not isinstance(self._transport, TlsTransport)

    @property
    def unwritten(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def be_patient(self) -> None:
        """The request is large: an instance may be slow to read it and is still no black hole."""
        if not self._patient and not self._transport.is_closing():
            self._patient = True
            self._limit_silence(0)

    def unwritable(self, error: OSError) -> None:
        """Its socket takes no more of what came there beside the transport. One that has ended says so to whoever reads."""
        self._broken = error
        if not isinstance(error, ConnectionError):
            self._transport.abort()

    def release(self) -> None:
        """The attempt is over and left nothing behind; the connection may serve again."""
        self.attempt = None
        self.served += 1
        if self._patient:
            self._patient = False
            self._limit_silence(BLACK_HOLE_MS)
        if self._paused:
            self.resume_reading()

    def pause_reading(self) -> None:
        self._paused = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def alive(self) -> bool:
        """Peeks right before reuse: an end, or bytes nobody asked for, that the loop has not seen yet."""
        if self.ended or self._transport.is_closing():
            return False
        try:
            found = self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(found) and isinstance(self._transport, TlsTransport) and self._transport.still_silent()

    def close(self) -> None:
        """Ends it now; whatever was going on there is nobody's any more."""
        idle, self.attempt = self.attempt is None, None
        self.ended = True
        if idle:
            self._transport.close()  # nothing is left unsaid: with TLS the instance is told that this is the end
        else:
            self._transport.abort()

    def finish(self) -> None:
        """Ends it after what is written, for as long as the instance takes some of it: the kernel is to see to that."""
        self.attempt = None
        self.ended = True
        self._limit_silence(min(round(1000 * (self._upstream.policy.timeouts.idle or LAST_BYTES)), _LONGEST_MS))
        self._transport.close()

    def write_eof(self) -> None:
        """The app ended its side of a tunnel."""
        end_writing(self._transport)

    # What the loop calls

    def data_received(self, data: bytes) -> None:
        attempt = self.attempt
        if attempt is None:
            self._end_idle()
            return
        self.endpoint.heard = True
        if attempt.exchange.phase is _DONE:
            # The app's connection may serve its next request by now: this must never be taken for its answer.
            attempt.given_up(_APP_LEFT, self._upstream.runtime.now(), outcome=_APP_LEFT)
            return
        try:
            if self._body is not None:
                self._go_on(attempt, self._body, data)
            else:
                self._read_heads(attempt, self._held + data if self._held else data)
        except BadMessage as error:
            recovery.attempt_failed(attempt, error.failure)

    def eof_received(self) -> bool:
        """FIN. The transport stays open for as long as the end is looked into."""
        attempt = self.attempt
        if attempt is None:
            self._end_idle()
            return False
        body = self._body
        if isinstance(body, UntilCloseBody) and self._broken is None:
            wire = body.end()
            attempt.exchange.answer_part(attempt, wire, done=True)
            return False
        self.ended = True
        if isinstance(body, RawBody):
            tunnel.instance_ended_its_side(attempt.exchange)
        else:
            recovery.attempt_lost(attempt, lost(self._broken))
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None and self.attempt is not None and self.plain:  # what comes by TLS is read by that alone
            self.spent = True
            for data in last_words(self.sock):  # such as a 413 to a body that goes on
                self.data_received(data)
        attempt, self.attempt = self.attempt, None
        was_ended, self.ended, self.gone = self.ended, True, True
        if attempt is not None:
            recovery.attempt_lost(attempt, lost(error or self._broken))
        elif not was_ended:
            self._upstream.ended_idle(self)
        if self._counted:
            self._upstream.pool.closed(self.endpoint)

    def pause_writing(self) -> None:
        self.blocked = True
        if self.attempt is not None:
            self.attempt.exchange.instance_blocked()

    def resume_writing(self) -> None:
        self.blocked = False
        if self.attempt is not None:
            self.attempt.exchange.instance_unblocked()

    def _end_idle(self) -> None:
        if not self.ended:
            self.ended = True
            self._upstream.ended_idle(self)
            self._transport.abort()

    def _mind_the_window(self) -> None:
        """What its kernel has no room for is not acknowledged until its program reads."""
        self._room = max(self._room, window(self.sock))
        if self._written > self._room:
            self.be_patient()

    def _limit_silence(self, milliseconds: int) -> None:
        if not self._transport.is_closing():
            set_black_hole_limit(self.sock, milliseconds)

    def _read_heads(self, attempt: "Attempt", data: bytes) -> None:
        exchange = attempt.exchange
        while True:
            answer = read_response(data, exchange.request, self._upstream.policy.limits)
            if answer is None:
                self._held = data
                attempt.heard = attempt.heard or bool(data)
                return
            attempt.heard = True
            data = data[answer.size :]
            if answer.status >= 200 or answer.status == 101:
                break
            exchange.interim(attempt, answer)
            if not data or self.attempt is None:
                self._held = b""
                return
        self._held = b""
        framing = answer.framing
        if answer.upgrade is not None:
            self._body = RawBody()
            tunnel.switched(attempt, answer, data)
        elif framing is _LENGTH and len(data) == answer.length:
            exchange.answered(attempt, answer, data, len(data), True)
        elif framing is _NONE:
            self.spent = bool(data)
            exchange.answered(attempt, answer, b"", 0, True)
        else:
            self._begin_body(attempt, answer, data)

    def _begin_body(self, attempt: "Attempt", answer: ResponseHead, data: bytes) -> None:
        request = attempt.exchange.request
        body: Body
        if answer.framing is _LENGTH:
            body = LengthBody(answer.length)
        elif answer.framing is _CHUNKED:
            trailers = request.te_trailers or answer.trailers_declared
            body = ChunkedBody(PROTOCOL, padded=True, chunks=answer.chunked_to(request), trailers=trailers)
        else:
            body = UntilCloseBody(chunks=answer.chunked_to(request))
        self._body = body
        wire = body.feed(data) if data else b""
        self.spent = bool(body.leftover)
        attempt.exchange.answered(attempt, answer, wire, body.payload, body.done)

    def _go_on(self, attempt: "Attempt", body: Body, data: bytes) -> None:
        before = body.payload
        wire = body.feed(data)
        self.spent = self.spent or bool(body.leftover)
        attempt.exchange.answer_part(attempt, wire, body.payload - before, done=body.done)
