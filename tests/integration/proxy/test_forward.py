"""Requests that are none of ours, sent on to where they say."""

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from sidecar.errors import FAILURES
from sidecar.proxy import connect, forward
from sidecar.proxy.forward import POLICY, RESOLVED_FOR, Forward
from sidecar.proxy.ourselves import Ourselves
from sidecar.proxy.upstream import Upstream
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, Talk, hanging
from tests.support.stack import MakeStack, Stack, ask, begin, read, until


def get(authority: str, path: str = "/a", *more: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in more)
    return f"GET http://{authority}{path} HTTP/1.1\r\nHost: {authority}\r\n{lines}\r\n".encode()


async def forwarding(stack: MakeStack) -> Stack:
    """The shared listener of a sidecar whose only service has nobody."""
    proxy = stack()
    proxy.share(forward=True)
    await proxy.open(free_port())
    return proxy


class Names:
    """A resolver that knows what the test says, and counts how often it is asked."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.asked: list[str] = []

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        families = {False: socket.AF_INET, True: socket.AF_INET6}
        return [(families[":" in ip], socket.SOCK_STREAM, 6, "", (ip, port)) for ip in self.known[host]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """In place of the machine's."""
    found = Names()

    async def first_address(host: str, port: int) -> str:
        loop = asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "getaddrinfo", found.getaddrinfo, raising=False)
            return await original(host, port)

    original = forward._first_address
    monkeypatch.setattr(forward, "_first_address", first_address)
    return found


async def test_the_host_is_asked_as_the_app_asked(stack: MakeStack) -> None:
    """Method, path, query and fields; its answer comes back as it is, and the app's connection serves on."""
    answer = b"HTTP/1.1 418 Teapot\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\nno"
    async with ScriptedPeer(_answering(answer)) as peer:
        proxy = await forwarding(stack)
        async with proxy.app() as app:
            for _ in range(2):
                found = await ask(app, get(peer.address, "/a/b?c=%20", "X-App: 7", "Proxy-Connection: keep-alive"))
                assert (found.status, found.body) == (418, b"no")
                assert b"X-Own: 1\r\n" in found.head
    assert len(peer.talks) == 2, "no connection is kept for later"
    assert peer.requests[0].startswith(f"GET /a/b?c=%20 HTTP/1.1\r\nHost: {peer.address}\r\nX-App: 7\r\n".encode())
    assert b"Proxy-Connection" not in peer.requests[0]


async def test_it_is_counted_and_logged_under_no_service(stack: MakeStack) -> None:
    """Label `-`, with the host's address where others have that of an instance; no event tells of it."""
    async with ScriptedPeer() as peer:
        proxy = await forwarding(stack)
        async with proxy.app() as app:
            await ask(app, get(peer.address))
    (record,) = proxy.records
    assert (record.service, record.endpoint, record.code, record.flags) == ("-", peer.address, 200, "-")
    assert (record.attempts, record.rescued_by) == (1, None)
    stats = proxy.runtime.stats.unrouted
    assert (stats.requests, stats.attempts) == ({(200, "-"): 1}, {"ok": 1})
    assert (stats.bytes_to_app, stats.requests_in_flight, stats.instance_connections) == (2, 0, 0)
    assert [event for event in proxy.events if event.service == "-"] == []


async def test_bodies_stream_both_ways(stack: MakeStack) -> None:
    """Three megabytes there and back, neither kept."""
    size = 3_000_000

    async def echo(talk: Talk) -> None:
        head = await talk.head()
        body = await talk.body(head)
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)

    async with ScriptedPeer(echo) as peer:
        proxy = await forwarding(stack)
        async with proxy.app() as app:
            head = f"POST http://{peer.address}/ HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
            sending = begin(app.send(head, b"x" * size))
            answer = await read(app)
            await sending
            assert (answer.status, len(answer.body)) == (200, size)


async def test_a_host_that_refuses_is_dialled_once(stack: MakeStack) -> None:
    """503 at once, and with the reason; the next request dials again, however often that happens."""
    proxy = await forwarding(stack)
    address = f"127.0.0.1:{free_port()}"
    async with proxy.app() as app:
        for _ in range(10):
            answer = await ask(app, get(address))
            assert (answer.status, answer.error) == (503, f"UF refused {address} attempts=1")
    assert proxy.runtime.stats.unrouted.attempts == {"refused": 10}
    assert proxy.runtime.stats.unrouted.retries_denied == {}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_lost_request_is_not_repeated(stack: MakeStack, method: str) -> None:
    """Not even a GET: the app would not have repeated it either, or does so itself."""

    async def hang_up(talk: Talk) -> None:
        await talk.request()

    async with ScriptedPeer(hang_up) as peer:
        proxy = await forwarding(stack)
        async with proxy.app() as app:
            request = (
                get(peer.address)
                .replace(b"GET", method.encode())
                .replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n")
            )
            assert (await ask(app, request)).error == f"UC closed {peer.address} attempts=1"
        assert len(peer.requests) == 1


