"""A provider process: registered while it serves, and graceful when it goes."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.http_client import request
from tests.support.ports import free_port
from tests.support.process import Child, run
from tests.support.until import until

pytestmark = pytest.mark.own_process

SERVICE = "order-service"

LINGERING = "from sidecar.demo import provider; provider._LINGER = 4.0; raise SystemExit(provider.main())"
"""The program, with time for a busy machine to see it linger."""


class Provider:
    """The process, and where it listens."""

    def __init__(self, folder: Path, registry: str, *, port: int | None = None) -> None:
        self.port = port or free_port()
        self.ids = folder / "ids"
        self.child = Child(
            [
                sys.executable, "-c", LINGERING,
                "--port", str(self.port), "--registry", registry, "--service", SERVICE, "--ids", str(self.ids),
            ],
            log=folder / "provider.log",
        )  # fmt: skip


@asynccontextmanager
async def registered(folder: Path, registry: EmbeddedRegistry) -> AsyncIterator[Provider]:
    """A provider that the registry knows."""
    provider = Provider(folder, registry.address)
    try:
        await until(lambda: _known(registry, provider))
        yield provider
    finally:
        await provider.child.terminate()


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    async with EmbeddedRegistry() as registry:
        yield registry


async def test_it_registers_and_writes_down_what_it_executes(tmp_path: Path, registry: EmbeddedRegistry) -> None:
    """GET and POST are answered with id and port, and each stands in the file once."""
    async with registered(tmp_path, registry) as provider:
        (instance,) = registry.instances(SERVICE)
        assert (instance.ip, instance.port, instance.weight, instance.healthy) == ("127.0.0.1", provider.port, 1, True)
        got = await request(provider.port, "GET", "/echo/a1")
        posted = await request(provider.port, "POST", "/echo", body=b"{}", headers={"x-request-id": "a2"})
        assert json.loads(got.body) == {"id": "a1", "port": provider.port}
        assert json.loads(posted.body) == {"id": "a2", "port": provider.port}
        assert provider.ids.read_text() == "GET a1\nPOST a2\n"


def test_it_asks_no_interface_for_its_address() -> None:
    """The library's own way raises where there is loopback and nothing else, and nothing else is what a demo needs."""
    asked = run(sys.executable, "-c", "from sidecar.demo.provider import NetUtils; print(NetUtils.get_local_ip())")
    assert asked.stdout == "127.0.0.1\n"


async def test_a_graceful_stop_costs_an_open_connection_nothing(tmp_path: Path, registry: EmbeddedRegistry) -> None:
    """SIGTERM: out of the registry, new connections refused, an open one is answered once more and told to close."""
    async with registered(tmp_path, registry) as provider:
        reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        assert "Connection: close" not in await _echo(reader, writer, "b1")
        provider.child.signal(signal.SIGTERM)
        await until(lambda: _refuses(provider))
        assert "Connection: close" in await _echo(reader, writer, "b2")
        assert registry.instances(SERVICE) == ()
        assert await reader.read() == b""
        writer.close()
        assert await provider.child.ended() == 0
        assert provider.ids.read_text() == "GET b1\nGET b2\n"


async def test_it_survives_a_dead_registry(tmp_path: Path, registry: EmbeddedRegistry) -> None:
    """Without a registry it goes on serving, and still ends by itself with 0."""
    async with registered(tmp_path, registry) as provider:
        await registry.close()
        assert (await request(provider.port, "GET", "/echo/c1")).status == 200
        provider.child.signal(signal.SIGTERM)
        assert await provider.child.ended() == 0
        assert "not deregistered" in provider.child.output()


async def test_a_taken_port_is_told(tmp_path: Path, registry: EmbeddedRegistry) -> None:
    """It ends with 69 and names the port, and registers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        provider = Provider(tmp_path, registry.address, port=port)
        assert await provider.child.ended() == 69
    assert f"cannot listen on 127.0.0.1:{port}: " in provider.child.output()
    assert registry.instances(SERVICE) == ()


async def test_without_a_registry_it_does_not_stay(tmp_path: Path) -> None:
    """Nobody would find it: it ends with 69 and names the registry."""
    nowhere = f"127.0.0.1:{free_port((0, 1000))}"
    provider = Provider(tmp_path, nowhere)
    assert await provider.child.ended() == 69
    assert f"cannot register at {nowhere}: " in provider.child.output()


async def _known(registry: EmbeddedRegistry, provider: Provider) -> bool:
    if provider.child.exit_code is not None:
        raise AssertionError(provider.child.tail())
    return bool(registry.instances(SERVICE))


async def _refuses(provider: Provider) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request_id: str) -> str:
    """The head of the answer."""
    writer.write(f"GET /echo/{request_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
    await reader.readexactly(int(fields["Content-Length"]))
    return head
