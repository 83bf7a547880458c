"""Which way lists are had from a server: over gRPC, or by polling where that port stays closed; and at which address.

Before a session is opened the server's port is knocked at, so that a closed one costs neither side much.
With `transport: auto` polling is for servers of 1.x and for firewalls, not for a server that restarts: every server's
gRPC port has to have been closed for a second before an open HTTP port counts. Once a gRPC port opens again it is the
way again, whoever polls.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.clock import Rng
from sidecar.discovery.approach import Miss
from sidecar.discovery.names import Preference, resolve
from sidecar.discovery.options import Server, Transport

KNOCK_TIMEOUT = 1.0
POLLED_AFTER = 1.0
LOOKED_FOR_AGAIN_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class Closed:
    """What a knock that nobody heard counts as, and why in words."""

    miss: Miss
    why: str


@dataclass(frozen=True, slots=True)
class Way:
    """What to speak, and with whom: a server at the address that was open."""

    transport: Transport
    server: Server


async def knock(addresses: Sequence[str], port: int) -> str | Closed:
    """The first address where the port is open, or what is wrong with the first of all.

    A plain connect tells the one from the other without waking the client library.
    """
    refused: Closed | None = None
    for address in addresses:
        if (wrong := await _knock(address, port)) is None:
            return address
        refused = refused or wrong
    return refused or Closed(Miss.STARTING, "the name has no address")


async def _knock(address: str, port: int) -> Closed | None:
    try:
        async with asyncio.timeout(KNOCK_TIMEOUT):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return Closed(Miss.REFUSED, f"port {port} is closed")
    except TimeoutError:
        return Closed(Miss.FAILED, f"no answer from port {port} in {KNOCK_TIMEOUT:g} s")
    except OSError as error:  # no route yet: known at once, cheap to ask again
        return Closed(Miss.STARTING, f"port {port} cannot be reached: {error.strerror or error}")
    writer.close()
    return None


async def grpc_opens(server: Server) -> None:
    """Returns once the gRPC port can be connected; looks every half a minute."""
    while True:
        await asyncio.sleep(LOOKED_FOR_AGAIN_AFTER)
        if not isinstance(await knock([server.dialled], server.grpc_port), Closed):
            return


class Ways:
    """Remembers which gRPC ports were found closed, and since when they all are; and where sessions have ended."""

    __slots__ = ("_all_closed_since", "_closed", "_preference", "_servers", "_wanted")

    def __init__(self, servers: Sequence[Server], wanted: Transport, *, rng: Rng) -> None:
        self._servers = frozenset(servers)
        self._wanted = wanted
        self._preference = Preference(rng=rng)
        self._closed: set[Server] = set()
        self._all_closed_since: float | None = None

    def left(self, server: Server) -> None:
        """A session there is over, or could not be opened."""
        self._preference.left(server.dialled)

    async def to(self, server: Server) -> Way | Closed:
        """GRPC or HTTP, or why neither."""
        try:
            addresses = self._preference.order(await resolve(server.host))
        except OSError as error:  # as a pod's own name while it starts: known at once, cheap to ask again
            unknown = Closed(Miss.STARTING, f"the name cannot be resolved: {error.strerror or error}")
            return self._way(server, unknown, unknown)
        if self._wanted is Transport.AUTO:
            grpc, http = await asyncio.gather(knock(addresses, server.grpc_port), knock(addresses, server.port))
            return self._way(server, grpc, http)
        found = await knock(addresses, server.grpc_port if self._wanted is Transport.GRPC else server.port)
        return found if isinstance(found, Closed) else Way(self._wanted, server.at(found))

    def _way(self, server: Server, grpc: str | Closed, http: str | Closed) -> Way | Closed:
        """What two knocks at addresses mean."""
        now = asyncio.get_running_loop().time()
        decided = self.decide(server, _closed(grpc), _closed(http), now)
        found = grpc if decided is Transport.GRPC else http
        if isinstance(decided, Closed):
            return decided
        return found if isinstance(found, Closed) else Way(decided, server.at(found))

    def decide(self, server: Server, grpc: Closed | None, http: Closed | None, now: float) -> Transport | Closed:
        """What two knocks mean; None: the port is open. Pure."""
        if grpc is None:
            self._closed.clear()
            self._all_closed_since = None
            return Transport.GRPC
        self._closed.add(server)
        if self._closed != self._servers:
            return grpc
        if self._all_closed_since is None:
            self._all_closed_since = now
        if http is None and now - self._all_closed_since >= POLLED_AFTER:
            return Transport.HTTP
        return grpc


def _closed(found: str | Closed) -> Closed | None:
    return found if isinstance(found, Closed) else None