async def test_an_answer_of_503_is_an_answer(stack: MakeStack) -> None:
    """Nobody is ejected, and nothing is tried again, after however many."""
    async with ScriptedPeer(_answering(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")) as peer:
        proxy = await forwarding(stack)
        async with proxy.app() as app:
            for _ in range(10):
                answer = await ask(app, get(peer.address))
                assert (answer.status, answer.error) == (503, "")
    assert len(peer.requests) == 10


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1", "localhost"])
async def test_it_never_calls_itself(stack: MakeStack, host: str) -> None:
    """Its own port is refused however the host is written: the request would come back without end."""
    proxy = await forwarding(stack)
    async with proxy.app() as app:
        answer = await ask(app, get(f"{host}:{proxy.port}"))
        assert (answer.status, answer.error) == (502, "NR no_service attempts=0")
    assert proxy.runtime.stats.unrouted.requests == {(502, "NR"): 1}


async def test_a_name_that_leads_to_ourselves_is_refused(stack: MakeStack, names: Names) -> None:
    """Whoever controls a name could have us call ourselves otherwise."""
    names.known["evil.example"] = ["127.0.0.1"]
    proxy = await forwarding(stack)
    async with proxy.app() as app:
        assert (await ask(app, get(f"evil.example:{proxy.port}"))).error == "NR no_service attempts=0"


async def test_a_name_is_resolved_and_remembered_for_a_while(
    stack: MakeStack, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IPv4 first, as a JVM has it; asked again after ten seconds, or once a dial has failed."""
    async with ScriptedPeer() as peer:
        names.known["billing.example"] = ["2001:db8::1", "127.0.0.1"]
        proxy = await forwarding(stack)
        authority = f"billing.example:{peer.port}"
        async with proxy.app() as app:
            for _ in range(3):
                assert (await ask(app, get(authority))).status == 200
            assert names.asked == ["billing.example"]
            assert peer.requests[0].startswith(f"GET /a HTTP/1.1\r\nHost: {authority}\r\n".encode())
            monkeypatch.setattr(forward, "RESOLVED_FOR", 0.0)
            await ask(app, get(authority))
            assert len(names.asked) == 2
            monkeypatch.setattr(forward, "RESOLVED_FOR", RESOLVED_FOR)
            peer.stop_listening()
            assert (await ask(app, get(authority))).status == 503
            assert len(names.asked) == 2
            await ask(app, get(authority))
            assert len(names.asked) == 3


@pytest.mark.parametrize("host", ["no.example", "a..example", "x" * 70])
async def test_a_name_that_does_not_exist_is_unreachable(stack: MakeStack, names: Names, host: str) -> None:
    """Also one that no resolver is asked for."""
    proxy = await forwarding(stack)
    async with proxy.app() as app:
        assert (await ask(app, get(host))).error == f"UF unreachable {host}:80 attempts=1"


async def test_a_resolver_that_hangs_stops_nobody_else(stack: MakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other requests go on, and its own ends with the time that a dial may take."""

    async def never(host: str, port: int) -> str:
        if host == "slow.example":
            await asyncio.get_running_loop().create_future()
        return host

    monkeypatch.setattr(forward, "_first_address", never)
    async with ScriptedPeer() as peer:
        proxy = await forwarding(stack)
        unnamed = proxy.listener.entrance.unnamed
        assert unnamed is not None
        assert unnamed._forward is not None
        unnamed._forward._policy = replace(POLICY, timeouts=replace(POLICY.timeouts, connect=0.5))
        async with proxy.app() as slow, proxy.app() as other:
            waiting = begin(ask(slow, get("slow.example")))
            assert (await ask(other, get(peer.address))).status == 200
            assert not waiting.done()
            assert (await waiting).error == "UF connect_timeout slow.example:80 attempts=1"


async def test_a_name_is_asked_for_once_by_however_many(stack: MakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """All wait for one answer, and it comes for the others though the first of them leaves: the resolver has few threads."""
    asked: list[str] = []
    answer = asyncio.Event()

    async def slow(host: str, port: int) -> str:
        asked.append(host)
        await answer.wait()
        return "127.0.0.1"

    monkeypatch.setattr(forward, "_first_address", slow)
    async with ScriptedPeer() as peer, AsyncExitStack() as apps:
        proxy = await forwarding(stack)
        first, *others = [await apps.enter_async_context(proxy.app()) for _ in range(5)]
        request = get(f"billing.example:{peer.port}")
        await first.send(request)
        await until(lambda: bool(asked))
        waiting = [begin(ask(app, request)) for app in others]
        await until(lambda: proxy.runtime.stats.unrouted.requests_in_flight == 5)
        first.reset()
        await until(lambda: proxy.codes == [(0, "DC")])
        answer.set()
        assert [found.status for found in await asyncio.gather(*waiting)] == [200] * 4
    assert asked == ["billing.example"]


async def test_an_app_that_leaves_ends_it(stack: MakeStack) -> None:
    """The host's connection is closed, too."""
    async with ScriptedPeer(hanging) as peer:
        proxy = await forwarding(stack)
        async with proxy.app() as app:
            await app.send(get(peer.address))
            await until(lambda: len(peer.talks) == 1)
            app.reset()
        await until(lambda: proxy.codes == [(0, "DC")])
        await until(lambda: proxy.runtime.stats.unrouted.instance_connections == 0)


async def test_another_protocol_goes_through(stack: MakeStack) -> None:
    """101 opens a tunnel, as it does to an instance."""

    async def switch(talk: Talk) -> None:
        await talk.head()
        await talk.send(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        await talk.send(await talk.reader.readexactly(4))

    async with ScriptedPeer(switch) as peer:
        proxy = await forwarding(stack)
        async with proxy.app() as app:
            await app.send(get(peer.address, "/", "Connection: upgrade", "Upgrade: echo"))
            assert (await app.head()).startswith(b"HTTP/1.1 101 ")
            await app.send(b"ping")
            assert await app.reader.readexactly(4) == b"ping"


# What is kept of hosts


@pytest.fixture
async def sending(stack: MakeStack) -> Forward:
    return Forward(stack().runtime, Random(1), Ourselves(set))


async def test_hosts_that_are_invented_do_not_fill_the_memory(sending: Forward) -> None:
    """A bounded number is known at a time, and what is forgotten is kept by nobody."""
    for number in range(1000):
        assert isinstance(sending.towards(b"host-%d" % number), Upstream)
    assert len(sending._hosts) <= 256
    assert sending._runtime.stats.unrouted.pools == []
    assert repr(sending).startswith("<Forward to ")
    assert sending.towards(b"host-999") is sending.towards(b"host-999")


@pytest.mark.parametrize("authority", [b"a:0", b"a:99999", b"10.0.0.1:70000"])
async def test_what_has_no_port_is_nobody(sending: Forward, authority: bytes) -> None:
    """It is refused, not dialled."""
    assert sending.towards(authority) is None


async def test_failures_leave_nothing_behind(stack: MakeStack) -> None:
    """A host that refuses for months costs no memory: what is due is done when it is called again."""
    proxy = await forwarding(stack)
    unnamed = proxy.listener.entrance.unnamed
    assert unnamed is not None
    assert unnamed._forward is not None
    authority = f"127.0.0.1:{free_port()}"
    async with proxy.app() as app:
        await ask(app, get(authority))
        cluster = unnamed._forward._hosts[authority.encode()].cluster
        (due, endpoint), *rest = cluster._penalties
        assert not rest
        cluster._penalties.clear()
        cluster._penalties.append((due - 10.0, endpoint))
        cluster.next_due = cluster._due = 0.0
        await ask(app, get(authority))
        assert len(cluster._penalties) == 1


def _answering(answer: bytes) -> Any:
    async def script(talk: Talk) -> None:
        await talk.serve(answer)

    return script


async def test_the_default_port_is_that_of_http(stack: MakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """`http://host/` means port 80."""
    seen: list[int] = []

    async def dial(host: str, port: int, *_: Any) -> Any:
        seen.append(port)
        raise connect.DialError(FAILURES["refused"])

    monkeypatch.setattr(connect, "dial", dial)
    proxy = await forwarding(stack)
    async with proxy.app() as app:
        assert (await ask(app, get("192.0.2.1"))).status == 503
    assert seen == [80]
