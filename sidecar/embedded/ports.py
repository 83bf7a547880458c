"""Two listening sockets a fixed distance apart: HTTP, and gRPC above it."""

import secrets
import socket

_CHOICE = range(12_000, 31_000)
"""Where free ports are looked for: below the range the kernel takes for outgoing connections, so that they are
still free after a restart."""


def bind_pair(host: str, port: int, offset: int) -> tuple[int, socket.socket, socket.socket]:
    """(port, listening on port, listening on port + offset); 0 takes any port that is free with its counterpart.

    Raises OSError where one of the two is taken.
    """
    if port:
        return port, *_bound(host, port, port + offset)
    for _ in range(100):
        port = _CHOICE[secrets.randbelow(len(_CHOICE))]
        try:
            return port, *_bound(host, port, port + offset)
        except OSError:
            continue
    raise OSError(f"no two free ports {offset} apart on {host}")


def _bound(host: str, *ports: int) -> tuple[socket.socket, socket.socket]:
    """Listening TCP sockets on two ports; none is left open when one is taken."""
    if max(ports) > 65_535:
        raise OSError(f"port {max(ports)} does not exist")
    opened: list[socket.socket] = []
    try:
        opened.extend(socket.create_server((host, port), backlog=1024) for port in ports)
    except OSError:
        for sock in opened:
            sock.close()
        raise
    http, grpc = opened
    return http, grpc
