"""A relay that may turn out to be HTTP: an app's connection to an address of which only the service's protocol is known.

    app speaks first ──▶ a request line? ──▶ HTTP: the connection is handed over, nothing had been counted
                     └─▶ anything else ───▶ a relay as to any tcp service
    app is silent ─────▶ an instance is dialled all the same, for the server may be the one to speak first
                           server speaks ──▶ a relay for good
                           server ends ────▶ at once: it was about to stop, another one is dialled; later: a relay for good
                           app speaks ─────▶ as above; where it is HTTP, the instance that was dialled is let go of

So HTTP is told from TCP by what is said, never by how long it takes to be said: a slow app is only served by one
connection more than it needs.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from sidecar.errors import FAILURES, Failure
from sidecar.proxy.first_bytes import Guess, guess
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.tcp.ends import AppEnd, End, InstanceEnd
from sidecar.proxy.tcp.reaching import hung_up
from sidecar.proxy.tcp.relay import Relay

if TYPE_CHECKING:
    from sidecar.proxy.upstream import Upstream

SILENCE = 0.01
"""Seconds in which an app that speaks first has spoken, as a rule: until then nothing is dialled in vain."""

HUNG_UP = 1.0
"""Seconds after the dial until which the end of an instance that said nothing means that it is about to stop. The end of
one that waited longer is the answer of its protocol to an app that keeps silent: servers give it ten seconds and more."""

_APP_LEFT = FAILURES["app_left"]

Handover = Callable[[socket.socket], asyncio.Protocol]
"""Makes what serves the connection as HTTP."""


class Hesitant(Relay):
    """Undecided until somebody has spoken."""

    __slots__ = ("_handover", "_joined_at", "_silence", "decided")

    def __init__(
        self, runtime: Runtime, upstream: "Upstream", sock: socket.socket, dialled: str, handover: Handover
    ) -> None:
        super().__init__(runtime, upstream, sock, dialled)
        self.app = UnsureEnd(self, sock)
        self._handover = handover
        self._silence: asyncio.TimerHandle | None = None
        self._joined_at = 0.0
        self.decided = False
        """It is a relay for good."""

    def accepted(self) -> None:
        """Waits a moment for the app to speak."""
        self.runtime.connections.add(self.app)
        self.upstream.stats.app_connections += 1
        self._silence = self.runtime.loop.call_later(SILENCE, self.begin)

    def begin(self) -> None:
        """Seeks an instance."""
        self._no_more_silence()
        if not self.begun and not self.over:
            super().begin()

    def decide(self) -> None:
        """Somebody speaks another protocol."""
        self._settle()
        if self.instance is not None:
            self.app.join(self.instance)
        else:
            self.begin()

    def has_no_use_for(self, instance: InstanceEnd) -> bool:
        """Nor for one that has ended without a word, if the app has not spoken."""
        return super().has_no_use_for(instance) or (instance.ended and not instance.received and not self.decided)

    def joined(self, instance: InstanceEnd, now: float) -> None:
        """An instance is connected, and may have spoken already."""
        self._joined_at = now
        super().joined(instance, now)
        self._listen()

    def does_without(self, instance: InstanceEnd) -> bool:
        """An app that has not spoken need not know that the instance dialled for it was about to stop."""
        early = self._now() - self._joined_at < HUNG_UP
        if self.decided or self.over or instance is not self.instance or instance.received or not early:
            return False
        self.instance = instance.other = None
        failure = hung_up(self, instance.endpoint)
        if failure is not None:
            self.end(failure)
        else:
            self._seek()
        return True

    def moved(self) -> None:
        """A byte or an end came from somewhere."""
        super().moved()
        self._listen()

    def hand_over(self, sock: socket.socket) -> asyncio.Protocol:
        """It is HTTP: all that has been done for it is undone, and somebody else takes the connection."""
        self._no_more_silence()
        self.runtime.wheel.cancel(self._timer)
        self.over = True
        self.runtime.connections.discard(self.app)
        stats = self.upstream.stats
        stats.app_connections -= 1
        if self.begun:
            stats.requests_in_flight -= 1
            self._let_go()
        return self._handover(sock)

    def end(self, failure: Failure | None) -> None:
        """One that never began is not told of: the app came and went without a word."""
        self._no_more_silence()
        if self.begun:
            self._settle()
            super().end(failure)
        elif not self.over:
            self.over = True
            if failure is None:
                self.app.finish()
            else:
                self.app.abort()

    def _settle(self) -> None:
        """It is, or was, no HTTP, so it counts as what it is: a counter must not have to take that back."""
        if not (self.decided or self.over):
            self.decided = True
            self.upstream.stats.by_address += 1

    def _listen(self) -> None:
        """Was it the instance that spoke first?"""
        instance = self.instance
        if not (self.decided or self.over) and instance is not None and (instance.received or instance.ended):
            self.decide()

    def _let_go(self) -> None:
        if self.journey.task is not None:
            self.journey.task.cancel()  # which reports a dial that is under way
        if (instance := self.instance) is not None:
            instance.other = None
            self.upstream.tell(self.upstream.cluster.report_failure(instance.endpoint, _APP_LEFT, self.runtime.now()))
            instance.finish()

    def _no_more_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None


class UnsureEnd(AppEnd):
    """The app's side: looks at what it says."""

    __slots__ = ()

    relay: Hesitant

    def join(self, other: End) -> None:
        if self.relay.decided:
            super().join(other)

    def data_received(self, data: bytes) -> None:
        relay = self.relay
        if relay.decided:
            super().data_received(data)
            return
        said = b"".join((*self._held, data))
        match guess(said):
            case Guess.HTTP:
                self._give_to(relay.hand_over(self._sock), said)
            case Guess.OTHER:
                relay.decide()
                super().data_received(data)
            case Guess.UNDECIDED:
                self._held = [said]
                self.received += len(data)

    def eof_received(self) -> bool:
        self.relay.decide()  # what has come is all that will ever come, and it is no request
        return super().eof_received()

    def _give_to(self, heir: asyncio.Protocol, said: bytes) -> None:
        self.gone = True  # for the relay: nothing of this connection is its own any more
        self._held.clear()
        self._transport.set_protocol(heir)
        heir.connection_made(self._transport)
        heir.data_received(said)
