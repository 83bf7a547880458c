"""What holds for connected sockets on either side, and what the kernel knows of them beyond bytes and ends.

Why: a connection outlives what its program and ours do. A kernel acknowledges what its program has not read, keeps what
ours has written, and hands out what came ahead of a RST; who does not ask takes a slow peer for a dead one.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Iterator
from contextlib import suppress

BLACK_HOLE_MS = 3000
"""TCP_USER_TIMEOUT towards instances: a host that vanished swallows what a pooled connection sends; without it
the kernel repeats for a quarter of an hour."""

SMALL = 4 * 1024
"""Bytes that fit into the receive window of any kernel, which acknowledges them whatever its program does."""

HIGH_WATER, LOW_WATER = 64 * 1024, 16 * 1024
"""Bytes unwritten to one side at which reading from the other stops, and goes on."""

_USUAL_WINDOW = 64 * 1024
"""Bytes of it where the kernel does not say."""

_RESET = struct.pack("ii", 1, 0)
_COUNT = struct.Struct("@i")
_READ = 64 * 1024
_KEEPALIVE_IDLE, _KEEPALIVE_INTERVAL, _KEEPALIVE_COUNT = 30, 10, 3
_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_WINDOW, _WINDOW_AT = struct.Struct("@I"), 228


def tune(sock: socket.socket) -> None:
    """Small writes at once, and dead peers found while a connection idles. For either side."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", _KEEPALIVE_COUNT),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def set_black_hole_limit(sock: socket.socket, milliseconds: int) -> None:
    """How long sent bytes may stay unacknowledged; 0 leaves it to the kernel. Linux only."""
    if _USER_TIMEOUT is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, milliseconds)


def window(sock: socket.socket) -> int:
    """Bytes that the peer's kernel takes whatever its program does: its receive window (`tcpi_snd_wnd`, Linux 5.4)."""
    with suppress(OSError):
        if _TCP_INFO is not None and _USER_TIMEOUT is not None:
            info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _WINDOW_AT + _WINDOW.size)
            if len(info) == _WINDOW_AT + _WINDOW.size:
                size: int = _WINDOW.unpack_from(info, _WINDOW_AT)[0]
                return size
    return _USUAL_WINDOW


def untaken(sock: socket.socket) -> int:
    """Bytes that the kernel has of us and the peer has not acknowledged (tcp(7), SIOCOUTQ); 0 where it does not say."""
    count = bytearray(_COUNT.size)
    with suppress(OSError, ValueError):  # ValueError: it is closed
        fcntl.ioctl(sock, termios.TIOCOUTQ, count)
    found: int = _COUNT.unpack(count)[0]
    return found


def last_words(sock: socket.socket) -> Iterator[bytes]:
    """What came ahead of the RST at which a write has failed: the loop lets go of a connection without reading that.

    Bytes of the socket: where TLS lies above it they are nobody's but that's.
    """
    with suppress(OSError):
        while data := sock.recv(_READ):
            yield data


def end_writing(transport: asyncio.Transport) -> None:
    """FIN after what is written. A peer that has reset the connection meanwhile needs none: one loop raises that here."""
    if not transport.is_closing():
        with suppress(OSError):
            transport.write_eof()


def reset_on_close(sock: socket.socket) -> None:
    """Its end will be RST, so that the peer does not take what it got for complete. One that is closed stays so."""
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
