"""Bytes and ends, as they go from one connection to the other."""

import asyncio
import ssl
from pathlib import Path

import pytest

from sidecar.cluster.policy import Tls
from sidecar.proxy.sockets import HIGH_WATER
from tests.integration.proxy.tcp.conftest import echo, relay_of
from tests.support.certificates import Authority
from tests.support.scripted_peer import ScriptedPeer, Talk, is_reset
from tests.support.stack import MakeStack
from tests.support.tls_instance import TLS12, TLS13, TlsInstance, Visit, server_context
from tests.support.until import settled


@pytest.mark.parametrize("size", [1, 100_000, 5_000_000])
async def test_bytes_arrive_as_they_were_sent(tcp: MakeStack, size: int) -> None:
    """Both ways, in order, none lost and none added, whatever the size."""
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with ScriptedPeer(echo) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            sending = asyncio.get_running_loop().create_task(app.send(data))
            assert await app.reader.readexactly(size) == data
            await sending


async def test_a_server_may_speak_first(tcp: MakeStack) -> None:
    """The instance is dialled before the app has said a word."""

    async def greet(talk: Talk) -> None:
        await talk.send(b"220 ready\r\n")
        await talk.until_closed()

    async with ScriptedPeer(greet) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            assert await app.reader.readline() == b"220 ready\r\n"


@pytest.mark.parametrize("side", ["app", "instance"])
async def test_what_was_said_before_a_reset_is_passed_on(tcp: MakeStack, side: str) -> None:
    """Both ways, though a write that fails ends the connection before the loop has read it."""
    joined, resets = asyncio.Event(), asyncio.Event()
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def says_its_last(talk: Talk) -> None:
        await joined.wait()
        end = getattr(relay, side)
        end.pause_reading()
        await talk.send(b"last words")
        talk.reset()
        await settled(lambda: is_reset(end._sock))
        resets.set()

    async def listens(talk: Talk) -> None:
        hearing = asyncio.get_running_loop().create_task(talk.reader.readexactly(10))
        await resets.wait()
        await talk.send(b"x")
        heard.set_result(await hearing)

    async with ScriptedPeer(says_its_last if side == "instance" else listens) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            relay = await relay_of(proxy)
            await settled(lambda: relay.instance is not None)
            joined.set()
            await (says_its_last if side == "app" else listens)(app)
            assert await heard == b"last words"


async def test_fin_of_the_app_is_passed_on_and_the_answer_still_comes(tcp: MakeStack) -> None:
    """Half-close: "that was all, now answer"."""

    async def count(talk: Talk) -> None:
        asked = await talk.reader.read()
        await talk.send(b"%d bytes" % len(asked))

    async with ScriptedPeer(count) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(b"x" * 1000)
            app.half_close()
            assert await app.reader.read() == b"1000 bytes"
        await settled(lambda: proxy.codes == [(0, "-")])


async def test_fin_of_the_instance_is_passed_on_and_the_app_may_go_on(tcp: MakeStack) -> None:
    """The other half."""
    heard: list[bytes] = []

    async def bye(talk: Talk) -> None:
        await talk.send(b"bye")
        talk.half_close()
        heard.append(await talk.reader.read())

    async with ScriptedPeer(bye) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            assert await app.reader.read() == b"bye"
            await app.send(b"still here")
            app.half_close()
            await settled(lambda: heard == [b"still here"])
        await settled(lambda: proxy.codes == [(0, "-")])


async def test_an_instance_that_resets_resets_the_app(tcp: MakeStack) -> None:
    """A cut must not look like an end."""

    async def break_off(talk: Talk) -> None:
        await talk.send(b"par")
        await talk.reader.readexactly(1)
        talk.reset()

    async with ScriptedPeer(break_off) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            assert await app.reader.readexactly(3) == b"par"
            await app.send(b"!")
            with pytest.raises(ConnectionResetError):
                await app.reader.read()
        assert proxy.codes == [(0, "UR")]


async def test_an_app_that_resets_resets_the_instance(tcp: MakeStack) -> None:
    """And the other way round."""
    seen: list[type[BaseException]] = []

    async def listen(talk: Talk) -> None:
        await talk.send(b"hello")
        try:
            await talk.reader.read()
        except ConnectionResetError as error:
            seen.append(type(error))

    async with ScriptedPeer(listen) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.reader.readexactly(5)
            app.reset()
            await settled(lambda: seen == [ConnectionResetError])
        assert proxy.codes == [(0, "DC")]


