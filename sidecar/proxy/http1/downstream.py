"""The app's side: one connection, one request at a time, in order (RFC 9112 §9.3.2).

What is read while a request is in flight belongs to its body or to the next request; the latter is kept, within
a bound. Reading stops while the body has nowhere to go, so that an app that sends faster than an instance reads
costs no memory.
"""

import asyncio
import math
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from sidecar.cluster.policy import ServicePolicy
from sidecar.cluster.stats import ServiceStats
from sidecar.errors import FAILURES, Failure
from sidecar.proxy.http1 import tunnel
from sidecar.proxy.http1.body import Body, ChunkedBody, LengthBody, RawBody
from sidecar.proxy.http1.exchange import Exchange
from sidecar.proxy.http1.handover import WORTH_IT
from sidecar.proxy.http1.local import LocalAnswer, body_size
from sidecar.proxy.http1.message import BAD_REQUEST, BadMessage, Framing
from sidecar.proxy.http1.phase import Phase
from sidecar.proxy.http1.request import RequestHead, read_request
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.sockets import HIGH_WATER, LOW_WATER, end_writing, reset_on_close, untaken
from sidecar.proxy.wheel import Timer
from sidecar.record import Record

if TYPE_CHECKING:
    from sidecar.proxy.unnamed import Unnamed
    from sidecar.proxy.upstream import Upstream

MAX_PIPELINED = 64 * 1024
"""Bytes of later requests that are kept while one is in flight."""

LINGER_TIME, LINGER_BYTES = 2.0, 1024 * 1024
"""After a last answer with request bytes still coming: how long, and how much, is read and thrown away. Without
that the kernel's RST would destroy the answer in the app's receive buffer (RFC 9112 §9.6)."""

_NONE, _LENGTH = Framing.NONE, Framing.LENGTH

LEARNING_PAUSE = 0.05
"""Seconds until it is asked again whose an address is, while lists are expected."""


class Entrance(Protocol):
    """The way in that a connection came through: a service's own listener, or the shared one."""

    policy: ServicePolicy
    """What holds before a request is routed: limits and the clocks of the app's side."""
    service: "Upstream | None"
    """Whose listener it is; None: the shared one."""
    dialled: str | None
    """The address of the instance that the app had connected to, where we came between."""
    unnamed: "Unnamed | None"
    """Knows more of hosts that name no service."""

    def route(self, authority: bytes | None) -> "Upstream | None":
        """The service that a request names."""
        ...


class WayIn(Protocol):
    """A listener: a reload swaps its entrance, for open connections, too."""

    @property
    def entrance(self) -> Entrance: ...


_NOTHING, _UNCONNECTED, _INSTANCE_BLOCKED, _PIPELINE, _HANDED_OVER = 0, 1, 2, 4, 8
"""Reasons for which reading from the app is paused; a set of bits."""


