"""What TCP itself can prove about a request on a reused connection: that it never reached the peer's program.

Why: an instance that closes an idle connection just when we write is the everyday loss of a POST. RFC 9110 §9.2.2
lets a proxy repeat what is known not to have been applied; the kernel sometimes knows.

The proof holds when all is true: Linux and TCP_INFO with 128 bytes or more; the peer's end was seen as FIN, not
as an error; the connection is in state CLOSE, so a RST followed the FIN; and the count of acknowledged bytes is
what it was before the request's first byte. A RST alone is none: a program that had read the request may reset,
too. Nor is CLOSE_WAIT: the peer may still be reading.

What it cannot see: a peer that half-closes, executes what it reads afterwards, and resets before the kernel has
acknowledged. `retry.non_idempotent: never` is the way out for such a peer, or for a relay that ends TCP before it.
"""

import socket
import struct
import sys

LIMIT = 0.02
"""Seconds the RST may take after the FIN; on any network where a sidecar stands it is there in one round trip."""

_STATE_CLOSE = 7
_BYTES_ACKED = struct.Struct("@Q")
_BYTES_ACKED_AT = 120
_ENOUGH = 128
_WANTED = 192
_POSSIBLE = sys.platform == "linux" and hasattr(socket, "TCP_INFO")


def acknowledged(sock: socket.socket) -> int | None:
    """Bytes that the peer's kernel has acknowledged on this connection; None when it cannot be told."""
    info = _tcp_info(sock)
    return None if info is None else _acked(info)


def undelivered(sock: socket.socket, acknowledged_before: int | None) -> bool:
    """After a FIN: whether nothing of what was written since `acknowledged_before` reached the peer's program."""
    if acknowledged_before is None:
        return False
    info = _tcp_info(sock)
    return info is not None and info[0] == _STATE_CLOSE and _acked(info) == acknowledged_before


def _tcp_info(sock: socket.socket) -> bytes | None:
    if not _POSSIBLE:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WANTED)
    except OSError:
        return None
    return info if len(info) >= _ENOUGH else None


def _acked(info: bytes) -> int:
    acked: int = _BYTES_ACKED.unpack_from(info, _BYTES_ACKED_AT)[0]
    return acked
