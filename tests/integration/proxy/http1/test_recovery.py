"""What the app sees of attempts that fail, fresh and reused, GET and POST."""

import asyncio
import contextlib
from dataclasses import dataclass

import pytest

from sidecar.cluster.policy import Balancing, LoadBalancing, OnAmbiguous, Retry
from tests.support.bad_instances import (
    POST_CHUNKED,
    PUT_CHUNKED,
    READ_THEN,
    REQUESTS,
    UNAVAILABLE,
    garbage,
    once_then,
)
from tests.support.scripted_peer import (
    ScriptedPeer,
    Talk,
    answering,
    connected,
)
from tests.support.stack import GET, POST, MakeStack, call


@pytest.mark.http("H-41")
@dataclass(frozen=True)
class Lost:
    """What an app sees when its request is lost at the first endpoint while a second one is healthy."""

    request: bytes
    reused: bool
    how: str
    status: int
    retries: dict[str, int]
    executed: int
    """How often instances read the request under test."""


LOST = [
    Lost(GET, False, "reset", 200, {"reset": 1}, 2),
    Lost(GET, False, "closed", 200, {"reset": 1}, 2),
    Lost(GET, True, "reset", 200, {"reset": 1}, 2),
    Lost(GET, True, "closed", 200, {"reset": 1}, 2),
    Lost(PUT_CHUNKED, False, "reset", 200, {"reset": 1}, 2),
    Lost(PUT_CHUNKED, True, "closed", 200, {"reset": 1}, 2),
    Lost(POST, False, "reset", 502, {}, 1),
    Lost(POST, False, "closed", 502, {}, 1),
    Lost(POST, True, "reset", 502, {}, 1),
    Lost(POST, True, "closed", 502, {}, 1),
    Lost(POST_CHUNKED, False, "reset", 502, {}, 1),
    Lost(POST_CHUNKED, True, "closed", 502, {}, 1),
]


@pytest.mark.parametrize(
    "row", LOST, ids=lambda r: f"{r.request[:4].decode().strip()}-{'reused' if r.reused else 'fresh'}-{r.how}"
)
async def test_a_request_lost_after_it_was_read(stack: MakeStack, row: Lost) -> None:
    """Idempotent ones are repeated elsewhere; others may have been executed and are never sent again."""
    then = READ_THEN[row.how]
    async with ScriptedPeer(once_then(then) if row.reused else then) as bad, ScriptedPeer() as good:
        proxy = stack()
        await proxy.open(bad.port)
        if row.reused:
            assert (await call(proxy)).status == 200
        proxy.list(bad.port)
        marked = row.request.replace(b"/a", b"/marked")
        proxy.add(good.port, first=bad.port)
        answer = await call(proxy, marked)
        assert answer.status == row.status
        assert proxy.cluster.stats.retries == row.retries
        read_it = [r for r in bad.requests + good.requests if b"/marked" in r]
        assert len(read_it) == row.executed
        assert proxy.cluster.stats.attempts[row.how] == 1
        if row.status == 502:
            flag = "UR" if row.how == "reset" else "UC"
            assert answer.error == f"{flag} {row.how} {bad.address} attempts=1"
            assert proxy.records[-1].flags == flag


@pytest.mark.parametrize("how", READ_THEN)
async def test_an_ambiguous_loss_may_be_left_to_the_app(stack: MakeStack, how: str) -> None:
    """`on_ambiguous: close` ends the connection without an answer; it counts with code 0."""
    async with ScriptedPeer(READ_THEN[how]) as bad:
        proxy = stack(retry=Retry(on_ambiguous=OnAmbiguous.CLOSE))
        await proxy.open(bad.port)
        assert (await call(proxy, POST)).status == 0
        assert proxy.codes == [(0, "UR" if how == "reset" else "UC")]


