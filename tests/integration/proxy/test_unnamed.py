"""Calls through a proxy that name nothing but an ip:port."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import cast

import pytest

from sidecar.cluster.events import Rescue
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import ServicePolicy, WaitForInstance
from sidecar.proxy.http1.downstream import MAX_PIPELINED, AppConnection
from sidecar.proxy.http1.message import BadMessage
from sidecar.proxy.http1.request import RequestHead, read_request
from sidecar.proxy.listener import OwnEntrance
from sidecar.proxy.unnamed import LEARNS_FOR, Unnamed
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, Talk, answering, connected
from tests.support.stack import MakeStack, Stack, ask, begin, read, until


def get(port: int, *more: bytes) -> bytes:
    """What a JVM sends that is told of a proxy."""
    lines = b"".join(line + b"\r\n" for line in more)
    return (
        b"GET http://127.0.0.1:%d/a?b=c HTTP/1.1\r\nUser-Agent: Java/17\r\nHost: 127.0.0.1:%d\r\n%b"
        b"Proxy-Connection: keep-alive\r\n\r\n"
    ) % (port, port, lines)


def post(port: int) -> bytes:
    return (
        b"POST http://127.0.0.1:%d/a HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 4\r\n"
        b"Proxy-Connection: keep-alive\r\n\r\nbody"
    ) % (port, port)


def named(port: int) -> bytes:
    """An instance that says who it is."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(port)), port)


