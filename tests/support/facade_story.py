"""What every client is put through behind the façade: the same story for each, on a real server.

A client is told of by a `LineClient`: orders on a line, whatever language it is written in.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.java_client import LineClient
from tests.support.nacos_server import NacosServer
from tests.support.ports import free_port
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until
from tests.support.wire_provider import WireProvider, providing

_NUMBERS = itertools.count(1)

CONFIG = """\
version: 1
listen: null
facade: {{listen: "127.0.0.1:0", lists: {lists}}}
admin: {{listen: "127.0.0.1:0"}}
access_log: {{path: none}}
nacos: {{server_addresses: "{registry}"{nacos}}}
services:
  - name: orders
    listen: 127.0.0.1:{port}
    discovery: {{service: {service}}}
    protection: {{max_hold: 10m}}
"""


@dataclass
class Ground:
    """A server with two providers of a service, which accept connections, and a sidecar with a façade."""

    server: NacosServer
    sidecar: SidecarProcess
    service: str
    providers: list[WireProvider]
    port: int
    """Of the sidecar's own listener of the service."""
    facade: str
    """Its address."""

    @property
    def addresses(self) -> list[str]:
        """Where the providers are."""
        return [f"127.0.0.1:{one.port}" for one in self.providers]

    async def registry_lists(self, *addresses: str) -> None:
        """Returns when the real server lists these."""

        async def so() -> bool:
            return await self.server.instances(self.service) == set(addresses)

        await until(so)

    async def lists(self, result: str) -> float:
        """How many lists the façade has counted so."""
        return await self.sidecar.metric(f'sidecar_facade_lists_total{{service="orders",result="{result}"}}')


@contextlib.asynccontextmanager
async def ground(
    server: NacosServer, folder: Path, *, lists: str = "guarded", nacos: str = ""
) -> AsyncIterator[Ground]:
    """The sidecar is ready and knows both providers."""
    service, port = f"orders-{next(_NUMBERS)}-{free_port()}", free_port()
    async with contextlib.AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(_accepting()) for _ in range(2)]
        providers = await stack.enter_async_context(providing(server, service, *ports))
        for provider in providers:
            await provider.register()
        text = CONFIG.format(lists=lists, registry=server.address, port=port, service=service, nacos=nacos)
        sidecar = await stack.enter_async_context(running(folder, text))
        facade = f"127.0.0.1:{await sidecar.bound('facade')}"
        found = Ground(server, sidecar, service, providers, port, facade)
        await found.registry_lists(*found.addresses)
        await sidecar.ready()

        async def known() -> bool:
            (cluster,) = await sidecar.clusters()
            return {one["address"] for one in cluster["endpoints"]} == set(found.addresses)

        await until(known)
        yield found


@contextlib.asynccontextmanager
async def _accepting() -> AsyncIterator[int]:
    """A port where somebody is."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def lists_are_guarded(client: LineClient, ground: Ground) -> None:
    """Subscribes and asks, loses nobody by a false list, and loses those that are gone."""
    both = sorted(ground.addresses)
    await client.order(f"subscribe {ground.service}")
    await client.lists_at_last(ground.service, *both)
    assert await client.order(f"get {ground.service}") == ",".join(both)
    for provider in ground.providers:  # they go on accepting: as far as anybody can see, the registry is wrong
        await provider.deregister()
    await ground.registry_lists()
    await ground.sidecar.event("list_withheld")
    assert await client.order(f"get {ground.service}") == ",".join(both)
    assert client.lists(ground.service)[-1] == both
    assert [] not in client.lists(ground.service)
    await ground.providers[0].register()
    await ground.registry_lists(both[0] if both[0].endswith(str(ground.providers[0].port)) else both[1])
    answer = await ground.sidecar.admin("/services/orders/obey", method="POST")
    assert answer.status == 200
    await client.lists_at_last(ground.service, ground.addresses[0])


async def registrations_pass(client: LineClient, ground: Ground) -> None:
    """What the app registers is at the real server, under its own address, until the app takes it back."""
    mine = f"mine-{free_port()}"
    await client.order(f"register {mine} 4711")

    async def listed(*addresses: str) -> None:
        async def so() -> bool:
            return await ground.server.instances(mine) == set(addresses)

        await until(so)

    await listed("127.0.0.1:4711")
    await client.order(f"deregister {mine} 4711")
    await listed()


async def configuration_passes(client: LineClient) -> None:
    """Published, read, and told when it changes."""
    name = f"config-{free_port()}"
    await client.order(f"publish {name} first")

    async def reads(content: str) -> None:
        async def so() -> bool:
            return await client.attempt(f"read {name}") == f"ok read {name} {content}"

        await until(so, pause=0.2)

    await reads("first")
    await client.order(f"listen {name}")
    await client.order(f"publish {name} second")
    await client.told(f"changed {name} second")
