"""The app's side on the wire: keep-alive, pipelining, early answers, half-closes, limits and clocks."""

import asyncio
from typing import cast

import pytest

from sidecar.cluster.policy import Keepalive, Limits, Timeouts, WaitForInstance
from sidecar.errors import FAILURES
from sidecar.proxy.http1 import downstream
from sidecar.proxy.http1.downstream import MAX_PIPELINED, AppConnection
from tests.support.scripted_peer import OK, Script, ScriptedPeer, Talk, answering, hanging, serving
from tests.support.stack import GET, POST, MakeStack, Stack, ask, begin, call, read, until
from tests.support.until import PATIENCE

GET_10 = b"GET /a HTTP/1.0\r\n\r\n"
MB = 1024 * 1024

READ = 256 * 1024
"""What a loop reads at most at once."""


@pytest.mark.http("H-42")
async def test_pipelined_requests_are_answered_in_order_one_at_a_time(stack: MakeStack) -> None:
    """Ten requests in one packet: ten answers in order, and the instance never sees two at once."""

    async def echo(talk: Talk) -> None:
        while request := await talk.request():
            path = request.split(b" ")[1]
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    async with ScriptedPeer(echo) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(b"".join(GET.replace(b"/a", b"/%d" % n) for n in range(10)))
            assert [(await read(app)).body for _ in range(10)] == [b"/%d" % n for n in range(10)]
        assert len(peer.talks) == 1


@pytest.mark.http("H-42", "H-44")
async def test_pipelined_requests_behind_a_half_close_are_answered(stack: MakeStack) -> None:
    """FIN after complete requests is no abort: all are answered, then the connection is closed."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET + POST + GET)
            app.half_close()
            assert [(await read(app)).status for _ in range(4)] == [200, 200, 200, 0]
        assert proxy.codes == [(200, "-")] * 3


@pytest.mark.http("H-42")
async def test_a_flood_of_requests_that_are_answered_is_kept_within_a_bound(stack: MakeStack) -> None:
    """No more is read for each answer than has left by it: two reads beyond the bound, at most."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            long = GET.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 8192 + b"\r\n\r\n")
            sending = begin(app.send(long * 1000))
            kept = 0
            for _ in range(1000):
                assert (await read(app)).status == 200
                (connection,) = cast("list[AppConnection]", list(proxy.runtime.connections))
                kept = max(kept, len(connection._held))
            await sending
        assert kept <= MAX_PIPELINED + 2 * READ


@pytest.mark.virtual_time
@pytest.mark.http("H-42")
async def test_a_flood_behind_a_slow_request_is_not_read(stack: MakeStack) -> None:
    """Bytes of later requests are kept up to a bound; beyond it the app's sends stall."""
    async with ScriptedPeer(hanging) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET)
            app.writer.write(GET * (16 * MB // len(GET)))
            await asyncio.sleep(0.3)
            connection = next(iter(proxy.runtime.connections))
            assert len(connection._held) < MB  # type: ignore[attr-defined]


@pytest.mark.http("H-11", "H-39")
@pytest.mark.parametrize(
    ("request_bytes", "kept"),
    [(GET_10, False), (GET_10.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), True)],
)
async def test_http_10_keeps_its_connection_only_on_request(
    stack: MakeStack,
    request_bytes: bytes,
    kept: bool,  # noqa: FBT001
) -> None:
    """Without Host the instance sees the service's name; `keep-alive` is honoured and echoed."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            answer = await ask(app, request_bytes)
            assert answer.body == b"ok"
            assert (b"\r\nConnection: keep-alive\r\n" in answer.head) is kept
            assert (await ask(app, request_bytes)).status == (200 if kept else 0)
        assert b"\r\nHost: orders\r\n" in peer.requests[0]


async def test_an_answer_without_length_ends_with_the_connection_for_http_10(stack: MakeStack) -> None:
    """No chunks for an app that knows none."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\n\r\n"
    async with ScriptedPeer(answering(chunked)) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET_10)
            answer = await app.until_closed()
        assert answer.endswith(b"\r\n\r\nsome")
        assert b"ransfer-" not in answer


