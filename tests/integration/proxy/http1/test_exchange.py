"""One request through the whole data path, on the wire: every row of the retry table, fresh and reused, GET and POST."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from random import Random

import pytest

from sidecar.cluster.policy import NonIdempotent, OnAmbiguous, Retry, RetryOn, Timeouts, WaitForInstance
from sidecar.errors import FAILURES
from sidecar.proxy.http1.body import ChunkedBody
from tests.support.scripted_peer import (
    OK,
    Script,
    ScriptedPeer,
    Talk,
    answering,
    closed_port,
    connected,
    full_backlog,
    hanging,
    serving,
)
from tests.support.stack import GET, POST, Answer, MakeStack, Stack, ask, begin, call, read, until

PUT_CHUNKED = b"PUT /a HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
POST_CHUNKED = PUT_CHUNKED.replace(b"PUT", b"POST")
SHORT_WAIT = WaitForInstance(timeout=0.3)


def once_then(then: Script) -> Script:
    """Answers one request well, so that the connection is reused; the second meets `then`."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(OK)
        await then(talk)

    return script


async def read_and_reset(talk: Talk) -> None:
    await talk.request()
    talk.reset()


async def read_and_close(talk: Talk) -> None:
    await talk.request()
    talk.close()


async def half_a_head_and_close(talk: Talk) -> None:
    await talk.request()
    await talk.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    talk.close()


async def garbage(talk: Talk) -> None:
    await talk.request()
    await talk.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await talk.until_closed()


UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
BAD_GATEWAY = UNAVAILABLE.replace(b"503 Service Unavailable", b"502 Bad Gateway")

READ_THEN = {"reset": read_and_reset, "closed": read_and_close}
REQUESTS = {"GET": GET, "POST": POST, "PUT chunked": PUT_CHUNKED, "POST chunked": POST_CHUNKED}


