"""TLS over one connection to an instance: to the loop a protocol, to the protocol above it a transport.

Why not the loops' own: neither tells a close_notify from a bare FIN, so that an answer until close that somebody cut
would pass for complete (RFC 9112 §9.8); neither lets one direction end before the other; neither can look, right
before a pooled connection is used again, at what has come in meanwhile. Records, keys and certificates are OpenSSL's
business all the same: here bytes are only carried between two buffers of memory and a socket.

What the protocol above sees: a close_notify is FIN, so `eof_received`, after which it may still write. Whatever else
ends the connection is `connection_lost` with an error: `CutOffError` for a FIN without close_notify, `TurnedAwayError`
where the instance refused us and nothing of a request was read.
"""

import asyncio
import contextlib
import socket
import ssl
from typing import Any, Final, cast

from sidecar.proxy.sockets import last_words

RECORD: Final = 16 * 1024
"""Bytes of data that a record holds at most (RFC 8446 §5.1)."""

_READ = 64 * 1024

_REFUSALS: Final = frozenset(
    {
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_DECRYPT_ERROR",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    }
)
"""Alerts about the client's part of a handshake, in OpenSSL's words. In TLS 1.3 it is over for the client before the
server has judged the client's certificate, so they may follow upon a request; a server that sends one has read
nothing beyond the handshake (RFC 8446 §4.4.2.4)."""


_NOBODY: Final = asyncio.Protocol()
"""Above a connection that is gone."""


class CutOffError(ConnectionError):
    """FIN without close_notify: anyone on the way may have cut the connection."""


class TurnedAwayError(ConnectionError):
    """The handshake was refused after it had seemed complete, by an instance that was asked for as `name`."""

    def __init__(self, alert: ssl.SSLError, name: str) -> None:
        super().__init__(alert.reason)
        self.alert = alert
        self.name = name


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """One connection; the protocol above is told of it when the handshake is over."""

    __slots__ = (
        "_above",
        "_closing",
        "_ended",
        "_error",
        "_incoming",
        "_open",
        "_outgoing",
        "_secured",
        "_sock",
        "_ssl",
        "_under",
        "_unjudged",
        "name",
    )

    def __init__(self, context: ssl.SSLContext, name: str, above: asyncio.Protocol) -> None:
        """`name`: what the instance is to be called, if the context checks that, and asked for."""
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.name = name
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._above = above
        self._sock: socket.socket
        self._under: asyncio.Transport
        self._open = False
        """The handshake is over."""
        self._unjudged = False
        """The instance may still be judging our certificate: TLS 1.3, and no data has come."""
        self._ended = False
        """A close_notify has come."""
        self._closing = False
        """Ours is on its way."""
        self._error: Exception | None = None
        """Why it broke."""
        self._secured: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        state = "closing" if self._closing else "ended" if self._ended else "open" if self._open else "shaking hands"
        return f"<TlsTransport {state} {self._ssl.version() or ''}>"

    async def open(self, sock: socket.socket) -> None:
        """Shakes hands over a connected socket; raises OSError."""
        self._sock = sock
        try:
            under, _ = await asyncio.get_running_loop().create_connection(lambda: self, sock=sock)
            try:
                await self._secured
            except BaseException:
                under.abort()
                raise
        finally:
            self._secured.cancel()

    # What the protocol above does with it

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypts at once: what is not written yet lies in the transport below, whose water marks hold."""
        if self._closing or self._under.is_closing():
            return
        try:
            rest = memoryview(data)[self._ssl.write(data) :]
            while rest:
                rest = rest[self._ssl.write(rest) :]
        except ssl.SSLError as error:
            self._break(error)
        else:
            self._flush()

    def can_write_eof(self) -> bool:
        """By close_notify, which ends one direction (RFC 8446 §6.1)."""
        return True

    def write_eof(self) -> None:
        """No more data from us; the instance may go on. Before TLS 1.3 it is not meant to (RFC 5246 §7.2.1)."""
        if self._closing or self._under.is_closing():
            return
        self._closing = True
        with contextlib.suppress(ssl.SSLError):  # ours is written; it complains that the instance's has not come yet
            self._ssl.unwrap()
        self._flush()

    def close(self) -> None:
        """Ends it in order after what is written; nobody waits for the instance's close_notify (RFC 8446 §6.1)."""
        self.write_eof()
        self._under.close()

    def abort(self) -> None:
        """Ends it now, so that nobody takes what has gone for complete."""
        self._closing = True
        self._under.abort()

    def is_closing(self) -> bool:
        return self._under.is_closing()

    def is_reading(self) -> bool:
        return self._under.is_reading()

    def pause_reading(self) -> None:
        """What the transport below has handed on is handed on at once, so nothing is left that could still come."""
        self._under.pause_reading()

    def resume_reading(self) -> None:
        self._under.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._under.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._under.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        return self._under.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._ssl if name == "ssl_object" else self._under.get_extra_info(name, default)

    def still_silent(self) -> bool:
        """Reads what the loop has not seen yet: False if there is data or an end among it, after which it is of no use.

        Session tickets, which TLS 1.3 sends whenever it likes, are neither.
        """
        while True:
            try:
                data = self._sock.recv(_READ)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            self._incoming.write(data)
            try:
                self._ssl.read(1)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
            return False

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._under = cast("asyncio.Transport", transport)
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._incoming.write(data)
        if self._open:
            self._read()
        elif not self._secured.done():
            self._shake_hands()

    def eof_received(self) -> bool:
        """FIN. After a close_notify the protocol above has decided already whether it goes on writing."""
        if not self._open:
            self._refuse(ConnectionResetError("the connection ended during the handshake"))
        elif not self._ended:
            self._break(CutOffError("FIN without close_notify"))
        return self._ended

    def connection_lost(self, error: Exception | None) -> None:
        if self._open:
            if error is not None:
                self._hear_last_words()
            above, self._above = self._above, _NOBODY  # they know each other: a circle for the garbage collector
            above.connection_lost(self._error or error)
        else:
            self._refuse(error or ConnectionResetError("the connection ended during the handshake"))

    def pause_writing(self) -> None:
        if self._open:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._open:
            self._above.resume_writing()

    # In between

    def _shake_hands(self) -> None:
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert that tells the instance why
            self._refuse(error)
            return
        self._flush()
        self._open = True
        self._unjudged = self._ssl.version() == "TLSv1.3"
        self._above.connection_made(self)
        if not self._secured.done():
            self._secured.set_result(None)
        self._read()

    def _refuse(self, error: Exception) -> None:
        """No connection comes of it."""
        if not self._secured.done():
            self._secured.set_exception(error)
        self._under.close()

    def _read(self) -> None:
        """Hands on all that has come: data together, then an end."""
        parts: list[bytes] = []
        error: ssl.SSLError | None = None
        try:
            while self._incoming.pending and not self._ended:
                part = self._ssl.read(RECORD)
                self._ended = not part
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # how the same end looks once ours is said
            self._ended = True
        except ssl.SSLError as broken:
            error = broken
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if data:
            self._unjudged = False
            self._above.data_received(data)
        if error is not None:
            self._break(error)
            return
        if self._outgoing.pending and not self._under.is_closing():  # an update of keys that the instance asked for
            self._flush()
        if self._ended and not self._under.is_closing() and not self._above.eof_received():
            self.close()

    def _break(self, error: Exception) -> None:
        """It cannot go on."""
        if self._error is None:
            self._error = self._refusal(error) or error
        self._under.abort()

    def _refusal(self, error: Exception) -> TurnedAwayError | None:
        if self._unjudged and isinstance(error, ssl.SSLError) and error.reason in _REFUSALS:
            return TurnedAwayError(error, self.name)
        return None

    def _hear_last_words(self) -> None:
        """A write fails as soon as RST has come: an answer may be ahead of it, or why we were turned away."""
        for data in last_words(self._sock):
            self.data_received(data)

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._under.write(self._outgoing.read())
