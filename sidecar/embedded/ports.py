"""Two listening sockets a fixed distance apart: HTTP, and gRPC above it."""

import os
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
    http = _listening(host, ports[0])
    try:
        return http, _listening(host, ports[1])
    except OSError:
        http.close()
        raise


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"cannot bind {host}:{port}: {reason}") from error
