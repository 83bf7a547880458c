"""Large uploads that go from socket to socket: on the wire nothing tells them from others."""

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable

import pytest

from sidecar.cluster.endpoint import State
from sidecar.cluster.policy import OutlierDetection, Retry, Timeouts
from sidecar.errors import FAILURES
from sidecar.proxy.http1.exchange import Exchange
from tests.support.descriptors import none_left
from tests.support.leftovers import growth
from tests.support.scripted_peer import Script, ScriptedPeer, Talk
from tests.support.stack import GET, MakeStack, Stack, ask, begin, read, until
from tests.support.until import PATIENCE

MB = 1024 * 1024
BODY = hashlib.shake_128(b"an upload").digest(MB) * 8
HEAD = b"POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: %d\r\n\r\n" % len(BODY)


def handed_over(proxy: Stack) -> bool:
    """The upload under way goes beside us."""
    return any(exchange.bulk is not None for exchange in exchanges(proxy))


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
    moved, splice = [0], os.splice

    def counted(source: int, target: int, *rest: int, **flags: int) -> int:
        count = splice(source, target, *rest, **flags)
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
            sending = begin(app.send(HEAD + BODY[:-1]))
            assert (await read(app)).status == 502
            sending.cancel()
        assert proxy.codes[0][0] == 502
        assert good.requests == []
        assert proxy.cluster.stats.failed.keys() <= {"closed", "reset"}


async def test_an_early_answer_reaches_an_app_that_is_still_sending(stack: MakeStack) -> None:
    """413 in the middle: the app reads all of it, and neither connection is used again."""

    async def script(talk: Talk) -> None:
        await talk.head()
        await talk.reader.readexactly(len(BODY) // 2)
        await talk.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await talk.until_closed()

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            sending = begin(app.send(HEAD + BODY[:-1]))
            answer = await read(app)
            assert (answer.status, answer.body) == (413, b"big")
            assert b"\r\nConnection: close\r\n" in answer.head
            sending.cancel()
        assert proxy.cluster.stats.idle_connections == 0
        assert proxy.codes == [(413, "-")]


async def test_an_answer_that_begins_early_does_not_stop_the_upload(stack: MakeStack) -> None:
    """What is still to come goes on beside us; then the answer ends."""
    begun, taken = asyncio.Event(), asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.head()
        await talk.reader.readexactly(len(BODY) // 2)
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        begun.set()
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
        async with proxy.app() as app:
            for _ in range(2):
                sending = begin(app.send(HEAD + BODY))
                assert (await read(app)).status == 200
                await sending
        assert [request.endswith(BODY) for request in peer.requests] == [True, True]
        assert asked == [1]


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
