"""Large uploads that go from socket to socket: on the wire nothing tells them from others."""

import asyncio
import errno
import fcntl
import gc
import hashlib
import os
import socket
import stat
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.cluster.endpoint import State
from sidecar.cluster.policy import OutlierDetection, Retry, Timeouts
from sidecar.errors import FAILURES
from sidecar.proxy import splice
from sidecar.proxy.http1 import handover
from sidecar.proxy.http1.exchange import Exchange
from sidecar.proxy.http1.handover import Handover
from sidecar.proxy.sockets import BLACK_HOLE_MS, reset_on_close
from sidecar.proxy.splice import Splice
from tests.support.descriptors import none_left
from tests.support.leftovers import growth, held
from tests.support.scripted_peer import Script, ScriptedPeer, Talk
from tests.support.stack import GET, MakeStack, Stack, ask, begin, read, until
from tests.support.until import PATIENCE, settled

MB = 1024 * 1024
BODY = hashlib.shake_128(b"an upload").digest(MB) * 8
HEAD = b"POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: %d\r\n\r\n" % len(BODY)


def handed_over(proxy: Stack) -> bool:
    """The upload under way goes beside us."""
    return any(exchange.handover is not None for exchange in exchanges(proxy))


def exchanges(proxy: Stack) -> list[Exchange]:
    return [one.exchange for one in proxy.runtime.connections if one.exchange is not None]  # type: ignore[attr-defined]


async def reading(talk: Talk) -> None:
    """Takes the head and what comes of the body, and says nothing."""
    await talk.head()
    await talk.until_closed()


