"""One registry session of ours and somebody who listens to it."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

from sidecar.discovery.access import Access
from sidecar.discovery.nacos import NacosSession
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import Listing, ServiceKey, Trouble
from sidecar.embedded.connections import Connection
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.until import PATIENCE

ORDERS = ServiceKey("orders", "DEFAULT_GROUP")


class Ear:
    """An owner that writes down what it is told."""

    def __init__(self) -> None:
        self.lists: asyncio.Queue[tuple[ServiceKey, Listing | str]] = asyncio.Queue()
        self.troubles: list[Trouble] = []
        self.woken = asyncio.Event()

    def pushed(self, key: ServiceKey, listing: Listing) -> None:
        self.lists.put_nowait((key, listing))

    def unreadable(self, key: ServiceKey, error: str) -> None:
        self.lists.put_nowait((key, error))

    def troubled(self, trouble: Trouble) -> None:
        self.troubles.append(trouble)
        self.woken.set()

    async def next(self, within: float = PATIENCE) -> tuple[ServiceKey, Listing | str]:
        async with asyncio.timeout(within):
            return await self.lists.get()

    async def until(self, *wanted: int) -> None:
        """Returns with the first list of exactly these ports."""
        while ports((await self.next())[1]) != sorted(wanted):
            pass

    async def trouble(self, within: float = PATIENCE) -> Trouble:
        async with asyncio.timeout(within):
            await self.woken.wait()
        return self.troubles[0]


def new_session(registry: EmbeddedRegistry, ear: Ear, *, timeout: float = 1.0) -> NacosSession:
    """Not open yet; `timeout` is that of one request, in seconds."""
    server = Server.parse(registry.address, grpc_port_offset=registry.port_offset)
    options = NacosOptions(request_timeout=timeout)
    return NacosSession(server, options, ear, Access(options, rng=random.Random(1)))


def ports(listing: Listing | str) -> list[int]:
    assert isinstance(listing, Listing)
    return sorted(instance.port for instance in listing.instances)


@contextlib.asynccontextmanager
async def opened(registry: EmbeddedRegistry) -> AsyncIterator[Ear]:
    """Who listens to an open session that has subscribed to `orders`."""
    ear = Ear()
    session = new_session(registry, ear)
    try:
        await session.open()
        await session.subscribe(ORDERS)
        yield ear
    finally:
        await session.close()


async def clients(registry: EmbeddedRegistry, count: int) -> bool:
    """Whether so many are connected."""
    return len(registry.connections) == count


async def acked(connection: Connection, kind: str) -> bool:
    """Whether this client, connected still or not, has answered so."""
    return any(ack.type == kind for ack in connection.acks)
