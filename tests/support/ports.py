"""Free ports below the ephemeral range, for servers that must know theirs before they start.

Ports that the kernel hands out for outgoing connections start at 32768; a server port among them may be taken by
any client between two starts of that server.
"""

import contextlib
import random
import socket
from collections.abc import Sequence

_LOW, _HIGH = 12_000, 30_000
_given: set[int] = set()
"""Never given twice: who asked may not have bound it yet, or rely on nobody doing so."""


def free_port(offsets: Sequence[int] = (0,)) -> int:
    """A port that can be bound on every interface, as can each port at the given distances from it.

    Nobody else is given one of them by this process, so a port that is left closed stays closed.
    """
    for _ in range(1000):
        port = random.randrange(_LOW, _HIGH)
        block = {port + offset for offset in offsets}
        if block.isdisjoint(_given) and all(map(_bindable, block)):
            _given.update(block)
            return port
    raise OSError("no free block of ports")


def _bindable(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("", port))
        return True
    return False
