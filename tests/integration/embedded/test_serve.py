"""The registry alone."""

import asyncio
import os
import signal

import aiohttp
import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.embedded.serve import serve
from sidecar.tasks import spawn
from tests.support.ports import free_port
from tests.support.until import PATIENCE, until


async def test_it_serves_until_a_signal(capfd: pytest.CaptureFixture[str]) -> None:
    """After SIGTERM it ends without an error, and told where it listened."""
    port = free_port((0, 1000))
    serving = spawn(serve("127.0.0.1", port), name="serve")
    async with aiohttp.ClientSession() as session:
        await until(lambda: _answers(session, port))
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving, PATIENCE)
    assert f"HTTP on 127.0.0.1:{port}, gRPC on 127.0.0.1:{port + 1000}" in capfd.readouterr().err


async def test_a_taken_port_is_an_error() -> None:
    """Whoever starts it learns by OSError that it cannot listen."""
    async with EmbeddedRegistry() as first:
        with pytest.raises(OSError, match="in use"):
            await serve("127.0.0.1", first.port)


async def _answers(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/faults") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
