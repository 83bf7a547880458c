"""What a trial does to a real server over HTTP: instances told by hand, and connections sent away."""

import asyncio
import json
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.support.nacos_server import NacosServer, Version
from tests.support.until import until

_INSTANCE = "/v1/ns/instance"
"""Of all versions here."""

_LOADER: Mapping[Version, tuple[str, str]] = {
    "3.1.0": ("POST", "/v3/admin/core/loader"),
    "2.3.2": ("GET", "/v2/core/loader"),
}
_SDK = "Nacos-Python-Client"


class RegistryRefused(Exception):  # noqa: N818 - what the server did
    """A server did not do what it was asked to."""


async def ask(server: NacosServer, method: str, path: str, token: str = "", **form: str) -> Any:
    """The JSON of an answer, or its text where it holds none; raises RegistryRefused."""
    full = f"{path}?{urllib.parse.urlencode(form)}"  # a body is read with a POST only
    status, body = await asyncio.to_thread(server.call, method, full, {}, token)
    if status != 200:
        raise RegistryRefused(f"{server!r} answered {status} to {method} {path}: {body!r}")
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


class Book:
    """The instances of one service on one server, all on loopback; they stay without a heartbeat, also on its disk."""

    def __init__(self, server: NacosServer, service: str) -> None:
        self.server = server
        self._service = service
        self.token = ""

    async def enrol(self, port: int, *, weight: float = 1.0) -> None:
        """Registers an instance, or tells its new weight; returns when the server has accepted it."""
        await self._send("POST", port, weight=str(weight))

    async def strike(self, port: int) -> None:
        """Deregisters an instance."""
        await self._send("DELETE", port)

    async def _send(self, method: str, port: int, **fields: str) -> None:
        instance = {"serviceName": self._service, "ip": "127.0.0.1", "port": str(port), "ephemeral": "false"}
        await ask(self.server, method, _INSTANCE, self.token, **instance, **fields)


@asynccontextmanager
async def enrolled(server: NacosServer, service: str, *ports: int, token: str = "") -> AsyncIterator[Book]:
    """A book in which these stand; it is left on the server, which ends with the trial."""
    book = Book(server, service)
    book.token = token
    for port in ports:
        await book.enrol(port)
    yield book


async def listed(server: NacosServer, service: str, addresses: set[str]) -> float:
    """The moment from which the server lists exactly these."""

    async def so() -> bool:
        try:
            return await server.instances(service) == addresses
        except (OSError, RuntimeError):
            return False

    await until(so, pause=0.02)
    return asyncio.get_running_loop().time()


async def sidecars(server: NacosServer, token: str = "") -> list[str]:
    """The connections of clients of the Python SDK, sidecars among them."""
    found = await ask(server, "GET", f"{_LOADER[server.version][1]}/current", token)
    connections = found.get("data", found)
    return [name for name, one in connections.items() if one["metaInfo"]["version"].startswith(_SDK)]


async def send_away(server: NacosServer, token: str = "") -> int:
    """Has the server tell each of them to connect anew; how many there were."""
    method, path = _LOADER[server.version]
    mine = await sidecars(server, token)
    for connection in mine:
        await ask(server, method, f"{path}/reloadClient", token, connectionId=connection, redirectAddress="")
    return len(mine)


async def without_sidecars(server: NacosServer, token: str = "") -> None:
    """Returns when the server has none of them left."""

    async def so() -> bool:
        return not await sidecars(server, token)

    await until(so, pause=0.25)
