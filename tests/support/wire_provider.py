"""Instances that a bare client registers with a server of 2.x or 3.x: what it says is all that the server knows."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc.aio

from sidecar.tasks import spawn
from tests.support.nacos_server import NacosServer
from tests.support.wire_client import WireClient

_NAMES = {"namespace": "public", "groupName": "DEFAULT_GROUP"}

_BEAT = 3.0
"""Seconds between two requests of its own. A server asks whoever has sent none for twenty seconds whether it lives, and now
and then throws out one that answered (fact R-6): on a busy machine a story takes longer than that."""


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
        instance = _instance(**{"ip": "127.0.0.1", "port": self.port, **fields})
        answer, body = await self._client.ask(
            "InstanceRequest", **_NAMES, serviceName=self._service, type=kind, instance=instance
        )
        assert answer == "InstanceResponse", body


@contextlib.asynccontextmanager
async def providing(server: NacosServer, service: str, *ports: int) -> AsyncIterator[list[WireProvider]]:
    """Providers that have not registered yet, each with a connection of its own."""
    async with contextlib.AsyncExitStack() as stack:
        providers = []
        for port in ports:
            client = await stack.enter_async_context(_living(server))
            providers.append(WireProvider(client, service, port))
        yield providers


@contextlib.asynccontextmanager
async def providing_many(server: NacosServer, service: str, hosts: Sequence[str]) -> AsyncIterator[None]:
    """One client with an instance on each host, all registered at once."""
    async with _living(server) as client:
        instances = [_instance(ip=host, port=8080) for host in hosts]
        answer, body = await client.ask(
            "BatchInstanceRequest",
            **_NAMES,
            serviceName=service,
            type="batchRegisterInstance",
            instances=instances,
        )
        assert answer == "BatchInstanceResponse", body
        yield


def _instance(**fields: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "weight": 1.0,
        "healthy": True,
        "enabled": True,
        "ephemeral": True,
        "clusterName": "DEFAULT",
    }
    return {**known, "metadata": {}, **fields}


@contextlib.asynccontextmanager
async def _living(server: NacosServer) -> AsyncIterator[WireClient]:
    """A connected client that shows the server that it lives."""
    async with WireClient(server.http_port) as client:
        await client.set_up()
        tasks = [spawn(what(client), name="wire provider") for what in (_listen, _beat)]
        try:
            yield client
        finally:
            for task in tasks:
                task.cancel()


async def _listen(client: WireClient) -> None:
    """Says so whenever the server asks; one that is silent for half a minute is thrown out."""
    while (await client.told(within=3600.0))[0]:
        pass


async def _beat(client: WireClient) -> None:
    """Says so unasked, as official clients do."""
    while True:
        await asyncio.sleep(_BEAT)
        with contextlib.suppress(grpc.aio.AioRpcError):  # the test may have stopped the server
            await client.ask("HealthCheckRequest")
