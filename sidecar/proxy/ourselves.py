"""Which addresses lead back into this process: whoever is sent there would be sent there again, without end."""

import socket
from collections.abc import Callable, Collection


class Ourselves:
    """Our own ports, as they are bound at the moment, on whatever address of this host."""

    __slots__ = ("_ports",)

    def __init__(self, ports: Callable[[], Collection[int]]) -> None:
        self._ports = ports

    def __repr__(self) -> str:
        return f"<Ourselves at {sorted(self._ports())}>"

    def is_at(self, host: str, port: int) -> bool:
        """Whether a connection to this IP address would come back to us."""
        return port in self._ports() and is_local(host)


def is_local(host: str) -> bool:
    """Whether an IP address is one of this host: only on such a one a socket may be bound."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