class AppConnection(asyncio.Protocol):
    """One connection of the app."""

    __slots__ = (
        "_body",
        "_closing",
        "_follows",
        "_held",
        "_hold",
        "_idle_limit",
        "_learn_until",
        "_lingered",
        "_runtime",
        "_stats",
        "_timer",
        "_transport",
        "_untaken",
        "_way_in",
        "_wheel",
        "blocked",
        "ended",
        "exchange",
        "sock",
        "write",
    )

    write: Callable[[bytes], None]
    """The transport's own: one call less for each head."""

    def __init__(self, runtime: Runtime, way_in: "WayIn", sock: socket.socket) -> None:
        self._runtime = runtime
        self._way_in = way_in
        self._wheel = runtime.wheel
        self._idle_limit = 0.0
        self.sock = sock
        self._transport: asyncio.Transport
        self._timer = Timer(self._expired)
        self.exchange: Exchange | None = None
        self._body: Body | None = None
        """Of the request in flight, as long as it is not complete."""
        self._held = b""
        self._hold = _NOTHING
        self._follows = False
        """A pipelined request is about to be read, or one of which nobody knows yet where it goes."""
        self._learn_until = 0.0
        """How long that one waits; 0: there is none."""
        self._stats: ServiceStats | None = None
        self.blocked = False
        """It takes no more bytes for now."""
        self.ended = False
        """FIN has come; what is asked is still answered."""
        self._closing = False
        self._lingered = 0
        self._untaken = math.inf
        """Bytes that waited for the app at the last look."""

    def __repr__(self) -> str:
        return f"<AppConnection {self.exchange!r}>" if self.exchange else "<AppConnection idle>"

    @property
    def busy(self) -> bool:
        """A request is in flight."""
        return self.exchange is not None

    @property
    def unwritten(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        self.write = self._transport.write
        self._runtime.connections.add(self)
        entrance = self._way_in.entrance
        self._idle_limit = entrance.policy.keepalive.app_idle_timeout
        if entrance.service is not None:
            self._stats = entrance.service.stats
        else:
            self._stats = self._runtime.stats.unrouted
        self._stats.app_connections += 1
        self.arm(self._runtime.now() + self._idle_limit)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            if self._closing:
                self._discard(data)
            elif self.blocked or self._follows:
                # An app that asks without reading what it gets is not answered into our memory.
                self._hold_back(data)
            else:
                self._read(self._held + data if self._held else data)
        elif self._body is not None:
            self._read_body(exchange, self._body, data)
        else:
            self._hold_back(data)

    def eof_received(self) -> bool:
        """FIN: an app may end its side after a complete request and still want the answer."""
        self.ended = True
        exchange = self.exchange
        if exchange is None:
            return self._follows or (self.blocked and bool(self._held))
        if exchange.phase is Phase.TUNNEL:
            tunnel.app_ended_its_side(exchange)
            return True
        if self._body is not None:
            exchange.app_left()
            self.exchange = None
            return False
        return True

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self.ended = self._closing = True
        self._wheel.cancel(self._timer)
        self._runtime.connections.discard(self)
        if self._stats is not None:
            self._stats.app_connections -= 1
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.app_left()

    def pause_writing(self) -> None:
        self.blocked = True
        if self.exchange is not None:
            self.exchange.app_blocked()

    def resume_writing(self) -> None:
        self.blocked = False
        self._untaken = math.inf
        if self.exchange is not None:
            self.exchange.app_unblocked()
        else:
            self._go_on()

    # What the exchange asks for

    def arm(self, deadline: float) -> None:
        """Moves the one deadline of this connection."""
        self._wheel.arm(self._timer, deadline)

    def hold_body(self) -> None:
        """No connection to an instance: no more of the body for now."""
        self._pause(_UNCONNECTED)

    def read_body(self) -> None:
        self._resume(_UNCONNECTED)

    def instance_blocked(self) -> None:
        self._pause(_INSTANCE_BLOCKED)

    def instance_unblocked(self) -> None:
        self._resume(_INSTANCE_BLOCKED)

    def uploaded(self) -> None:
        """The rest of the body, which was handed over, has gone."""
        self._body = None
        self.read_on()

    def read_on(self) -> None:
        """What was handed over is done with, or given back."""
        self._resume(_HANDED_OVER)

    def upload_ended(self, error: OSError | None) -> None:
        """In the middle of what was handed over: what a loop does after a FIN, or with an error after something worse."""
        if error is not None:
            self._transport.abort()
        elif not self.eof_received():
            self._transport.close()

    def open_tunnel(self) -> None:
        """After 101: what was read beyond the request is the first of the other protocol."""
        self._body = RawBody()
        held, self._held = self._held, b""
        self._resume(_PIPELINE)
        if held:
            self.data_received(held)
        if self.ended and self.exchange is not None:
            tunnel.app_ended_its_side(self.exchange)

    def write_eof(self) -> None:
        end_writing(self._transport)

    def finished(self, now: float, keep_alive: bool) -> None:  # noqa: FBT001 - once a request
        """The answer is written completely."""
        self.exchange = None
        unread = self._body is not None
        self._body = None
        if not keep_alive:
            self._finish(now, unread=unread or bool(self._held))
            return
        if self._hold:
            self._resume(_UNCONNECTED | _INSTANCE_BLOCKED if self._held else self._hold)
        if self._held:
            # Not at once: a run of answers that need no instance would become a recursion.
            self._follows = True
            self._runtime.loop.call_soon(self._go_on)
        elif self.ended:
            self.close()
        else:
            self._wheel.arm(self._timer, now + self._idle_limit)

    def close(self) -> None:
        """FIN, after what is written, for as long as the app takes it."""
        self._closing = True
        self.exchange = None
        self._transport.close()
        if self.unwritten:
            self._untaken = self._left()
            self.arm(self._runtime.now() + self._slowness)

    def abort(self) -> None:
        """RST: the app must not take what it got for complete."""
        self._closing = True
        self.exchange = None
        reset_on_close(self.sock)
        self._transport.abort()

    def cut(self, failure: Failure) -> None:
        """Drain is over: the request in flight ends with RST."""
        if self.exchange is not None:
            self.exchange.cut(failure)

    def uses(self, upstream: "Upstream") -> bool:
        """The request in flight began under this service."""
        return self.exchange is not None and self.exchange.upstream is upstream

    def look_for_stall(self, upstream: "Upstream", now: float) -> None:
        """An endpoint of this service fell silent: does the request in flight wait for it?"""
        if self.exchange is not None and self.uses(upstream):
            self.exchange.look_for_stall(now)

    # Requests

    def _go_on(self) -> None:
        """The next pipelined request; without one, an app that has ended its side is let go."""
        self._follows = False
        if self.busy or self._closing:
            return
        if self.blocked:
            self.arm(self._runtime.now() + self._idle_limit)
            return
        held, self._held = self._held, b""
        if held:
            self._read(held)
        if len(self._held) <= MAX_PIPELINED or not self._has_later:
            self._resume(_PIPELINE)  # not for each request: what one read brings may hold thousands of them
        if not self._follows:
            self._learn_until = 0.0
        self._let_go()

    @property
    def _has_later(self) -> bool:
        """What is held is of requests whose turn has not come, and not the beginning of one."""
        return self.exchange is not None or self._follows

    def _let_go(self) -> None:
        """FIN has come and nothing is asked any more."""
        if self.ended and not self.busy and not self._closing and not self._follows:
            self.close()

    def _read(self, data: bytes) -> None:
        entrance = self._way_in.entrance
        try:
            request = read_request(data, entrance.policy.limits)
        except BadMessage as error:
            self._held = data
            self._refuse(error.failure, entrance.service)
            return
        if request is None:
            self._await_head(data, entrance.policy.timeouts.request_head)
            return
        now = self._runtime.now()
        upstream, dialled = entrance.service or entrance.route(request.authority), entrance.dialled
        if upstream is None:
            destination = self._find(entrance, request, data, now)
            if destination is None:
                return
            upstream, dialled = destination
        exchange = self.exchange = Exchange(self, upstream, request, now, dialled)
        if request.framing is _NONE:
            self._held = data[request.size :] if request.size < len(data) else b""
        else:
            self._held = b""
            if not self._begin_body(exchange, request, data[request.size :]):
                return
            if self.ended and self._body is not None:
                exchange.never_whole()
                self.close()
                return
        exchange.begin(now)

    def _find(
        self, entrance: Entrance, request: RequestHead, data: bytes, now: float
    ) -> "tuple[Upstream, str | None] | None":
        """Where one goes whose host names no service; None: it is refused, or asks again soon."""
        unnamed, authority = entrance.unnamed, request.authority
        if unnamed is not None and authority is not None:
            if (found := unnamed.by_address(authority, now)) is not None:
                return found
            if unnamed.may_learn(authority, now) and self._may_wait(entrance, now):
                self._held = b""
                self._hold_back(data)
                self._follows = True
                self._runtime.loop.call_later(LEARNING_PAUSE, self._go_on)
                return None
            self._learn_until = 0.0
            if (host := unnamed.beyond(request, self.sock)) is not None:
                return host, None
        self._refuse(FAILURES["no_service"], None, request)
        return None

    def _may_wait(self, entrance: Entrance, now: float) -> bool:
        """For a list that says whose an address is, as long as a request may wait for an instance."""
        if not self._learn_until:
            self._learn_until = now + entrance.policy.wait_for_instance.timeout
            self.arm(math.inf)
        return now < self._learn_until

    def _await_head(self, data: bytes, limit: float) -> None:
        """The head's clock runs from its first byte; empty lines before it are none (RFC 9112 §2.2)."""
        if not data.lstrip(b"\r\n"):
            self.arm(self._runtime.now() + self._idle_limit)
        elif not self._head_began:
            self.arm(self._runtime.now() + limit)
        self._held = data

    @property
    def _head_began(self) -> bool:
        return bool(self._held.lstrip(b"\r\n"))

    def _begin_body(self, exchange: Exchange, request: RequestHead, data: bytes) -> bool:
        body: Body
        body = LengthBody(request.length) if request.framing is _LENGTH else ChunkedBody(BAD_REQUEST, padded=False)
        self._body = body
        if not data:
            return True
        try:
            wire = body.feed(data)
        except BadMessage as error:
            self.exchange = None
            self._refuse(error.failure, exchange.upstream, request)
            return False
        if body.done:
            self._body = None
            self._held = body.leftover
        exchange.keep_first(wire, body.payload, done=body.done)
        return True

    def _read_body(self, exchange: Exchange, body: Body, data: bytes) -> None:
        before = body.payload
        try:
            wire = body.feed(data)
        except BadMessage as error:
            self._body = None
            self._held = data
            exchange.bad_body(error.failure)
            return
        if body.done:
            self._body = None
            self._held = body.leftover
        exchange.body_part(wire, body.payload - before, self._runtime.now(), done=body.done)
        if (
            self._runtime.splices
            and isinstance(body, LengthBody)
            and body.left >= WORTH_IT
            and exchange.hand_over(body)
        ):
            self._pause(_HANDED_OVER)

    def _refuse(self, failure: Failure, service: "Upstream | None", request: RequestHead | None = None) -> None:
        """Answers a request that does not reach any service, and closes."""
        name = service.cluster.name if service is not None else "-"
        local = LocalAnswer(failure, service=name)
        answer = local.to_app(request, keep_alive=False, date=self._runtime.date(), begun=self._held)
        sent = body_size(answer)
        self.write(answer)
        stats = service.stats if service is not None else self._runtime.stats.unrouted
        stats.flagged[failure.status, failure.flag] += 1
        stats.bytes_to_app += sent
        if self._runtime.wants_record(notable=True):
            self._runtime.log(self._refusal(failure, name, request, sent))
        self._body = None
        self._finish(self._runtime.now(), unread=True)

    def _refusal(self, failure: Failure, service: str, request: RequestHead | None, sent: int) -> Record:
        return Record(
            started=self._runtime.wall(),
            service=service,
            method=request.method.decode("latin-1") if request else None,
            path=request.target.decode("latin-1") if request else None,
            protocol=f"HTTP/1.{request.minor}" if request else None,
            code=failure.status,
            flags=failure.flag,
            details=failure.reason,
            bytes_sent=sent,
            authority=_text(request.authority) if request else None,
            user_agent=_text(request.user_agent) if request else None,
            request_id=_text(request.request_id) if request else None,
            forwarded_for=_text(request.forwarded_for) if request else None,
            trace_id=_text(request.trace_id) if request else None,
        )

    # The end

    def _finish(self, now: float, *, unread: bool) -> None:
        """The last answer is written: close, but not in the face of an app that is still sending."""
        self._closing = True
        self._held = b""
        if not unread or self.ended:
            self.close()
            return
        self._resume(self._hold)
        self.write_eof()
        self.arm(now + LINGER_TIME)

    def _discard(self, data: bytes) -> None:
        self._lingered += len(data)
        if self._lingered > LINGER_BYTES:
            self.close()

    def _expired(self, now: float) -> None:
        if self.exchange is not None:
            self.exchange.expired(now)
        elif self.blocked or self._transport.is_closing():
            self._wait_until_taken(now)
        elif self._head_began and not self._closing:
            self._refuse(FAILURES["head_timeout"], self._way_in.entrance.service)
        else:
            self.close()

    def _wait_until_taken(self, now: float) -> None:
        """What is written goes first, but not to an app that takes none of it."""
        left = self._left()
        if left >= self._untaken:
            self.abort()
        else:
            self._untaken = left
            self.arm(now + self._slowness)

    @property
    def _slowness(self) -> float:
        """Seconds in which an app may take nothing: as in the middle of an answer."""
        idle = self._way_in.entrance.policy.timeouts.idle
        return self._idle_limit if idle is None else idle

    def _left(self) -> int:
        """A kernel has megabytes of it, and asks for more only when a third of them is gone."""
        return self.unwritten + untaken(self.sock)

    # Flow control

    def _hold_back(self, data: bytes) -> None:
        """Bytes of a later request."""
        self._held += data
        if len(self._held) > MAX_PIPELINED:
            self._pause(_PIPELINE)

    def _pause(self, why: int) -> None:
        if not self._hold and not self._transport.is_closing():
            self._transport.pause_reading()
        self._hold |= why

    def _resume(self, why: int) -> None:
        if not self._hold:
            return
        self._hold &= ~why
        if not self._hold and not self._transport.is_closing():
            self._transport.resume_reading()


def _text(value: bytes | None) -> str | None:
    return value.decode("latin-1") if value else None
