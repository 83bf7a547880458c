"""Which way lists are had from a server: over gRPC, or by polling where that port stays closed.

Before a session is opened the server's port is knocked at, so that a closed one costs neither side much.
With `transport: auto` polling is for servers of 1.x and for firewalls, not for a server that restarts: every server's
gRPC port has to have been closed for a second before an open HTTP port counts. Once a gRPC port opens again it is the
way again, whoever polls.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.discovery.approach import Miss
from sidecar.discovery.options import Server, Transport

KNOCK_TIMEOUT = 1.0
POLLED_AFTER = 1.0
LOOKED_FOR_AGAIN_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class Closed:
    """What a knock that nobody heard counts as, and why in words."""

    miss: Miss
    why: str


async def knock(host: str, port: int) -> Closed | None:
    """A plain connect: tells a closed port from an open one without waking the client library."""
    try:
        async with asyncio.timeout(KNOCK_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return Closed(Miss.REFUSED, f"port {port} is closed")
    except TimeoutError:
        return Closed(Miss.FAILED, f"no answer from port {port} in {KNOCK_TIMEOUT:g} s")
    except OSError as error:  # no name or no route yet: known at once, cheap to ask again
        return Closed(Miss.STARTING, f"port {port} cannot be reached: {error.strerror or error}")
    writer.close()
    return None


async def grpc_opens(server: Server) -> None:
    """Returns once the gRPC port can be connected; looks every half a minute."""
    while True:
        await asyncio.sleep(LOOKED_FOR_AGAIN_AFTER)
        if await knock(server.host, server.grpc_port) is None:
            return


class Ways:
    """Remembers which gRPC ports were found closed, and since when they all are."""

    __slots__ = ("_all_closed_since", "_closed", "_servers", "_wanted")

    def __init__(self, servers: Sequence[Server], wanted: Transport) -> None:
        self._servers = frozenset(servers)
        self._wanted = wanted
        self._closed: set[Server] = set()
        self._all_closed_since: float | None = None

    async def to(self, server: Server) -> Transport | Closed:
        """GRPC or HTTP, or why neither."""
        if self._wanted is Transport.GRPC:
            return await knock(server.host, server.grpc_port) or Transport.GRPC
        if self._wanted is Transport.HTTP:
            return await knock(server.host, server.port) or Transport.HTTP
        grpc, http = await asyncio.gather(knock(server.host, server.grpc_port), knock(server.host, server.port))
        return self.decide(server, grpc, http, asyncio.get_running_loop().time())

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