@pytest.mark.parametrize(
    ("request_bytes", "status", "error"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "DPE bad_request attempts=0"),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400, "DPE bad_request attempts=0"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "DPE unsupported_version attempts=0"),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "DPE unknown_method attempts=0"),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501, "NR connect_method attempts=0"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "DPE unknown_coding attempts=0"),
        (b"GET /" + b"x" * 4096 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "DPE uri_too_long attempts=0"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 200 + b"\r\n", 431, "DPE head_too_large attempts=0"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "DPE bad_request attempts=0"),
    ],
)
async def test_a_bad_request_is_refused_and_reaches_nobody(
    stack: MakeStack, request_bytes: bytes, status: int, error: str
) -> None:
    """The answer says why, the connection ends, and no instance sees a byte."""
    async with ScriptedPeer() as peer:
        proxy = stack(limits=Limits(max_header_bytes=2048))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            answer = await ask(app, request_bytes)
            assert (answer.status, answer.error) == (status, error)
            assert b"\r\nconnection: close\r\n" in answer.head
            app.half_close()
            assert await app.until_closed() == b""
        assert peer.requests == []
        assert [code for code, _ in proxy.codes] == [status]
        assert proxy.cluster.stats.requests_in_flight == 0


@pytest.mark.http("H-36")
async def test_a_bad_chunk_in_the_middle_aborts_the_attempt(stack: MakeStack) -> None:
    """The app is told 400; the instance sees a reset, never a last chunk."""
    got: list[bytes] = []

    async def script(talk: Talk) -> None:
        await talk.head()
        got.append(await talk.reader.readexactly(len(b"4\r\nsome\r\n")))
        got.append(await talk.until_closed())

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
            await until(lambda: len(got) == 1)
            answer = await ask(app, b"oops\r\n")
            assert (answer.status, answer.error.split(" ")[:2]) == (400, ["DPE", "bad_request"])
        await until(lambda: len(got) == 2)
        assert got[1] == b""


@pytest.mark.virtual_time
@pytest.mark.http("H-64")
async def test_a_slow_head_is_a_408(stack: MakeStack) -> None:
    """`request_head` counts from the first byte; a connection without a byte is not touched by it."""
    proxy = stack(timeouts=Timeouts(request_head=0.2))
    await proxy.open()
    async with proxy.app() as silent, proxy.app() as slow:
        await slow.send(b"GET / HT")
        answer = await read(slow)
        assert (answer.status, answer.error) == (408, "DPE head_timeout attempts=0")
        assert len(proxy.runtime.connections) == 2
        assert not silent.reader.at_eof()


@pytest.mark.virtual_time
@pytest.mark.http("H-64")
async def test_an_idle_connection_is_closed_silently(stack: MakeStack) -> None:
    """`app_idle_timeout`, before the first request and after one."""
    async with ScriptedPeer() as peer:
        proxy = stack(keepalive=Keepalive(app_idle_timeout=0.3))
        await proxy.open(peer.port)
        async with proxy.app() as unused, proxy.app() as used:
            assert (await ask(used)).status == 200
            assert await asyncio.wait_for(unused.until_closed(), PATIENCE) == b""
            assert await asyncio.wait_for(used.until_closed(), PATIENCE) == b""


async def test_an_app_that_leaves_cancels_the_attempt(stack: MakeStack) -> None:
    """A reset by the app ends the instance's connection, and counts as DC, against nobody."""
    gone = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.until_closed()
        gone.set()

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET)
            await until(lambda: bool(peer.requests))
            app.reset()
            await asyncio.wait_for(gone.wait(), PATIENCE)
        assert proxy.codes == [(0, "DC")]
        assert proxy.cluster.stats.attempts == {"app_left": 1}
        assert next(iter(proxy.cluster.endpoints.values())).failures == 0


