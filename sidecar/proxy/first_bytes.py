"""Whether an app speaks HTTP/1, by the first bytes of its connection. Pure.

The request line decides, for a method alone does not: `GET stock` is also a command of Redis. What could still become a
request line is undecided; what cannot is not HTTP from its first odd byte on.
"""

import enum
import re
from typing import Final

from sidecar.proxy.http1.parser import METHODS

LONGEST: Final = 64 * 1024
"""Bytes of a line that is not to end: such an app is left to the instance."""


class Guess(enum.Enum):
    """What the bytes are."""

    HTTP = "a request of HTTP/1"
    OTHER = "another protocol"
    UNDECIDED = "too few to tell"


_TUNNEL: Final = b"CONNECT"
"""Not a request to an instance."""

_METHODS: Final = tuple(method for method in METHODS if method != _TUNNEL)
_METHOD: Final = b"|".join(map(re.escape, sorted(_METHODS, reverse=True)))
_request: Final = re.compile(rb"(?:" + _METHOD + rb") [!-\"$-~]++ HTTP/1\.[01]\r\n").match
_so_far: Final = re.compile(rb"[A-Z\-]++ [!-~]*+(?: [!-~]*+\r?)?").fullmatch


def guess(data: bytes) -> Guess:
    """Of all that has come so far."""
    if _request(data):
        return Guess.HTTP
    method, space, _ = data.partition(b" ")
    if not space:
        beginning = any(known.startswith(method) for known in _METHODS)
        return Guess.UNDECIDED if beginning else Guess.OTHER
    if method in _METHODS and len(data) <= LONGEST and _so_far(data):
        return Guess.UNDECIDED
    return Guess.OTHER