@pytest.mark.parametrize(("request_bytes", "status", "asked"), [(GET, 200, 2), (POST, 503, 1), (PUT_CHUNKED, 200, 2)])
async def test_a_503_is_retried_for_idempotent_requests(
    stack: MakeStack, request_bytes: bytes, status: int, asked: int
) -> None:
    """Elsewhere, out of the budget; a POST gets the instance's own answer."""
    async with ScriptedPeer(answering(UNAVAILABLE)) as busy, ScriptedPeer() as good:
        proxy = stack()
        await proxy.open()
        proxy.add(good.port, first=busy.port)
        answer = await call(proxy, request_bytes)
        assert answer.status == status
        assert len(busy.requests + good.requests) == asked
        assert answer.error == ""


async def test_the_last_503_is_passed_on_unchanged(stack: MakeStack) -> None:
    """When everybody is busy the app gets an instance's answer, flagged URX in the log, after num_retries."""
    async with ScriptedPeer(answering(UNAVAILABLE)) as one, ScriptedPeer(answering(UNAVAILABLE)) as two:
        proxy = stack()
        await proxy.open(one.port, two.port)
        answer = await call(proxy)
        assert (answer.status, answer.body, answer.error) == (503, b"busy", "")
        assert len(one.requests + two.requests) == 3
        assert proxy.codes == [(503, "URX")]
        assert proxy.cluster.stats.retries_denied == {"num_retries": 1}
        assert [t.outcome for t in proxy.records[0].tries] == ["ok", "ok", "ok"]


async def test_no_endpoint_is_asked_twice_while_another_is_left(stack: MakeStack) -> None:
    """Four that are busy are asked once each, in whatever way a request gets on; only the fifth try is a second one."""
    async with contextlib.AsyncExitStack() as open_:
        peers = [await open_.enter_async_context(ScriptedPeer(answering(UNAVAILABLE))) for _ in range(4)]
        for tries, each in ((4, [1, 1, 1, 1]), (5, [1, 1, 1, 2])):
            proxy = stack(retry=Retry(num_retries=tries - 1), load_balancing=LoadBalancing(policy=Balancing.RANDOM))
            await proxy.open(*(peer.port for peer in peers))
            before = [len(peer.requests) for peer in peers]
            assert (await call(proxy)).status == 503
            assert sorted(len(peer.requests) - was for peer, was in zip(peers, before, strict=True)) == each


@pytest.mark.http("H-66")
@pytest.mark.parametrize("request_name", REQUESTS)
async def test_an_unreadable_answer_is_a_502(stack: MakeStack, request_name: str) -> None:
    """Something that is not HTTP: no retry, and the connection is not used again."""
    async with ScriptedPeer(garbage) as bad:
        proxy = stack()
        await proxy.open(bad.port)
        answer = await call(proxy, REQUESTS[request_name])
        assert (answer.status, answer.error) == (502, f"UPE protocol {bad.address} attempts=1")
        assert len(bad.requests) == 1
        assert proxy.cluster.stats.idle_connections == 0


@pytest.mark.http("H-30", "H-37", "H-46")
@pytest.mark.parametrize(
    ("answer", "cut"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", "closed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", "reset"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "reset"),
        (b"HTTP/1.1 200 OK\r\n\r\npart", "reset"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "malformed"),
    ],
)
async def test_a_truncated_answer_looks_truncated(stack: MakeStack, answer: bytes, cut: str) -> None:
    """The app's connection is reset and gets no last chunk; nothing is retried, though it is a GET."""
    passed_on = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(answer)
        await passed_on.wait()
        if cut == "reset":
            talk.reset()
        elif cut == "malformed":
            await talk.send(b"zz\r\n")
            await talk.until_closed()

    async with ScriptedPeer(script) as bad, ScriptedPeer() as good:
        proxy = stack()
        await proxy.open()
        proxy.add(good.port, first=bad.port)
        async with connected(proxy.port) as app:
            await app.send(GET)
            assert (await app.head()).startswith(b"HTTP/1.1 200 OK\r\n")
            passed_on.set()
            with pytest.raises(ConnectionResetError):
                await app.reader.read()
        assert good.requests == []
        assert proxy.codes == [(200, {"closed": "UC", "reset": "UR", "malformed": "UPE"}[cut])]