@pytest.mark.http("H-36")
async def test_a_half_close_inside_a_body_is_an_abort(stack: MakeStack) -> None:
    """An incomplete request must not look complete to the instance (RFC 9112 §8)."""
    got: list[bytes] = []

    async def script(talk: Talk) -> None:
        await talk.head()
        got.append(await talk.reader.readexactly(len(b"4\r\nsome\r\n")))
        got.append(await talk.until_closed())

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
            await until(lambda: len(got) == 1)
            app.half_close()
            await until(lambda: len(got) == 2)
        assert got[1] == b""
        assert proxy.codes == [(0, "DC")]


@pytest.mark.http("H-36")
async def test_half_a_body_behind_another_request_is_given_up_at_once(stack: MakeStack) -> None:
    """FIN has come before its turn: nothing of it reaches an instance, and nobody waits for what cannot come."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET + POST[:-1])
            app.half_close()
            answer = await asyncio.wait_for(app.until_closed(), PATIENCE)
        assert answer == OK
        assert len(peer.requests) == 1
        assert proxy.codes == [(200, "-"), (0, "DC")]
        assert proxy.cluster.stats.requests_in_flight == 0


@pytest.mark.http("H-40")
async def test_an_early_answer_reaches_an_app_that_is_still_sending(stack: MakeStack) -> None:
    """413 in the middle of an upload: the app reads all of it, the connection closes, the instance's is not reused."""

    async def script(talk: Talk) -> None:
        await talk.head()
        await talk.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await talk.until_closed()

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % MB + b"x" * 1000)
            answer = await read(app)
            assert (answer.status, answer.body) == (413, b"big")
            assert b"\r\nConnection: close\r\n" in answer.head
            await app.send(b"x" * 1000)
        assert proxy.cluster.stats.idle_connections == 0
        assert proxy.codes == [(413, "-")]


