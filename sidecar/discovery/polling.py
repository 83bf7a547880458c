"""A session without pushes: lists are asked for over HTTP, in turn, and a list that changed is told as if pushed.

For servers of 1.x, which have no gRPC, and for those whose gRPC port cannot be reached. The planner asks each service
every `poll_interval`; `http_lists` knows the paths.
Polling that only stands in for gRPC (`transport: auto`) ends when the gRPC port opens.
"""

import asyncio
import logging
from collections.abc import Mapping

from sidecar.discovery.access import Access
from sidecar.discovery.http import Http
from sidecar.discovery.http_lists import OFFERED, HttpLists
from sidecar.discovery.options import NacosOptions, Server, Transport
from sidecar.discovery.session import Listing, Owner, ServiceKey, Trouble
from sidecar.discovery.ways import grpc_opens
from sidecar.tasks import spawn

_log = logging.getLogger("sidecar")


class PollingSession:
    """Implements `Session` over HTTP."""

    polls = True

    def __init__(self, server: Server, options: NacosOptions, owner: Owner, access: Access) -> None:
        self._server = server
        self._owner = owner
        self._access = access
        self._http = Http(server, options)
        self._lists = HttpLists(self._http, options.namespace, OFFERED)
        self._known: dict[ServiceKey, Listing] = {}
        self._stands_in = options.transport is Transport.AUTO
        self._looking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<PollingSession {self._server}: {len(self._known)} services>"

    async def open(self) -> None:
        """Nothing goes out yet."""
        await self._http.__aenter__()
        if self._stands_in:
            _log.info("registry %s: gRPC port %d is closed, polling over HTTP", self._server, self._server.grpc_port)
            self._looking = spawn(self._look_for_grpc(), name="registry gRPC port")

    async def subscribe(self, key: ServiceKey) -> Listing:
        """The list of now, with which later ones are compared."""
        self._known[key] = await self._ask(key)
        return self._known[key]

    async def query(self, key: ServiceKey) -> Listing:
        """The list of now; another one than before is told to the owner first."""
        before, found = self._known[key], await self._ask(key)
        if not found.names_the_same(before):
            self._known[key] = found
            self._owner.pushed(key, found)
        return found

    async def close(self) -> int:
        """Lets go of the connections."""
        if self._looking is not None:
            self._looking.cancel()
        await self._http.close()
        return 0

    async def _look_for_grpc(self) -> None:
        await grpc_opens(self._server)
        self._owner.troubled(Trouble.CONNECTION_CHANGED)

    async def _ask(self, key: ServiceKey) -> Listing:
        async def send(shown: Mapping[str, str]) -> Listing:
            return await self._lists.read(key, shown)

        return await self._access.granted(self._server, key, send)