@pytest.mark.parametrize("slow", ["instance", "app"])
async def test_a_side_that_does_not_read_stops_the_other(tcp: MakeStack, slow: str) -> None:
    """What is kept for it stays within the bound, and all of it arrives once it reads."""
    size = 64 * 1024 * 1024
    reads = asyncio.Event()
    arrived: list[int] = []

    async def instance(talk: Talk) -> None:
        if slow == "app":
            await talk.send(b"x" * size)
            return
        await reads.wait()
        arrived.append(len(await talk.reader.read()))

    async with ScriptedPeer(instance) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            relay = None
            sending = asyncio.get_running_loop().create_task(_send_all(app, size)) if slow == "instance" else None
            relay = await relay_of(proxy)
            await settled(lambda: relay.instance is not None)
            giver, taker = (relay.app, relay.instance) if slow == "instance" else (relay.instance, relay.app)
            if slow == "app":
                app.reader._limit = 1  # type: ignore[attr-defined]
            await settled(lambda: giver._paused)
            assert taker.unwritten < HIGH_WATER + 1024 * 1024
            assert giver.received < size
            reads.set()
            if sending is not None:
                await sending
                await settled(lambda: arrived == [size])
            else:
                assert len(await app.reader.readexactly(size)) == size


async def _send_all(app: Talk, size: int) -> None:
    await app.send(*[b"x" * 65536] * (size // 65536))
    app.half_close()


async def test_a_reader_that_pauses_for_long_is_no_black_hole(tcp: MakeStack) -> None:
    """After some bytes the kernel's limit on unacknowledged ones is lifted: a full window is no dead machine."""
    import socket  # noqa: PLC0415 - the option is this test's alone

    async with ScriptedPeer(echo) as peer:
        proxy = tcp()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(b"x")
            assert await app.reader.readexactly(1) == b"x"
            relay = await relay_of(proxy)
            sock = relay.instance._sock
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) > 0
            await app.send(b"x" * 65536)
            assert len(await app.reader.readexactly(65536)) == 65536
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@BOTH
async def test_fin_of_the_app_is_a_close_notify_and_the_answer_still_comes(
    tcp: MakeStack, ca: Authority, version: ssl.TLSVersion
) -> None:
    """Half-close with TLS towards the instance: 5 MB are counted when their end is known."""

    def count(visit: Visit) -> None:
        visit.send(b"%d bytes" % len(visit.until_closed()))

    with TlsInstance(server_context(ca.issue("127.0.0.1"), version=version), count) as instance:
        proxy = tcp(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        async with proxy.app() as app:
            await app.send(bytes(5_000_000))
            app.half_close()
            assert await app.reader.read() == b"5000000 bytes"
        await settled(lambda: proxy.codes == [(0, "-")])


@BOTH
async def test_close_notify_of_the_instance_is_a_fin_and_the_app_may_go_on(
    tcp: MakeStack, ca: Authority, version: ssl.TLSVersion
) -> None:
    """The other half."""
    heard: list[bytes] = []

    def bye(visit: Visit) -> None:
        visit.send(b"bye")
        visit.say_end()
        heard.append(visit.until_closed())

    with TlsInstance(server_context(ca.issue("127.0.0.1"), version=version), bye) as instance:
        proxy = tcp(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        async with proxy.app() as app:
            assert await app.reader.read() == b"bye"
            await app.send(b"still here")
            app.half_close()
            await settled(lambda: heard == [b"still here"])
        await settled(lambda: proxy.codes == [(0, "-")])


@BOTH
async def test_an_instance_that_ends_without_close_notify_resets_the_app(
    tcp: MakeStack, ca: Authority, version: ssl.TLSVersion
) -> None:
    """Somebody may have cut it: the app must not take what it got for all there was."""

    def cut(visit: Visit) -> None:
        visit.conn.recv(1)
        visit.send(b"half")
        visit.cut()

    with TlsInstance(server_context(ca.issue("127.0.0.1"), version=version), cut) as instance:
        proxy = tcp(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        async with proxy.app() as app:
            await app.send(b"?")
            with pytest.raises(ConnectionResetError):
                await app.reader.read()
        await settled(lambda: [flags for _, flags in proxy.codes] == ["UR"])


async def test_an_app_that_resets_leaves_no_orderly_end(tcp: MakeStack, ca: Authority) -> None:
    """RST is passed on as an end without close_notify."""
    ends: list[str] = []

    def script(visit: Visit) -> None:
        try:
            while visit.conn.recv(100):
                pass
            ends.append("close_notify")
        except OSError as error:
            ends.append(type(error).__name__)

    with TlsInstance(server_context(ca.issue("127.0.0.1")), script) as instance:
        proxy = tcp(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        async with proxy.app() as app:
            await app.send(b"?")
            await settled(lambda: bool(instance.visits))
            app.reset()
        await settled(lambda: bool(ends))
        assert ends != ["close_notify"]