@pytest.mark.virtual_time
@pytest.mark.http("H-40", "H-44")
async def test_a_local_answer_during_an_upload_is_not_destroyed_by_a_reset(stack: MakeStack) -> None:
    """Lingering close: what the app still sends is read and thrown away while it reads the 503."""
    proxy = stack(wait_for_instance=WaitForInstance(timeout=0.05))
    await proxy.open()
    async with proxy.app() as app:
        app.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (8 * MB) + b"x" * (MB // 2))
        await asyncio.sleep(0.2)
        app.writer.write(b"x" * 1000)
        answer = await read(app)
        assert answer.status == 503
        assert await asyncio.wait_for(app.until_closed(), PATIENCE) == b""


@pytest.mark.http("H-59")
async def test_expect_100_continue_is_relayed(stack: MakeStack) -> None:
    """The head goes with Expect, the instance's 100 comes back, then the body goes."""

    async def script(talk: Talk) -> None:
        head = await talk.head()
        assert b"\r\nExpect: 100-continue\r\n" in head
        await talk.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await talk.body(head) == b"body"
        await talk.send(OK)
        await talk.until_closed()

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(POST.replace(b"\r\n\r\nbody", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert await app.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert (await ask(app, b"body")).status == 200


@pytest.mark.http("H-40", "H-59")
async def test_expect_refused_ends_without_the_body(stack: MakeStack) -> None:
    """A final answer instead of 100 is passed on at once; the app's connection closes, nothing hangs."""

    async def script(talk: Talk) -> None:
        await talk.head()
        await talk.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        await talk.until_closed()

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            answer = await ask(app, POST.replace(b"\r\n\r\nbody", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert answer.status == 417
            assert b"\r\nConnection: close\r\n" in answer.head


@pytest.mark.http("H-63")
async def test_interim_answers_are_relayed_in_order_but_not_to_http_10(stack: MakeStack) -> None:
    """Any number of 1xx before the final answer."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with ScriptedPeer(answering(hints + hints + OK)) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET)
            assert [(await app.head())[9:12] for _ in range(3)] == [b"103", b"103", b"200"]
        assert (await call(proxy, GET_10)).status == 200


@pytest.mark.http("H-63")
async def test_after_an_interim_answer_nothing_is_repeated(stack: MakeStack) -> None:
    """The instance dies after 103: a clean 502, though it was a GET."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    async with ScriptedPeer(script) as bad, ScriptedPeer() as good:
        proxy = stack()
        await proxy.open()
        proxy.add(good.port, first=bad.port)
        async with proxy.app() as app:
            await app.send(GET)
            assert (await read(app)).status == 103
            answer = await read(app)
            assert answer.status == 502
            assert good.requests == []


@pytest.mark.virtual_time
@pytest.mark.http("H-63")
@pytest.mark.parametrize(
    ("how", "status", "error"),
    [
        ("closed", 502, "UC closed"),
        ("reset", 502, "UR reset"),
        ("garbage", 502, "UPE protocol"),
        ("silence", 504, "UT response_timeout"),
    ],
)
async def test_after_an_interim_answer_a_local_one_is_the_final_one(
    stack: MakeStack, how: str, status: int, error: str
) -> None:
    """A final answer is still owed (RFC 9110 §15.2): it is complete, and the app's connection carries the next call."""
    seen = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await seen.wait()
        if how == "reset":
            talk.reset()
        elif how == "garbage":
            await talk.send(b"what\r\n\r\n")
        elif how == "silence":
            await talk.until_closed()

    async with ScriptedPeer(script, serving) as peer:
        proxy = stack(timeouts=Timeouts(response=1.0))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET)
            assert (await app.head()).startswith(b"HTTP/1.1 103 Early Hints\r\n")
            seen.set()
            answer = await read(app)
            assert (answer.status, answer.error) == (status, f"{error} {peer.address} attempts=1")
            assert answer.body == f"sidecar: {answer.error}\n".encode()
            assert (await ask(app)).body == b"ok"
        assert [code for code, _ in proxy.codes] == [status, 200]


def big(size: int) -> Script:
    """An answer of `size` bytes, sent as fast as it is taken."""

    async def script(talk: Talk) -> None:
        while await talk.request():
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // 65536):
                await talk.send(b"x" * 65536)

    return script


@pytest.mark.virtual_time
async def test_an_app_that_reads_slowly_stops_the_instance(stack: MakeStack) -> None:
    """Back-pressure: of 64 MB hardly more than the kernels' buffers are taken while the app does not read."""
    size = 64 * MB
    async with ScriptedPeer(big(size)) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET)
            await asyncio.sleep(0.3)
            connection = next(iter(proxy.runtime.connections))
            assert connection._transport.get_write_buffer_size() < MB  # type: ignore[attr-defined]
            answer = await read(app)
            assert len(answer.body) == size
            assert (await ask(app)).status == 200
        assert len(peer.talks) == 1


@pytest.mark.virtual_time
async def test_an_app_that_asks_on_without_reading_is_not_answered_into_memory(stack: MakeStack) -> None:
    """Requests beyond what it reads wait in its own buffers; once it reads, all are answered."""
    async with ScriptedPeer(big(4 * 65536)) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            for _ in range(400):
                app.writer.write(GET)
                await asyncio.sleep(0)
            await asyncio.sleep(0.2)
            connection = next(iter(proxy.runtime.connections))
            assert connection._transport.get_write_buffer_size() < MB  # type: ignore[attr-defined]
            assert proxy.cluster.stats.requests[200, "-"] < 100
            for _ in range(400):
                assert len((await read(app)).body) == 4 * 65536


@pytest.mark.virtual_time
async def test_an_instance_that_reads_slowly_stops_the_app(stack: MakeStack) -> None:
    """Back-pressure the other way; the upload arrives whole, and no replay memory is kept."""
    size = 32 * MB
    start = asyncio.Event()

    async def script(talk: Talk) -> None:
        head = await talk.head()
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await start.wait()
        talk.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await talk.body(head)) == size
        await talk.send(OK)
        await talk.until_closed()

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            app.writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            await asyncio.sleep(0.3)
            exchange = next(iter(proxy.runtime.connections)).exchange  # type: ignore[attr-defined]
            assert exchange.received < size // 2
            assert proxy.runtime.replay_bytes == 0
            start.set()
            assert (await read(app)).status == 200


async def glut(proxy: Stack, app: Talk) -> downstream.AppConnection:
    """Asks for more answers than all buffers hold and reads none; when the proxy can write no more."""
    app.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await app.send(GET * 400)
    await until(lambda: len(proxy.runtime.connections) == 1)
    (connection,) = proxy.runtime.connections
    assert isinstance(connection, downstream.AppConnection)
    await until(lambda: connection.blocked and not connection.busy)
    return connection


GLUT = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60000


@pytest.mark.virtual_time
async def test_an_app_that_asks_and_does_not_read_is_reset_in_the_end(stack: MakeStack) -> None:
    """After the idle limit; it is told no 408, because all of its requests were complete."""
    async with ScriptedPeer(answering(GLUT)) as peer:
        proxy = stack(keepalive=Keepalive(app_idle_timeout=0.2), timeouts=Timeouts(idle=5.0))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await glut(proxy, app)
            await until(lambda: not len(proxy.runtime.connections))
        assert set(proxy.codes) == {(200, "-")}


@pytest.mark.virtual_time
async def test_a_closed_app_that_does_not_read_is_reset_in_the_end(stack: MakeStack) -> None:
    """Closing lets what is written go first, but only while any of it goes."""
    async with ScriptedPeer(answering(GLUT)) as peer:
        proxy = stack(timeouts=Timeouts(idle=5.0))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await glut(proxy, app)
            assert proxy.runtime.connections.close_idle() == 1
            await until(lambda: not len(proxy.runtime.connections))


@pytest.mark.virtual_time
async def test_what_the_kernel_still_has_counts_when_an_app_reads_slowly(
    stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has room for megabytes, and takes more of ours a long time after the app has begun to read on."""
    left = [1000, 900, 800, 700, 600, 500]
    monkeypatch.setattr(downstream, "untaken", lambda _: left.pop(0) if len(left) > 1 else left[0])
    async with ScriptedPeer(answering(GLUT)) as peer:
        proxy = stack(timeouts=Timeouts(idle=2.0))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await glut(proxy, app)
            began = proxy.now
            proxy.runtime.connections.close_idle()
            await until(lambda: not len(proxy.runtime.connections))
            assert 12 <= proxy.now - began < 14


@pytest.mark.virtual_time
async def test_an_app_that_reads_slowly_gets_all_that_was_written(stack: MakeStack) -> None:
    """A closed connection lasts as long as its app takes something now and then: nothing is cut short."""
    async with ScriptedPeer(answering(GLUT)) as peer:
        proxy = stack(timeouts=Timeouts(idle=1.0))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await glut(proxy, app)
            answers = len(proxy.codes)
            proxy.runtime.connections.close_idle()
            app.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for number in range(answers):
                if number % (answers // 4) == 0:
                    await asyncio.sleep(0.6)
                assert (await read(app)).status == 200
            assert await app.head() == b""


async def test_drain_ends_idle_connections_with_fin_and_active_ones_with_reset(stack: MakeStack) -> None:
    """close_idle and abort_active say how many; a cut request is logged LR."""
    async with ScriptedPeer(hanging) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as idle, proxy.app() as active:
            await active.send(GET)
            await until(lambda: bool(peer.talks) and len(proxy.runtime.connections) == 2)
            assert proxy.runtime.connections.close_idle() == 1
            assert await idle.until_closed() == b""
            assert proxy.runtime.connections.abort_active(FAILURES["cut_by_drain"]) == 1
            with pytest.raises(ConnectionResetError):
                await active.reader.read()
        assert proxy.codes == [(0, "LR")]
        await until(lambda: len(proxy.runtime.connections) == 0)
