"""Bytes that change hands in the kernel, between two TCP connections."""

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from sidecar.proxy.sockets import reset_on_close
from sidecar.proxy.splice import Splice
from tests.support.leftovers import held
from tests.support.stack import begin as start
from tests.support.until import settled

MB = 1024 * 1024


class Line(NamedTuple):
    """A connection: what the test holds of it, and what a proxy would."""

    theirs: socket.socket
    ours: socket.socket


class Told:
    """Remembers what a splice tells."""

    def __init__(self) -> None:
        self.count = 0
        self.end = ""
        self.error: OSError | None = None

    def moved(self, count: int) -> None:
        self.count += count

    def arrived(self) -> None:
        self.end = "arrived"

    def source_ended(self, error: OSError | None) -> None:
        self.end, self.error = "source", error

    def target_ended(self, error: OSError) -> None:
        self.end, self.error = "target", error

    def refused(self) -> None:
        self.end = "refused"


def line() -> Iterator[Line]:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as theirs,
        server.accept()[0] as ours,
    ):
        theirs.setblocking(False)
        ours.setblocking(False)
        yield Line(theirs, ours)


app = pytest.fixture(line, name="app")
instance = pytest.fixture(line, name="instance")


def begin(app: Line, instance: Line, count: int, told: Told, *, unwritten: list[int] | None = None) -> Splice:
    loop = asyncio.get_running_loop()
    return Splice(loop, app.ours, instance.ours, count, told, lambda: (unwritten or [0])[0])


async def received(sock: socket.socket, count: int) -> bytes:
    """So many bytes."""
    loop, got = asyncio.get_running_loop(), bytearray()
    while len(got) < count:
        piece = await loop.sock_recv(sock, min(65536, count - len(got)))
        assert piece, "it ended"
        got += piece
    return bytes(got)


async def test_just_so_many_bytes_change_hands(app: Line, instance: Line) -> None:
    """More than the buffers hold, in order; what follows stays for whoever reads on, and no descriptor is left."""
    before, told = held().descriptors, Told()
    body = os.urandom(MB) * 6
    splice = begin(app, instance, len(body), told)
    sending = start(asyncio.get_running_loop().sock_sendall(app.theirs, body + b"next"))
    assert await received(instance.theirs, len(body)) == body
    await sending
    assert (told.count, told.end) == (len(body), "arrived")
    assert app.ours.recv(10) == b"next"
    splice.stop()
    assert held().descriptors == before


async def test_what_the_transport_has_to_write_goes_first(app: Line, instance: Line) -> None:
    """Not a byte is moved before, even where the target would take it."""
    told, unwritten = Told(), [3]
    await asyncio.get_running_loop().sock_sendall(app.theirs, b"body")
    splice = begin(app, instance, 4, told, unwritten=unwritten)
    for _ in range(20):
        await asyncio.sleep(0)
    assert splice.blocked
    assert told.count == 0
    instance.ours.send(b"its")
    unwritten[0] = 0
    assert await received(instance.theirs, 7) == b"itsbody"
    assert told.end == "arrived"


async def test_a_target_that_takes_nothing_stops_the_source(app: Line, instance: Line) -> None:
    """Of 64 MB hardly more than the kernel's buffers; when it reads on, all comes."""
    told, body = Told(), bytes(64 * MB)
    splice = begin(app, instance, len(body), told)
    sending = start(asyncio.get_running_loop().sock_sendall(app.theirs, body))
    await settled(lambda: splice.blocked)
    assert told.count < len(body) // 2
    assert len(await received(instance.theirs, len(body))) == len(body)
    await sending
    assert told.end == "arrived"


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_source_that_ends_too_early_is_told_of(app: Line, instance: Line, how: str) -> None:
    """A FIN without an error, a reset with one."""
    told = Told()
    begin(app, instance, 10, told)
    await asyncio.get_running_loop().sock_sendall(app.theirs, b"half")
    assert await received(instance.theirs, 4) == b"half"
    if how == "reset":
        reset_on_close(app.theirs)
    app.theirs.close()
    await settled(lambda: told.end == "source")
    assert isinstance(told.error, ConnectionResetError) is (how == "reset")


async def test_a_target_that_is_gone_is_told_of(app: Line, instance: Line) -> None:
    """With the error that its kernel gave."""
    told = Told()
    begin(app, instance, 10, told)
    reset_on_close(instance.theirs)
    instance.theirs.close()
    await asyncio.get_running_loop().sock_sendall(app.theirs, b"half")
    await settled(lambda: told.end == "target")
    assert isinstance(told.error, ConnectionError)


async def test_a_kernel_that_does_not_splice_is_told_of(
    app: Line, instance: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost: the bytes are still to be read."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr(os, "splice", refuse)
    told = Told()
    begin(app, instance, 4, told)
    await asyncio.get_running_loop().sock_sendall(app.theirs, b"body")
    await settled(lambda: told.end == "refused")
    assert app.ours.recv(10) == b"body"


async def test_one_that_is_stopped_moves_nothing_more(app: Line, instance: Line) -> None:
    """And may be stopped again."""
    told = Told()
    splice = begin(app, instance, 4, told)
    splice.stop()
    splice.stop()
    await asyncio.get_running_loop().sock_sendall(app.theirs, b"body")
    for _ in range(20):
        await asyncio.sleep(0)
    assert (told.count, told.end) == (0, "")
    assert app.ours.recv(10) == b"body"
