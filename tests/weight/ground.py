"""The ten services that both proxies serve: thirty instances inside this process, registered with a registry outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port
from tests.support.registry_process import registry_process

SERVICES = 10
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
"""An instance of each service on each."""

_ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n{"found": 7}'


@dataclass(frozen=True, slots=True)
class Service:
    """A name, and the port that its instances have on all of `HOSTS`."""

    name: str
    port: int

    @property
    def instances(self) -> list[str]:
        """`ip:port` each."""
        return [f"{host}:{self.port}" for host in HOSTS]


@asynccontextmanager
async def services() -> AsyncIterator[tuple[Service, ...]]:
    """Instances that answer every request at once."""
    found = tuple(Service(f"service-{number}", free_port()) for number in range(SERVICES))
    async with AsyncExitStack() as stack:
        for service in found:
            for host in HOSTS:
                await stack.enter_async_context(await asyncio.start_server(_serve, host, service.port))
        yield found


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(_ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@asynccontextmanager
async def registry(found: tuple[Service, ...], folder: Path) -> AsyncIterator[str]:
    """`ip:port` of an embedded Nacos in a process of its own, which lists all instances."""
    async with registry_process(folder) as process:
        for service in found:
            for instance in service.instances:
                await process.register(service.name, instance)
        yield process.address