@pytest.fixture
async def peers() -> AsyncIterator[list[ScriptedPeer]]:
    """Three instances that answer with their port."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(_saying_its_port()) for _ in range(3)]


def _saying_its_port() -> ScriptedPeer:
    peer = ScriptedPeer()

    async def script(talk: Talk) -> None:
        await answering(named(peer.port))(talk)

    peer.scripts = (script,)
    return peer


async def shared(stack: MakeStack, peers: list[ScriptedPeer], *, forward: bool = False, **sections: object) -> Stack:
    """The shared listener in front of them."""
    proxy = stack(**sections)
    proxy.share(forward=forward)
    await proxy.open(*(peer.port for peer in peers))
    return proxy


async def by(app: Talk, request: bytes) -> int:
    """The port of the instance that answered."""
    answer = await ask(app, request)
    assert answer.status == 200, answer
    return int(answer.body)


async def test_the_instance_that_the_app_chose_is_asked(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """While it is available, of whatever method, with an absolute target or by `Host` alone: no rescue, no detour."""
    proxy = await shared(stack, peers)
    async with proxy.app() as app:
        for peer in (*peers, *peers):
            origin_form = b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % peer.port
            for request in (get(peer.port), post(peer.port), origin_form):
                assert await by(app, request) == peer.port
    assert {record.rescued_by for record in proxy.records} == {None}
    assert proxy.cluster.stats.by_address == 18
    assert proxy.runtime.stats.unrouted.by_address == 0


@pytest.mark.http("H-12", "H-62")
async def test_the_instance_sees_an_ordinary_request(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """Origin-form, `Host` as the app wrote it in the target; nothing that was meant for a proxy goes on."""
    proxy = await shared(stack, peers)
    async with proxy.app() as app:
        await by(app, get(peers[0].port, b"Proxy-Authorization: Basic c2VjcmV0", b"X-B3: 1"))
    (request,) = peers[0].requests
    assert request.startswith(b"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % peers[0].port)
    assert b"X-B3: 1\r\n" in request
    assert b"proxy" not in request.lower()


async def test_a_call_to_one_that_left_is_carried_to_one_that_lives(
    stack: MakeStack, peers: list[ScriptedPeer]
) -> None:
    """GET and POST, for as long as its address is remembered; counted and told as rescued by `address`."""
    first, *others = peers
    proxy = await shared(stack, peers)
    proxy.list(*(peer.port for peer in others))
    await first.close()
    async with proxy.app() as app:
        for request in (get(first.port), post(first.port)):
            assert await by(app, request) in {peer.port for peer in others}
    assert [record.rescued_by for record in proxy.records] == ["address", "address"]
    assert [record.attempts for record in proxy.records] == [1, 1]
    assert proxy.records[0].authority == first.address
    assert proxy.records[0].endpoint in {peer.address for peer in others}
    assert proxy.cluster.stats.rescued == {"address": 2}
    rescue = next(event for event in proxy.events if isinstance(event, Rescue))
    assert (rescue.by, rescue.dialled) == ("address", first.address)
    assert rescue.endpoint in {peer.address for peer in others}


async def test_one_that_is_listed_and_out_of_use_is_not_asked(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """Weight 0 is an order; whoever refuses is out after the first call that met it, which is rescued by its retry."""
    switched_off, refusing, well = peers
    proxy = await shared(stack, peers)
    instances = tuple(Instance("127.0.0.1", peer.port, weight=float(peer is not switched_off)) for peer in peers)
    proxy.cluster.apply(Push("orders", instances, Origin.STATIC, sequence=1), proxy.now)
    await refusing.close()
    async with proxy.app() as app:
        for port in (switched_off.port, refusing.port, refusing.port, well.port):
            await by(app, get(port))
    words = [record.rescued_by for record in proxy.records]
    assert words[-2:] == ["address", None]
    assert set(words[:2]) <= {"address", "retry"}


async def test_an_address_that_nobody_ever_had_is_refused(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """502 with the reason, counted under no service; a name that is none of ours, too."""
    proxy = await shared(stack, peers)
    for request in (get(free_port()), get(free_port()).replace(b"127.0.0.1", b"billing")):
        async with proxy.app() as app:
            answer = await ask(app, request)
            assert (answer.status, answer.error) == (502, "NR no_service attempts=0")
    assert proxy.runtime.stats.unrouted.requests == {(502, "NR"): 2}


async def test_one_that_was_forgotten_is_refused(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """The memory of an address ends."""
    first, *others = peers
    proxy = await shared(stack, peers)
    proxy.list(*(peer.port for peer in others))
    proxy.addresses.memory = 0.0
    async with proxy.app() as app:
        assert (await ask(app, get(first.port))).status == 502


async def test_with_nobody_left_the_call_waits(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """For whoever comes next, at another port: the only instance moved."""
    first, second, _ = peers
    proxy = await shared(stack, [first])
    await first.close()
    async with proxy.app() as app:
        await app.send(post(first.port))
        await until(lambda: proxy.cluster.waiting == 1)
        proxy.list(second.port)
        answer = await read(app)
        assert (answer.status, answer.body) == (200, b"%d" % second.port)
    assert proxy.records[-1].rescued_by in {"retry", "wait"}
    assert second.requests[0].endswith(b"\r\n\r\nbody")


# While lists are to come


def soon(seconds: float = 60.0) -> WaitForInstance:
    return WaitForInstance(timeout=seconds)


async def test_an_address_is_waited_for_while_lists_are_to_come(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """After a start nobody knows yet whose it is; a request that follows on the same connection is kept, too."""
    proxy = await shared(stack, [], wait_for_instance=soon())
    async with proxy.app() as app:
        await app.send(post(peers[0].port), get(peers[1].port))
        await asyncio.sleep(0.2)
        assert proxy.records == []
        proxy.list(*(peer.port for peer in peers))
        assert [int((await read(app)).body) for _ in range(2)] == [peers[0].port, peers[1].port]
    assert peers[0].requests[0].endswith(b"\r\n\r\nbody")


async def test_a_long_body_is_not_read_meanwhile(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """What came with the head is kept within the bound for pipelined bytes; then all of it arrives."""
    proxy = await shared(stack, [], wait_for_instance=soon())
    size = 3_000_000
    async with proxy.app() as app:
        head = post(peers[0].port).removesuffix(b"body").replace(b"Length: 4", b"Length: %d" % size)
        sending = begin(app.send(head, b"x" * size))
        (connection,) = await connections(proxy)
        await until(lambda: len(connection._held) > MAX_PIPELINED)
        await asyncio.sleep(0.2)
        assert len(connection._held) < size / 4
        proxy.list(peers[0].port)
        assert (await read(app)).status == 200
        await sending
    assert len(peers[0].requests[0]) > size


async def connections(proxy: Stack) -> list[AppConnection]:
    """Those that are open, once there is one."""
    await until(lambda: len(proxy.runtime.connections) > 0)
    return [cast("AppConnection", one) for one in proxy.runtime.connections]


async def test_an_app_that_ended_its_side_is_answered_all_the_same(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """Its request was complete."""
    proxy = await shared(stack, [], wait_for_instance=soon())
    async with proxy.app() as app:
        await app.send(get(peers[0].port))
        app.half_close()
        await asyncio.sleep(0.2)
        proxy.list(peers[0].port)
        assert (await read(app)).status == 200
        assert await app.until_closed() == b""


async def test_a_reload_may_say_whose_it_is_and_the_connection_serves_on(
    stack: MakeStack, peers: list[ScriptedPeer]
) -> None:
    """The port is handed to a service of its own meanwhile: this request is answered there, and so is the next."""
    proxy = await shared(stack, [], wait_for_instance=soon())
    async with proxy.app() as app:
        await app.send(get(free_port()))
        (connection,) = await connections(proxy)
        await until(lambda: bool(connection._held))
        proxy.cluster.apply(Push("orders", (Instance("127.0.0.1", peers[0].port),), Origin.STATIC), proxy.now)
        proxy.listener.entrance = OwnEntrance(proxy.upstream)
        assert int((await read(app)).body) == peers[0].port
        assert await by(app, get(free_port())) == peers[0].port


async def test_it_is_not_waited_for_longer_than_for_an_instance(stack: MakeStack) -> None:
    """`wait_for_instance.timeout`; then it is nobody's."""
    proxy = await shared(stack, [], wait_for_instance=soon(0.3))
    async with proxy.app() as app:
        began = proxy.now
        assert (await ask(app, get(free_port()))).error == "NR no_service attempts=0"
        assert proxy.now - began >= 0.29  # timers of uvloop count in milliseconds


