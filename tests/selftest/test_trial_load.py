"""The app of the trial: what it sends, and what it calls a failure."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle

import pytest

from tests.support.until import until
from tests.trial.load import Call, Load, loaded, orders

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nX-Sidecar-Error: UH no_instance attempts=0\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Script:
    """Says the same to every request; `ends` with its connection."""

    reply: bytes
    ends: bool = False
    seen: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        with suppress(asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        writer.close()
        await writer.wait_closed()
        self.open -= 1

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or 0)
            self.seen.append(head + await reader.readexactly(length))
            writer.write(self.reply)
            if self.ends:
                return

    async def closed(self) -> bool:
        return not self.open


async def calls(script: Script) -> list[Call]:
    """Twenty calls or a few more."""
    async with await asyncio.start_server(script.serve, "127.0.0.1", 0) as server:
        load = await twenty(server.sockets[0].getsockname()[1])
        await until(script.closed, pause=0.01)
    return load


async def twenty(port: int) -> list[Call]:
    async with loaded(port, rate=200.0) as load:

        async def enough() -> bool:
            return len(load.calls) >= 20

        await until(enough, pause=0.01)
    return load.calls


async def test_half_are_posts_and_every_id_is_its_own() -> None:
    """A POST carries its id in a field and in its body, a GET in its path."""
    script = Script(OK)
    ended = await calls(script)
    assert all(call.answered and call.ended >= call.started >= call.due for call in ended)
    assert len({call.id for call in ended}) == len(ended) == len(script.seen)
    posts = [
        one for one in script.seen if one.startswith(b"POST /echo ") and b"x-request-id: " in one and b'"id"' in one
    ]
    gets = [one for one in script.seen if one.startswith(b"GET /echo/c")]
    assert len(posts) + len(gets) == len(ended)
    assert abs(len(posts) - len(gets)) <= 1


async def test_connections_are_kept() -> None:
    """Answered calls leave theirs to the next ones."""
    script = Script(OK)
    ended = await calls(script)
    assert script.connections < len(ended) / 2


async def test_connections_that_were_idle_for_long_are_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call opens its own where even a moment is long; the other side sees the old ones closed."""
    monkeypatch.setattr("tests.trial.load.IDLE", 0.0)
    script = Script(OK)
    ended = await calls(script)
    assert script.connections == len(ended)


@pytest.mark.parametrize(
    ("make", "status", "error"),
    [
        (partial(Script, REFUSAL), 503, "UH no_instance attempts=0"),
        (partial(Script, b"", ends=True), 0, "closed without an answer"),
        (partial(Script, OK[:-1], ends=True), 0, "cut"),
    ],
    ids=["refused", "closed", "cut"],
)
async def test_what_is_no_answer_is_named(make: Callable[[], Script], status: int, error: str) -> None:
    """A local answer by its field, a lost connection by how much had come."""
    assert {(call.status, call.error) for call in await calls(make())} == {(status, error)}


async def test_nobody_there_is_a_failure_of_every_call() -> None:
    """The app goes on calling, and counts."""
    async with await asyncio.start_server(Script(OK).serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    assert all(call.error == "not connected: ConnectionRefusedError" for call in await twenty(port))


async def test_a_burst_has_all_calls_of_its_time_at_once() -> None:
    """The rate is that of any other load."""
    script = Script(OK)
    async with await asyncio.start_server(script.serve, "127.0.0.1", 0) as server:
        load = Load(server.sockets[0].getsockname()[1], rate=100.0)
        load.start(burst=0.1)

        async def enough() -> bool:
            return len(load.calls) >= 25

        await until(enough, pause=0.01)
        await load.stop()
        await until(script.closed, pause=0.01)
    moments = Counter(call.due for call in load.calls)
    assert len(moments) == 3
    assert set(moments.values()) == {10}


async def test_each_call_is_given_its_destination() -> None:
    """Connections are kept for each; a call that has nowhere to go has failed."""
    script = Script(OK)
    async with (
        await asyncio.start_server(script.serve, "127.0.0.1", 0) as one,
        await asyncio.start_server(script.serve, "127.0.0.1", 0) as other,
    ):
        ports = [server.sockets[0].getsockname()[1] for server in (one, other)]
        turn = cycle([*ports, None])
        load = Load(lambda: next(turn), rate=200.0, make=orders("x"))
        load.start()

        async def enough() -> bool:
            return len(load.calls) >= 30

        await until(enough, pause=0.01)
        await load.stop()
        await until(script.closed, pause=0.01)
    errors = Counter(call.error for call in load.calls)
    assert set(errors) == {"", "nobody is known"}
    assert errors["nobody is known"] in {len(load.calls) // 3, len(load.calls) // 3 + 1}
    assert all(call.id.startswith("x") for call in load.calls)
