"""The gate between plain sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import cast

import pytest

from sidecar.embedded.gate import Gate, _Side
from tests.support.until import PATIENCE, until


class _Echo(asyncio.Protocol):
    """Sends back what arrives, and reads no faster than that goes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """A gate before an echo server."""
    server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", 0)
    gate = Gate(server.sockets[0].getsockname()[1])
    yield gate
    await gate.close()
    server.close()


@pytest.fixture
async def port(gate: Gate) -> int:
    listening = socket.create_server(("127.0.0.1", 0))
    await gate.open(listening)
    number: int = listening.getsockname()[1]
    return number


async def test_more_bytes_than_any_buffer_come_back_unchanged(gate: Gate, port: int) -> None:
    """Eight megabytes written without reading stay in order through both halves and their back-pressure."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = bytes(range(256)) * 32768
    writer.write(sent)
    assert await asyncio.wait_for(reader.readexactly(len(sent)), PATIENCE) == sent
    writer.close()
    await until(lambda: _has(gate, 0))


async def test_a_reset_is_a_reset(gate: Gate, port: int) -> None:
    """The client reads ECONNRESET, not an end of file."""
    reader, writer = await _echoed(port)
    gate.reset()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()


async def test_a_frozen_gate_moves_nothing_and_keeps_all(gate: Gate, port: int) -> None:
    """No byte comes through while frozen, none is missing afterwards, on old and on new connections."""
    old, writer = await _echoed(port)
    gate.freeze()
    new, second = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"old")
    second.write(b"new")
    for reader in (old, new):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
    gate.thaw()
    assert await asyncio.wait_for(old.readexactly(3), PATIENCE) == b"old"
    assert await asyncio.wait_for(new.readexactly(3), PATIENCE) == b"new"
    writer.close()
    second.close()


async def test_what_comes_for_a_client_that_has_gone_is_dropped(gate: Gate, port: int) -> None:
    """Bytes of the server may be under way when the client's end is already closed; nothing is raised."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
    transport.abort()
    await until(lambda: _has(gate, 0))
    _Side(other=transport).data_received(b"late")


async def test_a_closed_gate_refuses_and_ends_what_there_is(gate: Gate, port: int) -> None:
    """Open connections see an end of file, new ones are refused."""
    reader, writer = await _echoed(port)
    await gate.close()
    assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    assert repr(gate).endswith("closed>")


async def _echoed(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection through which a byte went there and back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b".")
    assert await asyncio.wait_for(reader.readexactly(1), PATIENCE) == b"."
    return reader, writer


async def _has(gate: Gate, links: int) -> bool:
    return repr(gate) == f"<Gate {links} links, open>"
