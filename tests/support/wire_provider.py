"""Instances that a bare client registers with a server of 2.x or 3.x: what it says is all that the server knows."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from sidecar.tasks import spawn
from tests.support.nacos_server import NacosServer
from tests.support.wire_client import WireClient


class WireProvider:
    """A client with one instance, which goes with its connection."""

    def __init__(self, client: WireClient, service: str, port: int) -> None:
        self._client = client
        self._service = service
        self.port = port

    async def register(self, **fields: Any) -> None:
        """Also again, with other fields."""
        await self._say("registerInstance", **fields)

    async def deregister(self) -> None:
        await self._say("deregisterInstance")

    async def _say(self, kind: str, **fields: Any) -> None:
        instance = {"ip": "127.0.0.1", "port": self.port, "weight": 1.0, "healthy": True, "enabled": True}
        answer, body = await self._client.ask(
            "InstanceRequest",
            namespace="public",
            serviceName=self._service,
            groupName="DEFAULT_GROUP",
            type=kind,
            instance={**instance, "ephemeral": True, "clusterName": "DEFAULT", "metadata": {}, **fields},
        )
        assert answer == "InstanceResponse", body


@contextlib.asynccontextmanager
async def providing(server: NacosServer, service: str, *ports: int) -> AsyncIterator[list[WireProvider]]:
    """Providers that have not registered yet, each with a connection of its own."""
    async with contextlib.AsyncExitStack() as stack:
        providers = []
        for port in ports:
            client = await stack.enter_async_context(WireClient(server.http_port))
            await client.set_up()
            listener = spawn(_listen(client), name="wire provider")
            stack.callback(listener.cancel)
            providers.append(WireProvider(client, service, port))
        yield providers


async def _listen(client: WireClient) -> None:
    """Says that it lives whenever the server asks; one that is silent for half a minute is thrown out."""
    while (await client.told(within=3600.0))[0]:
        pass
