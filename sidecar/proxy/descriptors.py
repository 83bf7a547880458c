"""How many descriptors are in use, told by numbers: the kernel always hands out the lowest that is free.

Why: a connection of an app that is accepted brings requests, and each may need a connection to an instance. If apps
took all descriptors, what they ask could not be answered; so the last ones are not for them.
"""

import math
import os
import resource
import socket

_NOT_FOR_APPS = 8
"""One descriptor in so many. Fewer than there are apps: not all of them ask at once, and who lacks one pauses."""

_FOR_PIPES = 8
"""Again one in so many."""


def full_for_apps() -> float:
    """The first number that is not for an app."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if limit == resource.RLIM_INFINITY else limit - limit // _NOT_FOR_APPS


def full_for_pipes() -> float:
    """The first number that is only for connections: what merely saves work has the use of an eighth, while that is free."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if limit == resource.RLIM_INFINITY else limit // _FOR_PIPES


def lowest_free(sock: socket.socket) -> float:
    """The number that the next descriptor will have."""
    try:
        number = os.dup(sock.fileno())
    except OSError:
        return math.inf
    os.close(number)
    return number
