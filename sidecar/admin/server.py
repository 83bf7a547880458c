"""The admin port: the table of routes behind one address, with the access rule in front."""

import asyncio
from collections.abc import Collection

from sidecar.admin.access import from_a_page, refusal
from sidecar.admin.connection import Connection
from sidecar.admin.handling import Answer, Asked, Backend, text, wrong_method
from sidecar.admin.http1 import Request
from sidecar.admin.routes import find

MOST_CONNECTIONS = 256
"""At once: the port is open to the network, and descriptors are the app's. Probes and scrapers keep a handful."""

_SHUTDOWN = 2.0
"""Seconds that answers under way get at `close`."""


class AdminServer:
    """Serves one address; made on the running loop. `allow_remote` may be replaced while it serves."""

    def __init__(self, backend: Backend, *, allow_remote: Collection[str]) -> None:
        self.allow_remote = allow_remote
        self._backend = backend
        self._server: asyncio.Server | None = None
        self._connections: dict[Connection, None] = {}
        """The oldest first."""

    async def open(self, host: str, port: int) -> str:
        """Binds and accepts; returns `ip:port` as bound, raises OSError when that cannot be."""
        self._server = await asyncio.start_server(self._accept, host, port)
        bound = self._server.sockets[0].getsockname()
        return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    async def close(self) -> None:
        """Stops to accept, lets answers under way end and closes all connections."""
        if self._server is not None:
            self._server.close()
        ended = [connection.end() for connection in self._connections]
        if ended:
            _, late = await asyncio.wait(ended, timeout=_SHUTDOWN)
            for task in late:
                task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MOST_CONNECTIONS and not self._make_room():
            writer.transport.abort()
            return
        connection = Connection(reader, writer, self._answer)
        self._connections[connection] = None
        connection.task.add_done_callback(lambda _: self._connections.pop(connection))

    def _make_room(self) -> bool:
        """Ends the oldest that waits for a request: a probe must get in, whoever keeps connections open."""
        idle = next((one for one in self._connections if one.idle), None)
        if idle is not None:
            idle.end()
        return idle is not None

    async def _answer(self, request: Request, peer: str) -> Answer:
        found = find(request.path)
        if found is None:
            return text(f"unknown path: {request.path} (see /help)", 404)
        route, parts = found
        headers = request.headers
        refused = refusal(
            request.path,
            route.names if request.method in {"GET", "HEAD"} else (),
            peer=peer,
            host=headers.get("host"),
            allow_remote=self.allow_remote,
        )
        if refused is not None:
            return text(refused, 403)
        if from_a_page(request.method, origin=headers.get("origin"), fetch_site=headers.get("sec-fetch-site")):
            return text(f"not on behalf of another site's page: {request.path}", 403)
        if not route.takes(request.method):
            return wrong_method(route.methods)
        return await route.handle(self._backend, Asked(request.method, request.query, headers.get("accept", ""), parts))