def half_then(act: Callable[[Talk], object]) -> Script:
    """Reads half of the body, and does something."""

    async def script(talk: Talk) -> None:
        await talk.head()
        await talk.reader.readexactly(len(BODY) // 2)
        act(talk)

    return script


async def test_a_large_upload_arrives_whole_and_both_connections_serve_on(
    stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request behind it in the same stream, too; all but what came first has gone beside us, and is counted."""
    moved, done = [0], os.splice

    def counted(source: int, target: int, *rest: int, **flags: int) -> int:
        count = done(source, target, *rest, **flags)
        moved[0] += count
        return count

    monkeypatch.setattr(os, "splice", counted)
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            sending = begin(app.send(HEAD + BODY + GET))
            assert [(await read(app)).body for _ in range(2)] == [b"ok", b"ok"]
            await sending
            assert (await ask(app)).body == b"ok"
        assert len(peer.talks) == 1
        assert peer.requests[0].endswith(b"\r\n\r\n" + BODY)
        assert proxy.records[0].bytes_received == proxy.cluster.stats.bytes_to_instance == len(BODY)
        assert moved[0] > len(BODY)  # into the pipe, and out of it


async def test_nothing_is_held_of_uploads_that_are_over(stack: MakeStack) -> None:
    """No descriptor and no circle, whether they came to their end or were cut in the middle."""

    def left() -> int:
        return sum(isinstance(one, (Exchange, Handover, Splice)) for one in gc.get_objects())

    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)

        async def whole_and_half() -> None:
            async with proxy.app() as app:
                await app.send(HEAD + BODY)
                assert (await read(app)).status == 200
            async with proxy.app() as app:
                begun = len(proxy.records)
                app.writer.write(HEAD + BODY[: len(BODY) // 2])
                await until(lambda: handed_over(proxy))
                app.reset()
                await until(lambda: len(proxy.records) > begun)

        assert await growth(whole_and_half, times=10) is None
        gc.collect()
        gc.disable()
        try:
            before = left()
            await whole_and_half()
            await until(lambda: left() <= before)
        finally:
            gc.enable()


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_an_app_that_leaves_in_the_middle_cancels_it(stack: MakeStack, how: str) -> None:
    """The instance sees an end, not a whole request; nobody is blamed."""
    async with ScriptedPeer(reading) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            app.writer.write(HEAD + BODY[: len(BODY) // 2])
            await until(lambda: handed_over(proxy))
            if how == "fin":
                app.half_close()
            else:
                app.reset()
            await until(lambda: proxy.codes == [(0, "DC")])
        await until(peer.talks[0].writer.is_closing)
        assert proxy.cluster.endpoints[peer.address].failures == 0


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_an_instance_that_dies_in_the_middle_ends_in_502(stack: MakeStack, how: str) -> None:
    """The app reads that although it is still sending, and the request goes nowhere else."""
    act = Talk.reset if how == "reset" else Talk.close
    async with ScriptedPeer(half_then(act)) as bad, ScriptedPeer() as good:
        proxy = stack()
        await proxy.open()
        proxy.add(good.port, first=bad.port)
        async with proxy.app() as app:
            await app.send(HEAD + BODY[: len(BODY) // 2 + 100_000])
            assert (await read(app)).status == 502
        assert proxy.codes[0][0] == 502
        assert good.requests == []
        assert proxy.cluster.stats.failed.keys() <= {"closed", "reset"}


async def test_an_early_answer_reaches_an_app_that_is_still_sending(stack: MakeStack) -> None:
    """413 in the middle: the app reads all of it, and neither connection is used again."""
    go_on = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.head()
        await talk.reader.readexactly(len(BODY) // 2)
        await go_on.wait()
        await talk.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await talk.until_closed()

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            sending = begin(app.send(HEAD + BODY[: len(BODY) // 2 + 100_000]))
            await until(lambda: handed_over(proxy))
            (exchange,) = exchanges(proxy)
            rest = exchange.handover
            assert rest is not None
            go_on.set()
            await sending
            answer = await read(app)
            assert (answer.status, answer.body) == (413, b"big")
            assert rest._splice._epoll.closed
            assert b"\r\nConnection: close\r\n" in answer.head
        assert proxy.cluster.stats.idle_connections == 0
        assert proxy.codes == [(413, "-")]


async def test_an_answer_that_begins_early_does_not_stop_the_upload(stack: MakeStack) -> None:
    """What is still to come goes on beside us; then the answer ends."""
    taken = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.head()
        await talk.reader.readexactly(len(BODY) // 2)
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        await talk.reader.readexactly(len(BODY) - len(BODY) // 2)
        taken.set()
        await talk.send(b"k")
        await talk.until_closed()

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(HEAD + BODY[: len(BODY) * 3 // 4])
            assert (await app.head()).startswith(b"HTTP/1.1 200 ")
            assert handed_over(proxy)
            await app.send(BODY[len(BODY) * 3 // 4 :])
            await asyncio.wait_for(taken.wait(), PATIENCE)
            assert await asyncio.wait_for(app.reader.read(), PATIENCE) == b"ok"


async def test_drain_cuts_it(stack: MakeStack) -> None:
    """As any request that is in flight when the time is over."""
    async with ScriptedPeer(reading) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            app.writer.write(HEAD + BODY[:-1])
            await until(lambda: handed_over(proxy))
            for connection in proxy.runtime.connections:
                connection.cut(FAILURES["cut_by_drain"])
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(app.reader.read(), PATIENCE)
        await until(peer.talks[0].writer.is_closing)


@pytest.mark.virtual_time
@pytest.mark.parametrize("to_blame", ["app", "instance"])
async def test_silence_in_the_middle_ends_in_504(stack: MakeStack, to_blame: str) -> None:
    """An app that sends no more is nobody else's fault; an instance that takes no more is ejected."""
    rest = asyncio.Event()

    async def stuck(talk: Talk) -> None:
        await talk.head()
        if to_blame == "instance":
            talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await rest.wait()
        await talk.until_closed()

    async with ScriptedPeer(stuck) as bad, ScriptedPeer() as good:
        detection = OutlierDetection(consecutive_gateway_failure=1)
        proxy = stack(timeouts=Timeouts(response=0.3), outlier_detection=detection)
        await proxy.open()
        proxy.add(good.port, first=bad.port)
        size = 64 * MB
        async with proxy.app() as app:
            head = b"POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: %d\r\n\r\n" % size
            sent = size if to_blame == "instance" else size // 8
            sending = begin(app.send(head + bytes(sent)))
            await until(lambda: handed_over(proxy))
            assert (await read(app)).status == 504
            sending.cancel()
        rest.set()
        expected = State.EJECTED if to_blame == "instance" else State.AVAILABLE
        assert proxy.cluster.endpoints[bad.address].state is expected


@pytest.mark.parametrize("how", ["until close", "length"])
async def test_an_early_answer_that_is_cut_by_a_reset_looks_cut(stack: MakeStack, how: str) -> None:
    """Also where the splice is told of the reset, and the loop only of an end."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as app:
        server.setblocking(False)
        app.setblocking(False)
        proxy = stack()
        await proxy.open(server.getsockname()[1])
        await loop.sock_connect(app, ("127.0.0.1", proxy.port))
        await loop.sock_sendall(app, HEAD + BODY[:MB])
        instance, _ = await loop.sock_accept(server)
        got = 0
        while got < MB:
            got += len(await loop.sock_recv(instance, 65536))
        framing = b"Connection: close" if how == "until close" else b"Content-Length: 1000"
        await loop.sock_sendall(instance, b"HTTP/1.1 200 OK\r\n%b\r\n\r\nhalf of it" % framing)
        assert b"half" in await loop.sock_recv(app, 65536)
        assert handed_over(proxy)
        app.send(BODY[MB : MB + 50_000])
        reset_on_close(instance)
        instance.close()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(loop.sock_recv(app, 65536), PATIENCE)
        assert proxy.codes == [(200, "UR")]


async def test_what_the_transport_could_not_write_goes_first(stack: MakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes a few bytes at a time, so there is always something left; every byte comes in its place."""
    left: list[int] = []

    def watched(loop: Any, source: Any, target: Any, count: int, ends: Any, unwritten: Callable[[], int]) -> Splice:
        left.append(unwritten())
        return Splice(loop, source, target, count, ends, unwritten)

    monkeypatch.setattr(handover, "Splice", watched)
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            assert (await ask(app)).status == 200
            proxy.idle_connection().sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            sending = begin(app.send(HEAD + BODY))
            assert (await read(app)).status == 200
            await sending
        assert len(peer.talks) == 1
        assert peer.requests[1].endswith(b"\r\n\r\n" + BODY)
        assert left
        assert left[0] > 0


async def test_an_instance_may_be_slow_to_read_it(stack: MakeStack) -> None:
    """It is no black hole; the connection's next request has the limit again."""
    async with ScriptedPeer() as peer:
        proxy = stack(retry=Retry(replay_buffer=1024))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            for at in range(0, 8192, 2048):
                await app.send((HEAD if not at else b"") + BODY[at : at + 2048])
                await until(lambda at=at: [e.received for e in exchanges(proxy)] == [at + 2048])  # type: ignore[misc]
            assert handed_over(proxy)
            (attempt,) = (exchange.attempt for exchange in exchanges(proxy))
            assert attempt is not None
            assert attempt.connection is not None
            sock = attempt.connection.sock
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
            await app.send(BODY[8192:])
            assert (await read(app)).status == 200
            await until(lambda: proxy.cluster.stats.idle_connections == 1)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == BLACK_HOLE_MS


@pytest.mark.virtual_time
async def test_it_may_take_longer_than_an_answer_as_long_as_bytes_come(stack: MakeStack) -> None:
    """Each of them sets the clock of `timeouts.response` back; then the instance owes an answer."""
    async with ScriptedPeer(reading) as peer:
        proxy = stack(timeouts=Timeouts(response=1.0))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(HEAD + BODY[: len(BODY) // 2])
            await until(lambda: handed_over(proxy))
            step = len(BODY) // 16
            for at in range(len(BODY) // 2, len(BODY), step):
                await app.send(BODY[at : at + step])
                await asyncio.sleep(0.5)
            assert exchanges(proxy)[0].uploaded
            assert proxy.cluster.endpoints[peer.address].owed == 1
            assert (await read(app)).status == 504
        assert proxy.cluster.endpoints[peer.address].owed == 0


async def test_what_may_be_sent_again_is_kept(stack: MakeStack) -> None:
    """A body that fits in `replay_buffer` goes through us, and to another instance when the first one dies."""
    async with ScriptedPeer(half_then(Talk.close)) as bad, ScriptedPeer() as good:
        proxy = stack(retry=Retry(replay_buffer=len(BODY)))
        await proxy.open()
        proxy.add(good.port, first=bad.port)
        async with proxy.app() as app:
            sending = begin(app.send(HEAD.replace(b"POST", b"PUT ") + BODY))
            await until(lambda: bool(exchanges(proxy)))
            assert not handed_over(proxy)
            assert (await read(app)).status == 200
            await sending
        assert good.requests[0].endswith(BODY)


async def upload(proxy: Stack, times: int = 1) -> list[int]:
    """So many uploads over one connection of the app; their statuses."""
    statuses = []
    async with proxy.app() as app:
        for _ in range(times):
            sending = begin(app.send(HEAD + BODY))
            statuses.append((await read(app)).status)
            await sending
    return statuses


async def test_a_kernel_that_does_not_splice_is_asked_once(stack: MakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The upload arrives by way of us, and so do all that follow."""
    asked = [0]

    def refuse(*_: object, **__: object) -> int:
        asked[0] += 1
        raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr(os, "splice", refuse)
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        assert await upload(proxy, times=2) == [200, 200]
        assert [request.endswith(BODY) for request in peer.requests] == [True, True]
        assert asked == [1]


async def test_a_kernel_that_takes_in_and_gives_nothing_out_costs_one_upload(
    stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, not when its time is over; the next one goes through us."""
    done = os.splice

    def refuse(source: int, target: int, *rest: int, **flags: int) -> int:
        if not stat.S_ISFIFO(os.fstat(target).st_mode):
            raise OSError(errno.EINVAL, "no")
        return done(source, target, *rest, **flags)

    monkeypatch.setattr(os, "splice", refuse)
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(HEAD + BODY[:MB])
            assert (await read(app)).status == 502
        assert await upload(proxy) == [200]
        assert [request.endswith(BODY) for request in peer.requests] == [True]


def no_pipe_of_that_size(*_: object) -> int:
    raise PermissionError(errno.EPERM, "too many pipes")


def no_more_watches(*_: object) -> None:
    raise OSError(errno.ENOSPC, "too many watches")


@pytest.mark.parametrize(
    ("where", "what", "instead"),
    [
        (splice, "full_for_pipes", lambda: 0),
        (fcntl, "fcntl", no_pipe_of_that_size),
        (Splice, "_watch", no_more_watches),
    ],
    ids=["few descriptors", "small pipes", "no watches"],
)
async def test_where_it_is_not_worth_it_an_upload_goes_through_us(
    stack: MakeStack, monkeypatch: pytest.MonkeyPatch, where: object, what: str, instead: object
) -> None:
    """Asked once for each upload, and nothing is left of the attempt."""
    monkeypatch.setattr(where, what, instead)
    begun: list[Exchange] = []

    def begins(exchange: Exchange, *rest: Any) -> Handover:
        begun.append(exchange)
        return Handover(exchange, *rest)

    monkeypatch.setattr(handover, "Handover", begins)
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        assert await upload(proxy) == [200]
        before = held().descriptors
        assert await upload(proxy, times=3) == [200] * 3
        await settled(lambda: held().descriptors <= before)
        assert [request.endswith(BODY) for request in peer.requests] == [True] * 4
        assert len(begun) == 4


async def test_without_descriptors_it_goes_through_us(stack: MakeStack) -> None:
    """A shortage makes an upload dearer, and nothing else."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            assert (await ask(app)).status == 200
            with none_left():
                sending = begin(app.send(HEAD + BODY))
                assert (await read(app)).status == 200
                await sending
        assert peer.requests[-1].endswith(BODY)
