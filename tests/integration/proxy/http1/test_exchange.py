"""One request through the whole data path, on the wire: its clocks, its end, and many of them at once."""

import asyncio
from collections import Counter
from random import Random

import pytest

from sidecar.cluster.endpoint import State
from sidecar.cluster.policy import OutlierDetection, Retry, RetryOn, Timeouts, WaitForInstance
from tests.support.chaos import Chaos, ask_anything
from tests.support.scripted_peer import (
    ScriptedPeer,
    Talk,
    connected,
    hanging,
    serving,
)
from tests.support.stack import GET, POST, MakeStack, ask, begin, call, read, until
from tests.support.until import PATIENCE


@pytest.mark.virtual_time
@pytest.mark.http("H-66")
async def test_silence_ends_in_504(stack: MakeStack) -> None:
    """`timeouts.response` counts from the head, all attempts included; the attempt is closed."""
    async with ScriptedPeer(hanging) as mute:
        proxy = stack(timeouts=Timeouts(response=0.3))
        await proxy.open(mute.port)
        answer = await call(proxy)
        assert (answer.status, answer.error) == (504, f"UT response_timeout {mute.address} attempts=1")
        assert proxy.cluster.stats.attempts == {"response_timeout": 1}


@pytest.mark.virtual_time
async def test_only_what_an_instance_answered_is_in_its_answer_time(stack: MakeStack) -> None:
    """The 200 counts from the end of the request to its head; the 504 that we made does not."""
    async with ScriptedPeer(serving, hanging) as peer:
        proxy = stack(timeouts=Timeouts(response=0.3))
        await proxy.open(peer.port)
        assert (await call(proxy)).status == 200
        proxy.upstream.pool.keep_only(lambda _: False)
        assert (await call(proxy)).status == 504
        times = proxy.cluster.stats.answer_time
        assert sum(times.counts) == 1
        assert 0.0 <= times.total < 0.3


@pytest.mark.virtual_time
async def test_the_response_clock_restarts_with_every_byte_from_the_app(stack: MakeStack) -> None:
    """An upload that lasts longer than `timeouts.response` is not cut while it moves."""
    async with ScriptedPeer() as peer:
        proxy = stack(timeouts=Timeouts(response=0.4))
        await proxy.open(peer.port)
        async with connected(proxy.port) as app:
            await app.send(b"POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: 8\r\n\r\n")
            for _ in range(8):
                await asyncio.sleep(0.1)
                await app.send(b"x")
            assert (await read(app)).status == 200


@pytest.mark.virtual_time
async def test_a_try_is_not_over_while_its_body_comes(stack: MakeStack) -> None:
    """Nor while the app pauses: `per_try_timeout` is the instance's, and counts from the last byte."""
    async with ScriptedPeer() as peer:
        retry = Retry(per_try_timeout=0.4, retry_on=frozenset({RetryOn.RESPONSE_TIMEOUT}))
        proxy = stack(retry=retry, timeouts=Timeouts(response=5.0))
        await proxy.open(peer.port)
        async with connected(proxy.port) as app:
            await app.send(b"PUT /a HTTP/1.1\r\nHost: orders\r\nContent-Length: 3\r\n\r\n")
            for pause in (0.3, 0.3, 1.0):
                await asyncio.sleep(pause)
                await app.send(b"x")
            assert (await read(app)).status == 200
        assert len(peer.talks) == 1


@pytest.mark.virtual_time
async def test_an_app_that_stops_in_its_body_is_nobody_elses_fault(stack: MakeStack) -> None:
    """Three such uploads, and the instance that waited for them is still in service; the app gets its 504."""
    async with ScriptedPeer() as one, ScriptedPeer() as two:
        proxy = stack(
            timeouts=Timeouts(response=0.3), outlier_detection=OutlierDetection(consecutive_gateway_failure=1)
        )
        await proxy.open(one.port, two.port)
        for _ in range(3):
            async with connected(proxy.port) as app:
                await app.send(POST.removesuffix(b"y"))
                answer = await read(app)
                assert (answer.status, answer.error.split()[:2]) == (504, ["UT", "response_timeout"])
        assert {endpoint.state for endpoint in proxy.cluster.endpoints.values()} == {State.AVAILABLE}


