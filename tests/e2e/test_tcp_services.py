"""`protocol: tcp` with a real peer: a Redis that restarts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.needs import find
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until

CONFIG = """\
version: 1
listen: null
admin: {{listen: 127.0.0.1:0}}
access_log: {{path: access.log}}
nacos: {{server_addresses: "{registry}"}}
services:
  - {{name: orders, listen: 127.0.0.1:0, protocol: tcp, wait_for_instance: {{timeout: 60s}}}}
"""


@contextlib.asynccontextmanager
async def in_front_of(registry: EmbeddedRegistry, folder: Path) -> AsyncIterator[tuple[SidecarProcess, int]]:
    """A sidecar that is ready, and the port of the service."""
    async with running(folder, CONFIG.format(registry=registry.address)) as sidecar:
        await sidecar.ready()
        yield sidecar, await sidecar.bound("orders")


async def redis(port: int, folder: Path) -> Child:
    """A real server that keeps what it is told in a file."""
    program = find("redis-server")
    assert program is not None
    child = Child(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--dir", str(folder)],
        log=folder / "redis.log",
    )

    async def there() -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    await until(there)
    return child


async def tell(port: int, *words: str) -> bytes:
    """One command over a connection of its own; the first line of the reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(" ".join(words).encode() + b"\r\n")
    line = await reader.readline()
    writer.close()
    return line


@pytest.mark.needs("redis-server")
async def test_a_redis_that_restarts_is_waited_for(tmp_path: Path) -> None:
    """The only instance: a command that comes while it is away is held, and answered by the new process."""
    async with EmbeddedRegistry() as registry:
        where = free_port()
        first = await redis(where, tmp_path)
        registry.register("orders", "127.0.0.1", where)
        async with in_front_of(registry, tmp_path) as (sidecar, port):
            assert await tell(port, "SET", "stock", "7") == b"+OK\r\n"
            await first.terminate()
            asking = asyncio.get_running_loop().create_task(tell(port, "GET", "stock"))
            waiting = 'sidecar_waiting_requests{service="orders"}'

            async def is_held() -> bool:
                return await sidecar.metric(waiting) == 1

            await until(is_held, pause=0.01)
            second = await redis(where, tmp_path)
            assert await asking == b"$1\r\n"
            assert (
                await sidecar.metric('sidecar_rescued_requests_total{service="orders",by="wait"}')
                + await sidecar.metric('sidecar_rescued_requests_total{service="orders",by="retry"}')
                == 1
            )
            await second.terminate()
