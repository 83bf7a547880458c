"""Rules about connections that no single message shows. The ids are those of docs/reference/http.md."""

import asyncio

import pytest

from sidecar.cluster.policy import WaitForInstance
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, Talk, answering
from tests.support.stack import GET, MakeStack, Stack, ask, call, policy, until

pytestmark = pytest.mark.one_loop

DRAINING = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.virtual_time
@pytest.mark.http("H-50")
async def test_a_list_that_names_the_sidecar_makes_no_loop() -> None:
    """An endpoint with our own address gets no request: 503 instead of one that goes round for ever."""
    port = free_port()
    proxy = Stack(policy(wait_for_instance=WaitForInstance(timeout=0.05)), own_port=port)
    await proxy.open(port)
    answer = await call(proxy)
    assert (answer.status, answer.error) == (503, "UH no_instance attempts=0")
    assert [event.kind for event in proxy.events if event.kind == "endpoint_is_self"]
    assert proxy.cluster.stats.requests.total() == 1
    await proxy.close()


@pytest.mark.http("H-61")
async def test_a_503_with_retry_after_sends_new_requests_elsewhere(stack: MakeStack) -> None:
    """The GET that met it is answered by another, and the next ones do not ask there; the date form counts as well."""
    async with ScriptedPeer(answering(DRAINING)) as leaving, ScriptedPeer() as good:
        proxy = stack()
        await proxy.open()
        proxy.add(good.port, first=leaving.port)
        assert [(await call(proxy)).status for _ in range(4)] == [200] * 4
        assert len(leaving.requests) == 1


@pytest.mark.virtual_time
@pytest.mark.http("H-44")
async def test_an_announced_end_is_half_a_close_first(stack: MakeStack) -> None:
    """After `Connection: close` the answer is followed by FIN, and what the app still says is no error."""
    proxy = stack()
    await proxy.open()
    async with proxy.app() as app:
        answer = await ask(app, b"GET / HTTP/1.1\r\n\r\n")
        assert b"\r\nconnection: close\r\n" in answer.head
        assert await app.until_closed() == b""
        await app.send(GET)
        await app.send(GET)
        app.half_close()
        await until(lambda: len(proxy.runtime.connections) == 0)
    assert [code for code, _ in proxy.codes] == [400]


@pytest.mark.http("H-64")
async def test_empty_lines_are_no_beginning_of_a_request(stack: MakeStack) -> None:
    """A stray CRLF behind a request starts no clock: the app is never told 408 for a request it does not send."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            assert (await ask(app, GET + b"\r\n")).status == 200
            connection = next(iter(proxy.runtime.connections))
            await until(lambda: connection._held == b"\r\n")  # type: ignore[attr-defined]
            connection._expired(proxy.now)  # type: ignore[attr-defined]
            assert await app.until_closed() == b""
    assert proxy.codes == [(200, "-")]


@pytest.mark.http("H-37", "H-46")
async def test_an_answer_until_close_that_ends_by_reset_is_truncated(stack: MakeStack) -> None:
    """Only FIN completes it: the app gets no last chunk, and a reset."""

    passed_on = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await passed_on.wait()
        talk.reset()

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET)
            assert (await app.head()).endswith(b"Transfer-Encoding: chunked\r\n\r\n")
            assert await app.reader.readexactly(9) == b"4\r\nhalf\r\n"
            passed_on.set()
            with pytest.raises(ConnectionResetError):
                await app.reader.read()