@pytest.mark.virtual_time
async def test_an_instance_that_takes_no_body_is_to_blame(stack: MakeStack) -> None:
    """It leaves the rest in the app's hands, as a stuck process does."""

    async def stuck(talk: Talk) -> None:
        await talk.head()
        await asyncio.sleep(PATIENCE)

    async with ScriptedPeer(stuck) as one, ScriptedPeer() as two:
        proxy = stack(
            timeouts=Timeouts(response=0.3), outlier_detection=OutlierDetection(consecutive_gateway_failure=1)
        )
        await proxy.open()
        proxy.add(two.port, first=one.port)
        size = 50_000_000
        async with connected(proxy.port) as app:
            sending = begin(
                app.send(b"POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: %d\r\n\r\n" % size, bytes(size))
            )
            assert (await read(app)).status == 504
            sending.cancel()
        assert proxy.cluster.endpoints[one.address].state is State.EJECTED


@pytest.mark.virtual_time
@pytest.mark.parametrize(("request_bytes", "status"), [(GET, 200), (POST, 504)])
async def test_a_slow_try_is_given_up_for_another(stack: MakeStack, request_bytes: bytes, status: int) -> None:
    """`per_try_timeout` with `response-timeout`: idempotent requests go elsewhere, others end as 504."""
    async with ScriptedPeer(hanging) as mute, ScriptedPeer() as good:
        retry = Retry(per_try_timeout=0.2, retry_on=frozenset({RetryOn.RESPONSE_TIMEOUT}))
        proxy = stack(retry=retry)
        await proxy.open()
        proxy.add(good.port, first=mute.port)
        assert (await call(proxy, request_bytes)).status == status
        assert proxy.cluster.stats.attempts["response_timeout"] == 1


@pytest.mark.http("H-30")
async def test_an_answer_until_close_is_complete_with_a_fin(stack: MakeStack) -> None:
    """To HTTP/1.1 it goes in chunks with a last one, and the app's connection lives on."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.0 200 OK\r\n\r\n", b"some ", b"body")

    async with ScriptedPeer(script) as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with connected(proxy.port) as app:
            for _ in range(2):
                answer = await ask(app)
                assert b"\r\nTransfer-Encoding: chunked\r\n" in answer.head
                assert answer.body.endswith(b"0\r\n\r\n")
        assert proxy.cluster.stats.bytes_to_app == 18


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_instances_do_each_request_ends_once_and_no_post_is_executed_twice(
    stack: MakeStack, seed: int
) -> None:
    """Twelve apps, three moody instances, one of which restarts: outcomes, records and counters agree, bodies too."""
    chaos = Chaos(seed)
    async with ScriptedPeer(chaos) as one, ScriptedPeer(chaos) as two, ScriptedPeer(chaos) as three:
        proxy = stack(wait_for_instance=WaitForInstance(timeout=2.0))
        await proxy.open(one.port, two.port, three.port)
        apps = [begin(ask_anything(proxy.port, Random(seed * 100 + n), f"app{n}", 40)) for n in range(12)]
        await until(lambda: len(proxy.records) > 100)
        await three.close()
        await until(lambda: len(proxy.records) > 200)
        await three.open()
        seen: Counter[int] = sum([await app for app in apps], Counter())
        assert sum(seen.values()) == 12 * 40
        assert seen[200] > 12 * 40 * 0.8
        await until(lambda: proxy.cluster.stats.requests_in_flight == 0)
        assert len(proxy.records) == 12 * 40
        assert proxy.cluster.stats.requests.total() == 12 * 40
        posts = {(r.path or "").encode() for r in proxy.records if r.method == "POST"}
        assert not {path: n for path, n in chaos.executed.items() if n > 1 and path in posts}
        assert all(e.in_flight == 0 and e.owed == 0 for e in proxy.cluster.endpoints.values())
        assert proxy.cluster.waiting == 0
        assert proxy.runtime.replay_bytes == 0
        stats = proxy.cluster.stats
        await until(lambda: stats.idle_connections == stats.instance_connections)
