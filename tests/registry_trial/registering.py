"""Instances on a real server that are told by hand, over HTTP: they stay until they are struck, without a heartbeat."""

import asyncio
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.nacos_server import NacosServer

_PATH = "/v1/ns/instance"
"""Of all versions here."""


class Book:
    """The instances of one service on one server; all on loopback."""

    def __init__(self, server: NacosServer, service: str, *, token: str = "") -> None:
        self._server = server
        self._service = service
        self._token = token

    async def enrol(self, port: int, *, weight: float = 1.0) -> None:
        """Registers an instance, or tells its new weight; returns when the server has accepted it."""
        await self._send("POST", {"port": str(port), "weight": str(weight)})

    async def strike(self, port: int) -> None:
        """Deregisters an instance."""
        await self._send("DELETE", {"port": str(port)})

    async def _send(self, method: str, fields: dict[str, str]) -> None:
        form = {"serviceName": self._service, "ip": "127.0.0.1", "ephemeral": "false", **fields}
        path = f"{_PATH}?{urllib.parse.urlencode(form)}"  # a body is read with a POST only
        status, body = await asyncio.to_thread(self._server.call, method, path, {}, self._token)
        if status != 200:
            raise RuntimeError(f"{self._server!r} answered {status}: {body!r}")


@asynccontextmanager
async def enrolled(server: NacosServer, service: str, *ports: int, token: str = "") -> AsyncIterator[Book]:
    """A book in which these stand; they are left on the server, which ends with the trial."""
    book = Book(server, service, token=token)
    for port in ports:
        await book.enrol(port)
    yield book
