"""What is asked again, where, and at what price."""

import pytest

from sidecar.cluster.policy import NonIdempotent, Retry, RetryOn
from tests.support.bad_instances import (
    BAD_GATEWAY,
    SERVER_ERROR,
    half_a_head_and_close,
    once_then,
    read_and_close,
)
from tests.support.scripted_peer import ScriptedPeer, Talk, answering, connected, serving
from tests.support.stack import GET, POST, MakeStack, ask, call


async def test_a_single_endpoint_is_asked_again_on_a_fresh_connection(stack: MakeStack) -> None:
    """A GET lost on a reused connection goes to the same endpoint at once when there is no other, over a new one."""
    async with ScriptedPeer(once_then(read_and_close), serving) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with connected(proxy.port) as app:
            assert (await ask(app)).status == 200
            assert (await ask(app)).status == 200
        assert len(peer.talks) == 2
        assert proxy.cluster.stats.retries == {"reset": 1}


async def test_half_a_head_is_no_keep_alive_race(stack: MakeStack) -> None:
    """A reused connection that dies inside the answer's head counts as a fresh one: the retry costs budget."""
    async with ScriptedPeer(once_then(half_a_head_and_close), serving) as peer:
        proxy = stack(retry=Retry(num_retries=0))
        await proxy.open(peer.port)
        async with connected(proxy.port) as app:
            assert (await ask(app)).status == 200
            answer = await ask(app)
        assert (answer.status, answer.error) == (502, f"UC,URX closed {peer.address} attempts=1")


@pytest.mark.parametrize(
    ("said", "word", "request_", "status"),
    [
        (BAD_GATEWAY, RetryOn.RETRIABLE_5XX, GET, 502),
        (BAD_GATEWAY, RetryOn.GATEWAY_ERROR, GET, 200),
        (SERVER_ERROR, RetryOn.GATEWAY_ERROR, GET, 500),
        (SERVER_ERROR, RetryOn.ANY_5XX, GET, 200),
        (SERVER_ERROR, RetryOn.ANY_5XX, POST, 500),
    ],
)
async def test_an_answer_is_retried_only_by_its_word(
    stack: MakeStack, said: bytes, word: RetryOn, request_: bytes, status: int
) -> None:
    """`gateway-error` covers 502, `any-5xx` 500 too; no word makes a POST repeatable."""
    async with ScriptedPeer(answering(said)) as bad, ScriptedPeer() as good:
        proxy = stack(retry=Retry(retry_on=frozenset({word})))
        await proxy.open()
        proxy.add(good.port, first=bad.port)
        assert (await call(proxy, request_)).status == status


async def test_a_503_behind_an_interim_answer_is_passed_on(stack: MakeStack) -> None:
    """The app has seen what this instance said first: nothing is repeated after a byte of an answer."""

    async def hinting(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")

    async with ScriptedPeer(hinting) as bad, ScriptedPeer() as good:
        proxy = stack()
        await proxy.open()
        proxy.add(good.port, first=bad.port)
        async with proxy.app() as app:
            await app.send(GET)
            assert [(await app.head())[9:12] for _ in range(2)] == [b"103", b"503"]
        assert good.requests == []
        assert proxy.cluster.stats.retries_denied == {"response_started": 1}


async def test_never_means_never(stack: MakeStack) -> None:
    """`non_idempotent: never` asks the kernel for nothing."""
    async with ScriptedPeer(once_then(read_and_close), serving) as peer:
        proxy = stack(retry=Retry(non_idempotent=NonIdempotent.NEVER))
        await proxy.open(peer.port)
        async with connected(proxy.port) as app:
            assert (await ask(app, POST)).status == 200
            assert (await ask(app, POST)).status == 502
