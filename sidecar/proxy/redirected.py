"""Connections that the kernel brought to us instead of where they were meant to go (iptables REDIRECT). Linux only.

The kernel remembers where that was. It also knows whose socket is at the other end, which tells an app from ourselves:
a dial of our own that comes back to us would be dialled again, without end.
"""

import socket
import struct
from typing import Final, NamedTuple

SO_ORIGINAL_DST: Final = 80
"""The same number for both families (linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h)."""

_SOCK_DIAG, _BY_FAMILY, _REQUEST, _ERROR = 4, 20, 1, 2
_ANY_STATE, _NO_COOKIE = 0xFFFFFFFF, 0xFFFFFFFF

_HEADER: Final = struct.Struct("=IHHII")
_ASK: Final = struct.Struct("=BBBxI")
_PORTS: Final = struct.Struct("!HH")
_REST: Final = struct.Struct("=III")
_UID_AT: Final = _HEADER.size + 4 + 48 + 12
"""linux/inet_diag.h: after four bytes, the socket's id, and three counters."""


class Place(NamedTuple):
    """An IP address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def original_destination(sock: socket.socket) -> Place | None:
    """Where the app meant to go; None when the kernel knows of no such place."""
    if sock.family == socket.AF_INET6 and (raw := _asked(sock, socket.IPPROTO_IPV6, 28)) is not None:
        port, address, (scope,) = raw[2:4], raw[8:24], struct.unpack_from("=I", raw, 24)
        host = socket.inet_ntop(socket.AF_INET6, address)
        return Place(f"{host}%{scope}" if scope else host, int.from_bytes(port, "big"))
    if (raw := _asked(sock, socket.IPPROTO_IP, 16)) is not None:
        return Place(socket.inet_ntop(socket.AF_INET, raw[4:8]), int.from_bytes(raw[2:4], "big"))
    return None


def _asked(sock: socket.socket, level: int, size: int) -> bytes | None:
    """A sockaddr; of a socket of both families either level may be the right one."""
    try:
        return sock.getsockopt(level, SO_ORIGINAL_DST, size)
    except OSError:
        return None


def owner(sock: socket.socket, meant: Place) -> int | None:
    """The user whose socket is at the other end of a redirected connection; None when the kernel does not tell."""
    try:
        host, port, *_ = sock.getpeername()
        ask = _question(Place(_bare(host), port), Place(_bare(meant.host), meant.port))
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as kernel:
            kernel.setblocking(False)  # its answer is there when the question is sent
            kernel.sendto(ask, (0, 0))
            answer = kernel.recv(4096)
    except OSError:
        return None
    _, kind, *_ = _HEADER.unpack_from(answer)
    if kind == _ERROR or len(answer) < _UID_AT + 4:
        return None
    return int(struct.unpack_from("=I", answer, _UID_AT)[0])


def _question(source: Place, meant: Place) -> bytes:
    """inet_diag_req_v2 about one socket: as its owner sees it, it goes from `source` to where it is meant to go."""
    family = socket.AF_INET6 if ":" in meant.host else socket.AF_INET
    ends = b"".join(socket.inet_pton(family, host).ljust(16, b"\0") for host in (source.host, meant.host))
    about = _PORTS.pack(source.port, meant.port) + ends + _REST.pack(0, _NO_COOKIE, _NO_COOKIE)
    body = _ASK.pack(family, socket.IPPROTO_TCP, 0, _ANY_STATE) + about
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 0, 0) + body


def _bare(host: str) -> str:
    """Without the dress of IPv6 that an IPv4 address wears on a socket of both families, and without a scope."""
    return host.removeprefix("::ffff:") if "." in host else host.partition("%")[0]
