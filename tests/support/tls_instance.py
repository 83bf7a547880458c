"""An instance behind TLS: a blocking server in threads of its own, so that OpenSSL alone decides what goes over the wire.

asyncio's servers are no good here: they drop the alert that tells a client why it was turned away.
"""

import contextlib
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.support.certificates import Authority, Certificate
from tests.support.scripted_peer import OK
from tests.support.until import PATIENCE

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def server_context(
    own: Certificate, *, clients: Authority | None = None, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """For a server; with `clients` only those with a certificate of that authority are let in."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.cert_file, own.key_file)
    if clients is not None:
        context.load_verify_locations(clients.file)
        context.verify_mode = ssl.CERT_REQUIRED
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class Visit:
    """One connection after its handshake."""

    def __init__(self, instance: "TlsInstance", conn: ssl.SSLSocket) -> None:
        self.conn = conn
        self._instance = instance
        self._read = b""

    def request(self) -> bytes:
        """The next whole request, recorded; b"" at the end, orderly or not."""
        while b"\r\n\r\n" not in self._read:
            if not self._more():
                return b""
        head, _, _ = self._read.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        size = len(head) + 4 + (int(length[1]) if length else 0)
        while len(self._read) < size:
            if not self._more():
                return b""
        found, self._read = self._read[:size], self._read[size:]
        self._instance.requests.append(found)
        return found

    def send(self, data: bytes) -> None:
        self.conn.sendall(data)

    def say_end(self) -> None:
        """close_notify; the client may go on."""
        with contextlib.suppress(OSError, ValueError):
            self.conn.settimeout(0)
            self.conn.unwrap()
        self.conn.settimeout(PATIENCE)

    def close(self) -> None:
        """close_notify, then FIN; the client's own close_notify is not waited for."""
        self.say_end()
        self.cut()

    def cut(self) -> None:
        """FIN alone."""
        with contextlib.suppress(OSError):
            self.conn.shutdown(socket.SHUT_WR)  # of the socket: this one forgets about TLS first

    def until_closed(self) -> bytes:
        """All that comes until the client ends."""
        while self._more():
            pass
        return self._read

    def _more(self) -> bool:
        try:
            if (
                not self.conn.pending()
                and self._instance.bell in select.select([self.conn, self._instance.bell], [], [])[0]
            ):
                return False
            data = self.conn.recv(65536)
        except (OSError, ValueError):  # ValueError: of a socket that has forgotten about TLS
            return False
        self._read += data
        return bool(data)


Script = Callable[[Visit], None]


def serving(visit: Visit) -> None:
    """Answers every request until the client ends."""
    while visit.request():
        visit.send(OK)


class TlsInstance:
    """Listens while the block lasts."""

    def __init__(self, context: ssl.SSLContext, script: Script = serving) -> None:
        self.context = context
        self.script = script
        self.requests: list[bytes] = []
        """Whole ones, of all connections."""
        self.visits: list[Visit] = []
        """Connections whose handshake was good, for the server at least."""
        self.refused: list[str] = []
        """Why handshakes failed, in OpenSSL's words."""
        self.port = 0
        self.bell: socket.socket
        """Can be read from when the instance is to end."""
        self._rope: socket.socket
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Listens (again)."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.bell, self._rope = socket.socketpair()
        self._begin(self._accept, self._listener)

    def close(self) -> None:
        """Refuses, and ends every connection in order, as a server does that is stopped."""
        if self._listener is None:
            return
        self._listener.shutdown(socket.SHUT_RDWR)  # close alone would not wake who waits in accept
        self._listener.close()
        self._listener = None
        self._rope.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._threads.clear()
        self.bell.close()

    def _begin(self, task: Callable[[socket.socket], None], sock: socket.socket) -> None:
        thread = threading.Thread(target=task, args=(sock,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                conn, _ = listener.accept()
                self._begin(self._meet, conn)

    def _meet(self, raw: socket.socket) -> None:
        raw.settimeout(PATIENCE)
        try:
            conn = self.context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=False)
        except OSError as error:
            self.refused.append(getattr(error, "reason", None) or str(error))
            raw.close()
            return
        visit = Visit(self, conn)
        self.visits.append(visit)
        with contextlib.suppress(OSError), conn:
            self.script(visit)
            visit.close()
