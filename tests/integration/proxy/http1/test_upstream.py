"""The instance's side on the wire: which connections are used again, and which never."""

import asyncio

import pytest

from sidecar.cluster.policy import HostHeader, Keepalive, Timeouts
from sidecar.proxy.http1.downstream import AppConnection
from sidecar.proxy.sockets import BLACK_HOLE_MS
from tests.support.scripted_peer import OK, ScriptedPeer, Talk, answering, serving
from tests.support.stack import GET, POST, MakeStack, ask, asked_on_after_a_reset, call, read, until

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"


@pytest.mark.http("H-22", "H-27", "H-31")
@pytest.mark.parametrize(
    ("answer", "reused"),
    [
        (OK, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", True),
        (LENGTH + b"Connection: close\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", True),
        (LENGTH + b"\r\nokEXTRA", False),
        (b"HTTP/1.1 204 No Content\r\n\r\nEXTRA", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nEXTRA", False),
        (LENGTH + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", False),
        (LENGTH + b"Keep-Alive: timeout=1\r\n\r\nok", False),
        (LENGTH + b"Keep-Alive: timeout=30, max=5\r\n\r\nok", True),
    ],
)
async def test_a_connection_is_used_again_only_when_nothing_speaks_against_it(
    stack: MakeStack, answer: bytes, *, reused: bool
) -> None:
    """Extra bytes, close, 1.0 and mixed framing end it; nothing extra is ever passed on."""
    async with ScriptedPeer(answering(answer)) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            for _ in range(2):
                got = await ask(app)
                assert b"EXTRA" not in got.head + got.body
        assert len(peer.talks) == (1 if reused else 2)


@pytest.mark.http("H-26")
async def test_head_has_no_body_whatever_its_length_says(stack: MakeStack) -> None:
    """The length is told, no byte follows, and the connection serves on."""
    async with ScriptedPeer(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            for _ in range(2):
                await app.send(GET.replace(b"GET", b"HEAD"))
                assert b"\r\nContent-Length: 500\r\n" in await app.head()
        assert len(peer.talks) == 1


@pytest.mark.http("H-38")
async def test_bytes_on_an_idle_connection_poison_it(stack: MakeStack) -> None:
    """An answer that nobody asked for is never taken for the next one."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        assert (await call(proxy)).body == b"ok"
        await peer.talks[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await until(lambda: proxy.cluster.stats.idle_connections == 0)
        assert (await call(proxy)).body == b"ok"


@pytest.mark.virtual_time
@pytest.mark.http("H-38")
async def test_a_poison_that_the_loop_has_not_seen_is_found_by_the_peek(stack: MakeStack) -> None:
    """The look right before reuse sees bytes that are still in the kernel."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        assert (await call(proxy)).body == b"ok"
        await until(lambda: proxy.cluster.stats.idle_connections == 1)
        proxy.idle_connection().pause_reading()
        await peer.talks[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await asyncio.sleep(0.03)
        answer = await call(proxy, POST)
        assert (answer.status, answer.body) == (200, b"ok")
        assert proxy.cluster.stats.retries == {}


@pytest.mark.virtual_time
async def test_a_fin_on_an_idle_connection_teaches_the_ceiling(stack: MakeStack) -> None:
    """The pool drops it, no request is lost, and 80 % of that age is the limit from then on."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        await call(proxy)
        await asyncio.sleep(0.6)
        peer.talks[0].close()
        await until(lambda: proxy.cluster.stats.idle_connections == 0)
        endpoint = next(iter(proxy.cluster.endpoints.values()))
        assert endpoint.idle_ceiling == pytest.approx(0.48, abs=0.1)
        assert proxy.cluster.stats.attempts == {"ok": 1}


@pytest.mark.virtual_time
async def test_an_unused_connection_is_closed_at_its_ceiling(stack: MakeStack) -> None:
    """`idle_timeout` is an upper bound that needs no request to be kept."""
    async with ScriptedPeer() as peer:
        proxy = stack(keepalive=Keepalive(idle_timeout=0.2))
        await proxy.open(peer.port)
        await call(proxy)
        await until(peer.talks[0].reader.at_eof)
        assert proxy.cluster.stats.instance_connections == 0


@pytest.mark.virtual_time
async def test_a_post_takes_a_young_connection_or_a_new_one(stack: MakeStack) -> None:
    """Beyond `non_idempotent_max_idle` a POST dials, while a GET still uses what idles."""
    async with ScriptedPeer() as peer:
        proxy = stack(keepalive=Keepalive(non_idempotent_max_idle=0.1))
        await proxy.open(peer.port)
        await call(proxy, POST)
        await call(proxy, POST)
        assert len(peer.talks) == 1
        await asyncio.sleep(0.2)
        await call(proxy, GET)
        assert len(peer.talks) == 1
        await asyncio.sleep(0.2)
        await call(proxy, POST)
        assert len(peer.talks) == 2


@pytest.mark.parametrize(
    ("setting", "seen"),
    [(HostHeader.PRESERVE, b"orders"), (HostHeader.ENDPOINT, b"address"), ("a.example", b"a.example")],
)
async def test_the_instance_sees_the_host_it_should(stack: MakeStack, setting: HostHeader | str, seen: bytes) -> None:
    """`host_header`: what the app wrote, the endpoint's own address, or a literal."""
    async with ScriptedPeer() as peer:
        proxy = stack(host_header=setting)
        await proxy.open(peer.port)
        await call(proxy)
        expected = peer.address.encode() if seen == b"address" else seen
        assert b"\r\nHost: %b\r\n" % expected in peer.requests[0]


@pytest.mark.one_loop
@pytest.mark.parametrize(("size", "pooled"), [(4 * 1024 * 1024, False), (1_000_000, True)])
async def test_an_instance_that_stops_reading_a_large_upload_is_no_black_hole(
    stack: MakeStack, size: int, *, pooled: bool
) -> None:
    """The limit on unacknowledged bytes would end a connection whose window stays shut: it is lifted for uploads.

    Over a pooled connection a body that came with its head goes out with it.
    """

    async def script(talk: Talk) -> None:
        if pooled:
            await talk.request()
            await talk.send(OK)
        head = await talk.head()
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(BLACK_HOLE_MS / 1000 + 1)
        talk.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await talk.body(head)
        await talk.send(OK)
        await talk.until_closed()

    async with ScriptedPeer(script, serving) as peer:
        proxy = stack(timeouts=Timeouts(response=30))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
            if pooled:
                assert (await ask(app)).status == 200
                (connection,) = proxy.runtime.connections
                assert isinstance(connection, AppConnection)
                connection.data_received(upload)  # in one piece, as the loop may read it
                assert (await read(app)).status == 200
            else:
                assert (await ask(app, upload)).status == 200
        assert len(peer.talks) == 1


@pytest.mark.http("H-40")
async def test_an_answer_that_comes_before_the_end_of_the_upload_is_heard(stack: MakeStack) -> None:
    """An instance that refuses a body resets at the next byte of it; a loop that fails to write does not read any more."""

    async def refuse(talk: Talk) -> None:
        await talk.head()
        await go.wait()
        await talk.send(TOO_LARGE)
        talk.reset()

    go = asyncio.Event()
    async with ScriptedPeer(refuse) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n" + b"x" * 1000)
            answer = await asked_on_after_a_reset(proxy, app, go.set)
            assert (answer.status, answer.body) == (413, b"no")
        assert proxy.codes == [(413, "-")]
        await until(lambda: proxy.cluster.endpoints[peer.address].connections == 0)


TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