@pytest.mark.parametrize("request_name", REQUESTS)
async def test_a_refused_connect_is_never_seen(stack: MakeStack, request_name: str) -> None:
    """Whatever the method and framing, a refusing endpoint costs no request, and it is asked once."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(closed_port(), peer.port)
        for _ in range(4):
            answer = await call(proxy, REQUESTS[request_name])
            assert (answer.status, answer.body) == (200, b"ok")
        assert len(peer.requests) == 4
        assert proxy.cluster.stats.attempts["refused"] == 1
        assert proxy.cluster.stats.retries == {"connect_failure": 1}
        assert proxy.cluster.stats.rescued == {"retry": 1}
        assert sorted(r.rescued_by or "-" for r in proxy.records) == ["-", "-", "-", "retry"]


async def test_a_connect_that_times_out_goes_elsewhere(stack: MakeStack) -> None:
    """A host that drops every SYN costs `timeouts.connect`, then another is asked."""
    with full_backlog() as port:
        async with ScriptedPeer() as peer:
            proxy = stack(timeouts=Timeouts(connect=0.2))
            await proxy.open(port, peer.port)
            answers = [await call(proxy, POST) for _ in range(2)]
            assert [answer.status for answer in answers] == [200, 200]
            assert proxy.cluster.stats.attempts["connect_timeout"] == 1


async def test_a_large_post_survives_a_refused_connect(stack: MakeStack) -> None:
    """3 MB that no buffer holds arrive whole at the second endpoint: the body is read once a connection exists."""
    body = bytes(range(256)) * 12 * 1024
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(closed_port(), peer.port)
        async with connected(proxy.port) as app:
            for _ in range(2):
                answer = await ask(
                    app, b"POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )
                assert answer.status == 200
        assert all(request.partition(b"\r\n\r\n")[2] == body for request in peer.requests)
        assert len(peer.requests) == 2
        assert proxy.cluster.stats.attempts["refused"] == 1
        assert proxy.runtime.replay_bytes == 0


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


@pytest.mark.parametrize(("words", "status"), [({RetryOn.RETRIABLE_5XX}, 502), ({RetryOn.GATEWAY_ERROR}, 200)])
async def test_a_502_is_retried_only_by_its_word(stack: MakeStack, words: set[RetryOn], status: int) -> None:
    """`gateway-error` covers 502, `retriable-5xx` does not."""
    async with ScriptedPeer(answering(BAD_GATEWAY)) as bad, ScriptedPeer() as good:
        proxy = stack(retry=Retry(retry_on=frozenset(words)))
        await proxy.open()
        proxy.add(good.port, first=bad.port)
        assert (await call(proxy)).status == status


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


async def test_silence_ends_in_504(stack: MakeStack) -> None:
    """`timeouts.response` counts from the head, all attempts included; the attempt is closed."""
    async with ScriptedPeer(hanging) as mute:
        proxy = stack(timeouts=Timeouts(response=0.3))
        await proxy.open(mute.port)
        answer = await call(proxy)
        assert (answer.status, answer.error) == (504, f"UT response_timeout {mute.address} attempts=1")
        assert proxy.cluster.stats.attempts == {"response_timeout": 1}


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


async def test_nothing_to_ask_is_a_503_after_the_wait(stack: MakeStack) -> None:
    """Without any instance a request waits, then is told why, with a retry-after."""
    proxy = stack(wait_for_instance=SHORT_WAIT)
    await proxy.open()
    answer = await call(proxy)
    assert (answer.status, answer.error) == (503, "UH no_instance attempts=0")
    assert b"\r\nretry-after: 1\r\n" in answer.head
    assert proxy.cluster.stats.waits == {"timeout": 1}
    assert proxy.cluster.stats.waiting == proxy.cluster.waiting == 0


async def test_everybody_refusing_is_told_after_one_round_and_the_wait(stack: MakeStack) -> None:
    """UF with the last refusal, not UH: there are instances, but none can be connected."""
    proxy = stack(wait_for_instance=SHORT_WAIT)
    await proxy.open(closed_port(), closed_port())
    answer = await call(proxy, POST)
    assert answer.status == 503
    assert answer.error.startswith("UF refused 127.0.0.1:")
    assert answer.error.endswith(" attempts=2")
    assert proxy.cluster.stats.retries == {"connect_failure": 1}
    assert proxy.records[-1].bytes_sent == proxy.cluster.stats.bytes_to_app == len(f"sidecar: {answer.error}\n")


async def test_a_request_waits_for_a_single_replica_to_come_back(stack: MakeStack) -> None:
    """A POST that arrives while the only instance restarts is answered once it listens again."""
    peer = ScriptedPeer()
    await peer.open()
    proxy = stack()
    await proxy.open(peer.port)
    await peer.close()
    asked = begin(call(proxy, POST))
    await asyncio.sleep(0.2)
    await peer.open()
    assert (await asked).status == 200
    assert len(peer.requests) == 1
    assert proxy.cluster.stats.waits == {"served": 1}
    assert proxy.records[-1].rescued_by == "retry"
    await peer.close()


async def test_a_request_waits_for_a_push(stack: MakeStack) -> None:
    """With an empty list the first push releases those who wait, first in first out: by `wait`."""
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open()
        asked = [begin(call(proxy)) for _ in range(3)]
        await until(lambda: proxy.cluster.waiting == 3)
        proxy.list(peer.port)
        assert [(await one).status for one in asked] == [200, 200, 200]
        assert proxy.cluster.stats.rescued == {"wait": 3}


async def test_a_full_queue_turns_away(stack: MakeStack) -> None:
    """More than `max_queued` is answered at once."""
    proxy = stack(wait_for_instance=WaitForInstance(timeout=0.5, max_queued=1))
    await proxy.open()
    first = begin(call(proxy))
    await until(lambda: proxy.cluster.waiting == 1)
    answer = await call(proxy)
    assert (answer.status, answer.error) == (503, "UO queue_full attempts=0")
    assert (await first).status == 503


async def test_an_app_that_gives_up_waiting_leaves_no_trace(stack: MakeStack) -> None:
    """The queue empties at once, and the request counts as DC."""
    proxy = stack()
    await proxy.open()
    async with connected(proxy.port) as app:
        await app.send(GET)
        await until(lambda: proxy.cluster.waiting == 1)
        app.reset()
        await until(lambda: proxy.cluster.waiting == 0)
    assert proxy.codes == [(0, "DC")]
    assert proxy.cluster.stats.waits == {"app_left": 1}


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

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(answer)
        await asyncio.sleep(0.05)
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
            with pytest.raises(ConnectionResetError):
                await app.reader.read()
        assert good.requests == []
        assert proxy.codes == [(200, {"closed": "UC", "reset": "UR", "malformed": "UPE"}[cut])]


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


async def test_never_means_never(stack: MakeStack) -> None:
    """`non_idempotent: never` asks the kernel for nothing."""
    async with ScriptedPeer(once_then(read_and_close), serving) as peer:
        proxy = stack(retry=Retry(non_idempotent=NonIdempotent.NEVER))
        await proxy.open(peer.port)
        async with connected(proxy.port) as app:
            assert (await ask(app, POST)).status == 200
            assert (await ask(app, POST)).status == 502


class Chaos:
    """Instances that misbehave by the throw of a die, and remember every id they executed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.executed: Counter[bytes] = Counter()

    async def __call__(self, talk: Talk) -> None:
        while True:
            dice = self.random.random()
            if dice < 0.03:
                return
            head = await talk.head()
            if dice < 0.06 or not head:
                talk.reset()
                return
            body = await talk.body(head)
            self.executed[head.split(b" ")[1]] += 1
            if dice < 0.09:
                talk.reset()
                return
            if dice < 0.12:
                await talk.send(UNAVAILABLE)
                continue
            await self._answer(talk, body, dice)
            if dice < 0.2:
                return

    async def _answer(self, talk: Talk, body: bytes, dice: float) -> None:
        """The body comes back, whole or dripped, counted, chunked or until the end."""
        if dice < 0.2:
            await talk.send(b"HTTP/1.1 200 OK\r\n\r\n", body)
        elif dice < 0.5 and body:
            await talk.send(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body), body, b"\r\n0\r\n\r\n"
            )
        elif dice < 0.6:
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Le")
            await asyncio.sleep(0)
            await talk.send(b"ngth: %d\r\n\r\n" % len(body), body[:10], body[10:])
        else:
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def ask_anything(proxy: Stack, random: Random, name: str, calls: int) -> Counter[int]:
    """One app: calls in a row, over a connection for as long as it lasts; each is answered, or its connection ends."""
    seen: Counter[int] = Counter()
    left = calls
    while left:
        async with proxy.app() as app:
            while left:
                left -= 1
                method = random.choice([b"GET", b"POST", b"PUT"])
                body = random.randbytes(random.choice([0, 1, 100, 70_000])) if method != b"GET" else b""
                head = b"%b /%b-%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (
                    method,
                    name.encode(),
                    left,
                    len(body),
                )
                try:
                    answer = await ask(app, head + body)
                except (ConnectionError, asyncio.IncompleteReadError):
                    seen[-1] += 1
                    break
                seen[answer.status] += 1
                if answer.status == 200:
                    assert unchunked(answer) == body
                if b"\r\nconnection: close\r\n" in answer.head.lower() or not answer.status:
                    break
    return seen


def unchunked(answer: Answer) -> bytes:
    if b"\r\nTransfer-Encoding: chunked\r\n" not in answer.head:
        return answer.body
    return ChunkedBody(FAILURES["protocol"], padded=False, chunks=False).feed(answer.body)


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_instances_do_each_request_ends_once_and_no_post_is_executed_twice(
    stack: MakeStack, seed: int
) -> None:
    """Twelve apps, three moody instances, one of which restarts: outcomes, records and counters agree, bodies too."""
    chaos = Chaos(seed)
    async with ScriptedPeer(chaos) as one, ScriptedPeer(chaos) as two, ScriptedPeer(chaos) as three:
        proxy = stack(wait_for_instance=WaitForInstance(timeout=2.0))
        await proxy.open(one.port, two.port, three.port)
        apps = [begin(ask_anything(proxy, Random(seed * 100 + n), f"app{n}", 40)) for n in range(12)]
        await asyncio.sleep(0.2)
        await three.close()
        await asyncio.sleep(0.2)
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
        assert stats.idle_connections == stats.instance_connections
