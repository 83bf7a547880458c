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
    http = listening(host, ports[0])
    try:
        return http, listening(host, ports[1])
    except OSError:
        http.close()
        raise


def listening(host: str, port: int) -> socket.socket:
    """A listening TCP socket; raises OSError with the address and the reason."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise OSError(error.errno, f"cannot bind {joined(host, port)}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    """Without the address, which `create_server` adds; errors of a resolver are numbered below 0."""
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return (error.strerror or str(error)).partition(" (while ")[0]


def joined(host: str, port: int) -> str:
    """As one text, the way an address is written."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
