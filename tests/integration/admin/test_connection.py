"""Connections to the admin port, as peers of all manners use them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from sidecar.admin import connection
from sidecar.admin.handling import Answer, text
from sidecar.admin.server import AdminServer
from tests.support.admin_backend import ScriptedBackend
from tests.support.until import PATIENCE, settled

HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Peer:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[bytes, bytes]:
        """Status line and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head.partition(b"\r\n")[0], await self.reader.readexactly(length)


class Port:
    """A server, and peers of it."""

    def __init__(self, server: AdminServer, address: str) -> None:
        self.server = server
        self._address = address

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        host, _, port = self._address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield Peer(reader, writer)
        finally:
            writer.close()


@pytest_asyncio.fixture
async def port() -> AsyncIterator[Port]:
    server = AdminServer(ScriptedBackend(), allow_remote=[])
    yield Port(server, await server.open("127.0.0.1", 0))
    await server.close()


async def test_requests_that_were_not_waited_for_are_answered_in_order(port: Port) -> None:
    """All of them, on one connection."""
    async with port.peer() as peer:
        peer.write(HEALTHZ * 3 + HEALTHZ.replace(b"/healthz", b"/nowhere") + HEALTHZ)
        assert [(await peer.answer())[0][9:12] for _ in range(5)] == [b"200", b"200", b"200", b"404", b"200"]


async def test_a_peer_that_wants_no_more_is_closed(port: Port) -> None:
    """What it sent behind that is not answered."""
    async with port.peer() as peer:
        peer.write(HEALTHZ.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + HEALTHZ)
        assert (await peer.reader.read()).count(b"HTTP/1.1") == 1


async def test_a_peer_that_has_said_all_is_answered(port: Port) -> None:
    """As `nc` does it: it ends its side right behind the request."""
    async with port.peer() as peer:
        peer.write(HEALTHZ)
        peer.writer.write_eof()
        assert (await peer.reader.read()).endswith(b"\r\n\r\nok")


async def test_what_is_not_http_is_told_so_and_closed(port: Port) -> None:
    """A TLS handshake, say."""
    async with port.peer() as peer:
        peer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert (await peer.reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_a_peer_that_says_nothing_is_left(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an answer: it asked nothing."""
    monkeypatch.setattr(connection, "_PATIENCE", 0.01)
    async with port.peer() as peer:
        assert await peer.reader.read() == b""


async def test_a_peer_that_takes_no_answer_is_let_go(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it was to get: a scraper that hangs costs no memory for ever."""

    async def much(*_: object) -> Answer:
        return Answer(b"x" * 1024 for _ in range(32 * 1024))

    def served() -> bool:
        return any(task.get_name() == "admin connection" for task in asyncio.all_tasks())

    monkeypatch.setattr(AdminServer, "_answer", much)
    monkeypatch.setattr(connection, "_PATIENCE", 0.5)
    async with port.peer() as peer:
        peer.write(HEALTHZ)
        await peer.reader.readexactly(1)
        assert served()
        await settled(lambda: not served())
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await peer.reader.readexactly(32 * 1024 * 1024)


async def test_a_route_that_fails_is_500_and_told(port: Port, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever it fails, and the connection goes on."""

    async def at_once(*_: object) -> Answer:
        raise RuntimeError

    async def later(*_: object) -> Answer:
        return Answer(str(1 // number) for number in range(1))

    async with port.peer() as peer:
        for broken in (at_once, later):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(AdminServer, "_answer", broken)
                async with port.peer() as other:
                    other.write(HEALTHZ * 2)
                    assert [await other.answer() for _ in range(2)] == [
                        (b"HTTP/1.1 500 Internal Server Error", b"internal error")
                    ] * 2
        peer.write(HEALTHZ)
        assert (await peer.answer())[1] == b"ok"
    assert [record.getMessage() for record in caplog.records] == ["admin: GET /healthz"] * 4


async def test_half_a_character_spoils_no_answer(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider may register metadata that has no UTF-8: in JSON it is what the registry said."""
    said = {"metadata": {"zone": "\ud800"}}

    async def of_a_registry(*_: object) -> Answer:
        return Answer([json.dumps(said, ensure_ascii=False)])

    monkeypatch.setattr(AdminServer, "_answer", of_a_registry)
    async with port.peer() as peer:
        peer.write(HEALTHZ)
        status, body = await peer.answer()
    assert (status, json.loads(body)) == (b"HTTP/1.1 200 OK", said)


async def test_an_answer_under_way_is_finished_before_the_end(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the one to POST /reload is, when the reload moves the port; a connection that waits is closed at once."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> Answer:
        asked.set()
        await go.wait()
        return text("done")

    monkeypatch.setattr(AdminServer, "_answer", slow)
    monkeypatch.setattr("sidecar.admin.server._SHUTDOWN", PATIENCE)
    async with port.peer() as busy, port.peer() as waiting:
        busy.write(HEALTHZ * 2)
        await asked.wait()
        closing = asyncio.get_running_loop().create_task(port.server.close())
        assert await waiting.reader.read() == b""
        go.set()
        rest = await busy.reader.read()
        assert (rest.count(b"done"), b"\r\nconnection: close\r\n" in rest) == (1, True)
        await closing


async def test_an_answer_that_takes_too_long_is_not_waited_for(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process must come to its end."""
    asked = asyncio.Event()

    async def endless(*_: object) -> Answer:
        asked.set()
        await asyncio.Event().wait()
        return text("never")

    monkeypatch.setattr(AdminServer, "_answer", endless)
    monkeypatch.setattr("sidecar.admin.server._SHUTDOWN", 0.01)
    async with port.peer() as peer:
        peer.write(HEALTHZ)
        await asked.wait()
        await port.server.close()
        assert await peer.reader.read() == b""
