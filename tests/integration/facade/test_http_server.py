"""The HTTP face: what passes, and what does not."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sidecar.facade import http_server
from sidecar.facade.http1 import LARGEST_HEAD
from sidecar.facade.http_server import PROTOCOL
from tests.support.facade_stage import Stage, registry_of, stage
from tests.support.http_client import request
from tests.support.ports import free_port
from tests.support.scripted_peer import ScriptedPeer, Talk, answering, connected, hanging
from tests.support.until import settled, until

Script = Callable[[Talk], Awaitable[None]]


@asynccontextmanager
async def before(*scripts: Script) -> AsyncIterator[tuple[Stage, ScriptedPeer]]:
    """A façade whose only server is scripted."""
    async with stage() as facade, ScriptedPeer(*scripts) as peer:
        facade.facade.stand_for(registry_of(peer.address))
        yield facade, peer


async def exchanged(facade: Stage, sent: bytes) -> bytes:
    """All that the app gets for what it sends, until the end."""
    async with connected(facade.port) as app:
        await app.send(sent)
        return await app.until_closed()


async def test_a_request_of_any_kind_passes_with_its_body_to_the_byte() -> None:
    """Method, target, fields in their order and case, and every byte of a body; hop-by-hop fields are made anew."""
    body = bytes(range(256)) * 400
    head = b"POST /nacos/v1/cs/configs?dataId=%20x&x=a+b HTTP/1.1\r\nHOST: nacos\r\nx-A: 1\r\nX-a: 2\r\n"
    async with before(answering(b"HTTP/1.1 200 Fine\r\nContent-Length: 4\r\nx-Mine: 1\r\n\r\ntrue")) as (facade, peer):
        got = await exchanged(facade, head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert peer.requests == [head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body]
    assert got == b"HTTP/1.1 200 Fine\r\nContent-Length: 4\r\nx-Mine: 1\r\nConnection: close\r\n\r\ntrue"
    assert facade.stats.facade_requests == {(PROTOCOL, "passed"): 1}


async def test_a_body_of_unknown_length_passes_both_ways() -> None:
    """Chunked there and chunked back, and the connection is used again."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"1\r\nd\r\n0\r\n\r\n")

    asked = b"PUT /x HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    async with before(script) as (facade, peer), connected(facade.port) as app:
        for _ in range(2):
            await app.send(asked)
            head = await app.head()
            assert head == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            assert await app.body(head) == b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
        assert [one.endswith(b"2\r\nhi\r\n0\r\n\r\n") for one in peer.requests] == [True, True]