async def test_an_app_that_leaves_meanwhile_leaves_nothing_behind(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """No instance sees its request."""
    proxy = await shared(stack, [], wait_for_instance=soon())
    async with proxy.app() as app:
        await app.send(get(peers[0].port))
        await asyncio.sleep(0.1)
        app.reset()
    await until(lambda: len(proxy.runtime.connections) == 0)
    proxy.list(peers[0].port)
    await asyncio.sleep(0.1)
    assert peers[0].requests == []


async def test_names_and_all_once_the_lists_are_in_are_not_waited_for(stack: MakeStack) -> None:
    """Only an address can be an instance's, and only a list that is missing, or from disk, can still say so."""
    proxy = stack()
    unnamed = Unnamed(proxy.addresses, {"orders": proxy.upstream}, now=proxy.now)
    assert unnamed.may_learn(b"10.0.0.1:8080", proxy.now)
    assert unnamed.may_learn(b"[2001:db8::1]:8080", proxy.now)
    assert not unnamed.may_learn(b"billing:8080", proxy.now)
    assert not unnamed.may_learn(b"10.0.0.1:8080", proxy.now + LEARNS_FOR)
    proxy.cluster.apply(Push("orders", (Instance("127.0.0.1", 1),), Origin.DISK, sequence=1), proxy.now)
    assert unnamed.may_learn(b"10.0.0.1:8080", proxy.now)
    proxy.cluster.apply(Push("orders", (Instance("127.0.0.1", 1),), Origin.NACOS, epoch=1, sequence=2), proxy.now)
    assert not unnamed.may_learn(b"10.0.0.1:8080", proxy.now)
    assert repr(unnamed).startswith("<Unnamed refused, <Addresses 1")


# Sent on


async def test_what_is_nobodys_is_sent_on_where_that_is_wanted(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """An absolute target only: a bare `Host` does not take us for a proxy."""
    ours, *others = peers
    proxy = await shared(stack, [ours], forward=True)
    async with proxy.app() as app:
        assert await by(app, get(others[0].port)) == others[0].port
        assert await by(app, get(ours.port)) == ours.port
        assert (await ask(app, b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % others[0].address.encode())).status == 502


def head(text: bytes) -> RequestHead:
    found = read_request(text, ServicePolicy("-").limits)
    assert found is not None
    return found


async def test_only_an_app_beside_us_is_served(stack: MakeStack) -> None:
    """A peer off loopback, or one that is gone, gets nothing sent on."""
    proxy = stack()
    proxy.share(forward=True)
    unnamed = proxy.listener.entrance.unnamed
    assert unnamed is not None
    request = head(get(80))
    with socket.socket() as gone:
        assert unnamed.beyond(request, gone) is None
    assert unnamed.beyond(request, _Peer("10.0.0.7")) is None  # type: ignore[arg-type]
    assert unnamed.beyond(request, _Peer("127.0.0.1")) is not None  # type: ignore[arg-type]
    assert unnamed.beyond(request, _Peer("::1")) is not None  # type: ignore[arg-type]


class _Peer:
    def __init__(self, host: str) -> None:
        self._host = host

    def getpeername(self) -> tuple[str, int]:
        return self._host, 40000


@pytest.mark.parametrize(
    "target", [b"http://user@127.0.0.1:80/", b"https://127.0.0.1:80/", b"http://:80/", b"http:///", b"127.0.0.1:80"]
)
def test_other_targets_are_no_requests(target: bytes) -> None:
    """Whatever is wanted of what is nobody's."""
    with pytest.raises(BadMessage):
        head(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)


async def test_many_apps_at_once_reach_whom_they_chose(stack: MakeStack, peers: list[ScriptedPeer]) -> None:
    """Pooled connections are not mixed up."""
    proxy = await shared(stack, peers)

    async def app(number: int) -> list[bool]:
        async with connected(proxy.port) as talk:
            ports = [peers[(number + turn) % 3].port for turn in range(30)]
            return [await by(talk, get(port)) == port for port in ports]

    results = await asyncio.gather(*(begin(app(number)) for number in range(10)))
    assert all(all(result) for result in results)
