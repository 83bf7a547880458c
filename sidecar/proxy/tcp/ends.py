"""The two ends of a relay: the flow of bytes, and the order in which the connections end.

Reading from one end stops while the other takes no more, so that memory per connection is bounded whatever is sent.
FIN is passed on as FIN (half-close), for protocols in which it means "that was all, now answer".
"""

import asyncio
import socket
from typing import TYPE_CHECKING, cast

from sidecar.cluster.endpoint import Endpoint
from sidecar.errors import Failure
from sidecar.proxy.sockets import (
    HIGH_WATER,
    LOW_WATER,
    SMALL,
    end_writing,
    last_words,
    reset_on_close,
    set_black_hole_limit,
    untaken,
    window,
)
from sidecar.proxy.tls import TlsTransport

if TYPE_CHECKING:
    from sidecar.proxy.tcp.relay import Relay
    from sidecar.proxy.upstream import Upstream


class End(asyncio.Protocol):
    """What both connections have in common."""

    __slots__ = ("_held", "_paused", "_sock", "_transport", "ended", "gone", "other", "received", "relay")

    def __init__(self, relay: "Relay", sock: socket.socket) -> None:
        self.relay = relay
        self.other: End | None = None
        """Where the bytes go; None: they are kept until there is one."""
        self.received = 0
        """Bytes that came from this end."""
        self.ended = False
        """FIN or worse has come."""
        self.gone = False
        """The transport is closed."""
        self._sock = sock
        self._transport: asyncio.Transport
        self._held: list[bytes] = []
        self._paused = False

    def __repr__(self) -> str:
        state = "gone" if self.gone else "ended" if self.ended else "open"
        return f"<{type(self).__name__} {state}, {self.received} bytes>"

    @property
    def unwritten(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self.gone else self._transport.get_write_buffer_size()

    @property
    def untaken(self) -> int:
        """Bytes that the peer has not taken yet."""
        return 0 if self.gone else self.unwritten + untaken(self._sock)

    def join(self, other: "End") -> None:
        """From now on this end's bytes go to the other; what was kept goes first, and so does its FIN."""
        self.other = other
        held, self._held = self._held, []
        for data in held:
            other.write(data)
        if self.ended:
            other.write_eof()
        elif other.unwritten <= HIGH_WATER:
            self.resume_reading()

    def write(self, data: bytes) -> None:
        """To the peer."""
        self._transport.write(data)

    def write_eof(self) -> None:
        """FIN after what is written."""
        end_writing(self._transport)

    def pause_reading(self) -> None:
        """The other end takes no more."""
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """The other end takes more again."""
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def finish(self) -> None:
        """Ends it with FIN after what is written."""
        if not self.gone:
            self._transport.close()

    def abort(self) -> None:
        """RST: the peer must not take what it got for complete."""
        if not self.gone:
            reset_on_close(self._sock)
            self._transport.abort()

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.relay.moved()
        if self.other is not None:
            self.other.write(data)
            return
        self._held.append(data)
        if self.received >= HIGH_WATER:
            self.pause_reading()

    def eof_received(self) -> bool:
        """The transport stays open: the other direction may go on."""
        self.ended = True
        self.relay.moved()
        if self.other is not None:
            self.other.write_eof()
            if self.other.ended:
                self.relay.end(None)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None and not self.relay.over and not isinstance(self._transport, TlsTransport):
            for data in last_words(self._sock):  # what comes by TLS is read by that alone
                self.data_received(data)
        self.gone = self.ended = True
        self._held.clear()
        self.relay.lost(self, error)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.resume_reading()


class AppEnd(End):
    """The app's side; drain sees it as it sees a connection with a request in flight."""

    __slots__ = ()

    @property
    def busy(self) -> bool:
        """Nobody knows whether a silent connection waits for something."""
        return not self.relay.over

    def close(self) -> None:
        """Ends it with FIN."""
        self.finish()

    def cut(self, failure: Failure) -> None:
        """Drain is over."""
        self.relay.end(failure)

    def uses(self, upstream: "Upstream") -> bool:
        """It began under this service."""
        return not self.relay.over and self.relay.upstream is upstream

    def look_for_stall(self, upstream: "Upstream", now: float) -> None:
        """Nothing can move elsewhere: nobody knows what is owed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.relay.accepted()


class InstanceEnd(End):
    """The instance's side."""

    __slots__ = ("_counted", "_patient", "_room", "_written", "endpoint")

    def __init__(self, relay: "Relay", endpoint: Endpoint, sock: socket.socket) -> None:
        super().__init__(relay, sock)
        self.endpoint = endpoint
        self._written = 0
        self._room = SMALL
        self._patient = False
        self._counted = False

    def count(self) -> None:
        """Its dial came to its end: from now on it is one of the service's open connections (as in http1.upstream)."""
        if not self.gone:
            self._counted = True
            self.relay.upstream.pool.opened(self.endpoint)

    def data_received(self, data: bytes) -> None:
        if not self.received:
            self.relay.answered_by(self)
        super().data_received(data)

    def write(self, data: bytes) -> None:
        if not self._patient:
            self._written += len(data)
            if self._written > self._room:
                self._mind_the_window()
        self._transport.write(data)

    def _mind_the_window(self) -> None:
        """As in http1.upstream: an instance that does not read for a while is no black hole."""
        self._room = max(self._room, window(self._sock))
        if self._written > self._room and not self._transport.is_closing():
            self._patient = True
            set_black_hole_limit(self._sock, 0)

    def eof_received(self) -> bool:
        return not self.relay.does_without(self) and super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        if self._counted:
            self.relay.upstream.pool.closed(self.endpoint)
        self.relay.does_without(self)
        super().connection_lost(error)
