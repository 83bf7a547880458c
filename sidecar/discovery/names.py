"""A server's name may stand for several nodes: which of their addresses to go to.

Why: in Kubernetes one name is that of every node of a registry. Whoever takes addresses as the resolver gives them comes
to the same node again and again, be it dead or frozen, and a fleet of sidecars to the same one all together.

Order: whom we have never left comes first, then whoever we left the longest ago; among equals the family of addresses that
the resolver puts first, and within it any. A node is left when a session there ends or cannot be opened.
"""

import asyncio
import ipaddress
import itertools
import socket
from collections.abc import Sequence

from sidecar.clock import Rng

REMEMBERED = 256
"""Addresses; nodes that restart come back at others."""


async def resolve(host: str) -> list[str]:
    """Every address of a name, the family that is preferred first; of an address that one. Raises OSError."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise OSError(f"{host} is no name that DNS can have") from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))
    return [host]


class Preference:
    """Remembers which addresses were left, and in which order. Pure."""

    __slots__ = ("_left", "_rng", "_turns")

    def __init__(self, *, rng: Rng) -> None:
        self._rng = rng
        self._left: dict[str, int] = {}
        self._turns = itertools.count()

    def __repr__(self) -> str:
        return f"<Preference: {len(self._left)} left>"

    def order(self, addresses: Sequence[str]) -> list[str]:
        """The one to try first comes first."""
        first = ":" in addresses[0] if addresses else False
        return sorted(
            addresses, key=lambda one: (self._left.get(one, -1), (":" in one) is not first, self._rng.random())
        )

    def left(self, address: str) -> None:
        """Whatever the reason: another one's turn is next, if there is one."""
        self._left.pop(address, None)
        self._left[address] = next(self._turns)
        if len(self._left) > REMEMBERED:
            del self._left[next(iter(self._left))]
