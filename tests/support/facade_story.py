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
    """A server, providers of a service there, and a sidecar with a façade."""

    server: NacosServer
    sidecar: SidecarProcess
    service: str
    addresses: list[str]
    """Where its providers are."""
    own: str
    """The sidecar's own listener of the service."""
    facade: str
    """Its address."""

    async def registry_lists(self, *addresses: str, service: str = "") -> None:
        """Returns when the real server lists these, of the service that this is about or of another."""

        async def so() -> bool:
            return await self.server.instances(service or self.service) == set(addresses)

        await until(so)

    async def known(self) -> None:
        """Returns when the sidecar knows the providers, and nobody else."""

        async def so() -> bool:
            (cluster,) = await self.sidecar.clusters()
            return {one["address"] for one in cluster["endpoints"]} == set(self.addresses)

        await until(so)


@contextlib.asynccontextmanager
async def ground(
    server: NacosServer, service: str, addresses: list[str], folder: Path, *, lists: str = "guarded", nacos: str = ""
) -> AsyncIterator[Ground]:
    """The sidecar is ready and knows the providers at these addresses; `nacos` are more keys of that section."""
    port = free_port()
    text = CONFIG.format(lists=lists, registry=server.address, port=port, service=service, nacos=nacos)
    async with running(folder, text) as sidecar:
        facade = f"127.0.0.1:{await sidecar.bound('facade')}"
        found = Ground(server, sidecar, service, addresses, f"127.0.0.1:{port}", facade)
        await sidecar.ready()
        await found.known()
        yield found
        assert sidecar.events("crash") == []


@contextlib.asynccontextmanager
async def two_providers(server: NacosServer, service: str) -> AsyncIterator[list[WireProvider]]:
    """Registered, and going on to accept connections when they are not."""
    async with contextlib.AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(accepting()) for _ in range(2)]
        providers = await stack.enter_async_context(providing(server, service, *ports))
        for provider in providers:
            await provider.register()
        yield providers


@contextlib.asynccontextmanager
async def staged(
    server: NacosServer, folder: Path, *, lists: str = "guarded"
) -> AsyncIterator[tuple[Ground, list[WireProvider]]]:
    """A ground with two providers."""
    service = some_service()
    async with two_providers(server, service) as providers:
        addresses = [f"127.0.0.1:{one.port}" for one in providers]
        async with ground(server, service, addresses, folder, lists=lists) as found:
            yield found, providers


def some_service() -> str:
    """A name that no other test has."""
    return f"orders-{next(_NUMBERS)}-{free_port()}"


@contextlib.asynccontextmanager
async def accepting() -> AsyncIterator[int]:
    """A port where somebody is."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def lists_are_guarded(client: LineClient, ground: Ground, providers: list[WireProvider]) -> None:
    """Subscribes and asks, loses nobody by a false list, and loses those that are gone."""
    both = sorted(ground.addresses)
    await client.order(f"subscribe {ground.service}")
    await client.lists_at_last(ground.service, *both)
    assert await client.order(f"get {ground.service}") == ",".join(both)
    for provider in providers:  # they go on accepting: as far as anybody can see, the registry is wrong
        await provider.deregister()
    await ground.registry_lists()
    await ground.sidecar.event("list_withheld")
    assert await client.order(f"get {ground.service}") == ",".join(both)
    await providers[0].register()
    await ground.registry_lists(ground.addresses[0])
    assert {tuple(one) for one in client.lists(ground.service)} == {tuple(both)}
    assert (await ground.sidecar.admin("/services/orders/obey", method="POST")).status == 200
    await client.lists_at_last(ground.service, ground.addresses[0])


async def the_sidecar_stays(client: LineClient, ground: Ground, providers: list[WireProvider]) -> None:
    """The only instance is the sidecar's listener, while providers go, return and change."""
    await client.order(f"subscribe {ground.service}")
    await client.lists_at_last(ground.service, ground.own)
    for provider in providers:
        await provider.deregister()
        await ground.registry_lists(*(set(ground.addresses) - {f"127.0.0.1:{provider.port}"}))
        await provider.register(weight=2.0)
        await ground.registry_lists(*ground.addresses)
        assert await client.order(f"get {ground.service}") == ground.own
    assert {tuple(one) for one in client.lists(ground.service)} == {(ground.own,)}


async def registrations_pass(client: LineClient, ground: Ground) -> None:
    """What the app registers is at the real server, under its own address, until the app takes it back."""
    mine = f"mine-{free_port()}"
    await client.order(f"register {mine} 4711")
    await ground.registry_lists("127.0.0.1:4711", service=mine)
    await client.order(f"deregister {mine} 4711")
    await ground.registry_lists(service=mine)


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