async def test_an_answer_as_long_as_its_connection_passes() -> None:
    """In chunks to a client of 1.1, as it came to one of 1.0."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    async with before(script) as (facade, _):
        new = await exchanged(facade, b"GET / HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n")
        old = await exchanged(facade, b"GET / HTTP/1.0\r\n\r\n")
    assert new.endswith(b"9\r\nall of it\r\n0\r\n\r\n")
    assert old == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"


async def test_a_head_alone_has_no_body() -> None:
    """Its length is the body's that it does not have, and the next request is answered."""
    async with (
        before(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")) as (facade, _),
        connected(facade.port) as app,
    ):
        for _ in range(2):
            await app.send(b"HEAD / HTTP/1.1\r\nHost: n\r\n\r\n")
            assert await app.head() == b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"


async def test_an_answer_that_is_not_http_passes_as_it_came() -> None:
    """2.3.2 answers a wrong password with status 0."""
    odd = b"HTTP/1.1 0 \r\nContent-Length: 3\r\n\r\nbad"

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(odd)

    async with before(script) as (facade, _):
        assert await exchanged(facade, b"POST /login HTTP/1.1\r\nHost: n\r\nContent-Length: 0\r\n\r\n") == odd


async def test_a_cut_answer_is_cut_for_the_app_too() -> None:
    """It must not be taken for a whole one."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal")

    async with before(script) as (facade, _):
        got = await exchanged(facade, b"GET / HTTP/1.1\r\nHost: n\r\n\r\n")
        assert b"Content-Length: 9" in got or not got
        assert not got.endswith(b"0\r\n\r\n")
        assert facade.stats.facade_requests == {(PROTOCOL, "failed"): 1}


async def test_a_server_that_gives_no_answer_may_have_done_it() -> None:
    """Which is said, and not tried elsewhere."""

    async def script(talk: Talk) -> None:
        await talk.request()

    async with before(script) as (facade, peer):
        answer = await request(facade.port, "POST", "/nacos/v1/cs/configs")
        assert (answer.status, answer.body) == (502, b"sidecar: the Nacos server gave no answer\n")
        assert len(peer.requests) == 1


async def test_a_redirect_to_the_server_itself_leads_back_to_us() -> None:
    """And one to elsewhere goes there."""
    peer = ScriptedPeer()
    async with peer, stage() as facade:
        facade.facade.stand_for(registry_of(peer.address))
        peer.scripts = (
            answering(b"HTTP/1.1 302 F\r\nLocation: http://%b/x\r\nContent-Length: 0\r\n\r\n" % peer.address.encode()),
            answering(b"HTTP/1.1 302 F\r\nLocation: http://other/x\r\nContent-Length: 0\r\n\r\n"),
        )
        assert (await request(facade.port)).headers["location"] == f"http://127.0.0.1:{facade.port}/x"
        assert (await request(facade.port)).headers["location"] == "http://other/x"


async def test_an_app_that_leaves_ends_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that would answer in half a minute is not waited for."""
    monkeypatch.setattr(http_server, "HALF_CLOSED", 0.5)
    async with before(hanging) as (facade, peer):
        async with connected(facade.port) as app:
            await app.send(b"GET / HTTP/1.1\r\nHost: n\r\n\r\n")
            await settled(lambda: len(peer.talks) == 1)
        await settled(peer.talks[0].reader.at_eof)
        await settled(lambda: not len(facade.facade))


async def test_an_app_that_ends_its_side_gets_its_answer() -> None:
    """It has said all that it had to say."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await asyncio.sleep(http_server.WATCHED * 2)
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with before(script) as (facade, _), connected(facade.port) as app:
        await app.send(b"GET / HTTP/1.1\r\nHost: n\r\n\r\n")
        app.half_close()
        assert (await app.until_closed()).endswith(b"ok")


async def test_a_body_is_sent_for_when_the_app_wants_to_be_asked() -> None:
    """We take it, and pass it on."""
    async with before() as (facade, peer), connected(facade.port) as app:
        await app.send(b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert await app.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await app.send(b"body")
        assert (await app.head()).startswith(b"HTTP/1.1 200")
        assert peer.requests[0].endswith(b"\r\n\r\nbody")


async def test_the_only_server_is_the_facade() -> None:
    """For clients that ask an address server: by whatever name they came."""
    async with stage() as facade:
        answer = await request(facade.port, path="/nacos/serverlist", headers={"Host": "nacos.local:8848"})
    assert (answer.status, answer.body) == (200, b"nacos.local:8848\n")


async def test_without_a_server_requests_fail_honestly() -> None:
    """But that for health, since lists are answered."""
    async with stage() as facade:
        facade.facade.stand_for(registry_of(f"127.0.0.1:{free_port()}"))
        failed = await request(facade.port, "POST", "/nacos/v1/ns/instance?serviceName=mine&ip=1.1.1.1&port=1")
        assert (failed.status, b"no Nacos server" in failed.body) == (503, True)
        health = await request(facade.port, path="/nacos/v1/ns/operator/metrics")
        assert json.loads(health.body) == {"status": "UP"}


async def test_the_app_takes_itself_back_by_form() -> None:
    """The body is read for that, and passes."""
    async with stage() as facade:
        facade.believe(8001)
        form = b"serviceName=orders&ip=127.0.0.1&port=8001&ephemeral=false"
        fields = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await request(facade.port, "POST", "/nacos/v1/ns/instance", body=form, headers=fields)
        assert (answer.status, answer.body) == (200, b"ok")
        assert [one.port for one in facade.registry.instances("orders")] == [8001]
        await request(facade.port, "DELETE", f"/nacos/v1/ns/instance?{form.decode()}")
        assert next(iter(facade.facade.offers)).withdrawn == {"127.0.0.1:8001": None}

        async def gone() -> bool:
            listed = await request(facade.port, path="/nacos/v1/ns/instance/list?serviceName=orders")
            return not json.loads(listed.body)["hosts"]

        await until(gone)


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"])
async def test_what_is_no_request_is_refused(sent: bytes) -> None:
    """In words, and the connection ends."""
    async with stage() as facade:
        got = await exchanged(facade, sent)
    assert got.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))


async def test_connections_are_counted(facade: Stage) -> None:
    """While they are open."""
    async with connected(facade.port):
        await settled(lambda: facade.stats.facade_connections[PROTOCOL] == 1)
        assert len(facade.facade) == 1
    await settled(lambda: facade.stats.facade_connections[PROTOCOL] == 0)


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /nacos/v1/ns/instance HTTP/1.1",
        b"GET /nacos/v1/ns/instance/list?serviceName=orders HTTP/1.1",
        b"POST /nacos/v1/cs/configs HTTP/1.1",
    ],
)
async def test_a_request_whose_rest_does_not_come_is_given_up(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is about: it would keep its connection for ever, and the one to the server; whose fault it is is said."""
    monkeypatch.setattr(http_server, "PATIENCE", 0.2)
    async with before(hanging) as (facade, _):
        got = await exchanged(facade, begun + b"\r\nHost: n\r\nContent-Length: 9\r\n\r\nhal")
        await settled(lambda: len(facade.facade) == 0)
    assert got.startswith(b"HTTP/1.1 400 ")


async def test_a_body_that_cannot_be_read_is_the_apps_fault() -> None:
    """Though its head is on the way to a server; it is not told that the server gave no answer."""
    begun = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.head()
        begun.set()
        await talk.until_closed()

    async with before(script) as (facade, _), connected(facade.port) as app:
        await app.send(b"POST /x HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n")
        await begun.wait()
        await app.send(b"zz\r\n")
        assert (await app.until_closed()).startswith(b"HTTP/1.1 400 ")


async def test_a_head_without_an_end_is_not_kept() -> None:
    """What came of it passes while more comes, like every answer that cannot be read."""
    odd = b"HTTP/1.1 200 OK\r\nX: " + b"y" * (LARGEST_HEAD * 3)

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(odd)
        await talk.until_closed()

    async with before(script) as (facade, _), connected(facade.port) as app:
        await app.send(b"GET / HTTP/1.1\r\nHost: n\r\n\r\n")
        assert await app.reader.readexactly(len(odd)) == odd
