"""TLS to instances, on the wire: a real OpenSSL on the other side, both versions, both loops."""

import asyncio
import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.events import EndpointQuarantined
from sidecar.cluster.instance import Instance
from sidecar.cluster.policy import Protocol, Retry, Timeouts, Tls, WaitForInstance
from sidecar.errors import FAILURES
from sidecar.proxy import connect
from sidecar.proxy.sockets import reset_on_close
from sidecar.proxy.tls import TlsTransport
from sidecar.proxy.trust import Trust
from tests.support.certificates import Authority
from tests.support.scripted_peer import OK, ScriptedPeer, Talk, hanging
from tests.support.stack import GET, POST, MakeStack, ask, asked_on_after_a_reset, begin, call, until
from tests.support.tls_instance import TLS12, TLS13, TlsInstance, Visit, server_context
from tests.support.until import PATIENCE

BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
AT_ONCE = WaitForInstance(timeout=0.0)


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


# Calls


@BOTH
async def test_one_handshake_serves_many_requests(stack: MakeStack, ca: Authority, version: ssl.TLSVersion) -> None:
    """Connections are pooled: further requests, POSTs as well, use the first one's."""
    with TlsInstance(server_context(ca.issue("127.0.0.1"), version=version)) as instance:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        async with proxy.app() as app:
            for request in (GET, POST, GET, POST):
                assert (await ask(app, request)).body == b"ok"
        assert len(instance.visits) == 1
        assert [request.partition(b" ")[0] for request in instance.requests] == [b"GET", b"POST", b"GET", b"POST"]


@BOTH
async def test_an_instance_learns_who_we_are(stack: MakeStack, ca: Authority, version: ssl.TLSVersion) -> None:
    """A certificate of ours is shown where one is asked for."""
    ours = ca.issue("sidecar")
    with TlsInstance(server_context(ca.issue("127.0.0.1"), clients=ca, version=version)) as instance:
        proxy = stack(tls=Tls(ca.file, ours.cert_file, ours.key_file))
        await proxy.open(instance.port)
        assert (await call(proxy, POST)).status == 200
        assert ("DNS", "sidecar") in (instance.visits[0].conn.getpeercert() or {})["subjectAltName"]


async def test_an_instance_is_asked_for_by_its_name(stack: MakeStack, ca: Authority) -> None:
    """`server_name` is what the certificate has to be for, and goes out as SNI."""
    asked: list[str | None] = []
    context = server_context(ca.issue("orders.internal"))
    context.sni_callback = lambda _ssl, name, _context: asked.append(name)
    with TlsInstance(context) as instance:
        proxy = stack(tls=Tls(ca_file=ca.file, server_name="orders.internal"))
        await proxy.open(instance.port)
        assert (await call(proxy)).status == 200
        assert set(asked) == {"orders.internal"}


async def test_a_name_in_a_static_list_is_what_the_certificate_is_for(ca: Authority) -> None:
    """Not the address that it resolves to."""
    with TlsInstance(server_context(ca.issue("localhost"))) as instance:
        trust = Trust(Tls(ca_file=ca.file))
        trust.read()
        named = Endpoint(Instance("127.0.0.1", instance.port, name="localhost"), 0.0)
        unnamed = Endpoint(Instance("127.0.0.1", instance.port), 0.0)
        assert await connect.probe("127.0.0.1", instance.port, PATIENCE, trust.towards(named)) is None
        failure = await connect.probe("127.0.0.1", instance.port, PATIENCE, trust.towards(unnamed))
        assert failure is not None
        assert failure.reason == "tls"


async def test_a_certificate_may_be_trusted_by_itself(stack: MakeStack, ca: Authority) -> None:
    """`ca_file` need not hold a root: what stands in it is trusted."""
    own = ca.issue("127.0.0.1")
    with TlsInstance(server_context(own)) as instance:
        proxy = stack(tls=Tls(ca_file=own.cert_file))
        await proxy.open(instance.port)
        assert (await call(proxy)).status == 200


@BOTH
async def test_large_bodies_pass_both_ways(stack: MakeStack, ca: Authority, version: ssl.TLSVersion) -> None:
    """8 MB up and the same 8 MB down, over many records, to an app that reads at leisure."""
    body = bytes(range(256)) * 32 * 1024

    def echo(visit: Visit) -> None:
        while request := visit.request():
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + request.partition(b"\r\n\r\n")[2])

    with TlsInstance(server_context(ca.issue("127.0.0.1"), version=version), echo) as instance:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        async with proxy.app() as app:
            sending = begin(
                app.send(b"POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            )
            head = await app.head()
            assert head.startswith(b"HTTP/1.1 200")
            assert await app.body(head) == body
            await sending
        assert proxy.runtime.replay_bytes == 0


@BOTH
async def test_an_answer_ahead_of_a_reset_is_read(stack: MakeStack, ca: Authority, version: ssl.TLSVersion) -> None:
    """An instance that refuses a body resets at the next byte of it; its answer waits in the kernel, encrypted."""
    go = threading.Event()

    def refuse(visit: Visit) -> None:
        visit.conn.recv(65536)
        go.wait(PATIENCE)
        visit.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or it may wait for one, and is thrown away
        visit.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        reset_on_close(visit.conn)
        visit.conn.close()

    with TlsInstance(server_context(ca.issue("127.0.0.1"), version=version), refuse) as instance:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        async with proxy.app() as app:
            await app.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n" + b"x" * 1000)
            answer = await asked_on_after_a_reset(proxy, app, go.set)
            assert (answer.status, answer.body) == (413, b"no")


@BOTH
@pytest.mark.parametrize("protocol", [Protocol.HTTP1, Protocol.TCP])
async def test_what_follows_a_broken_record_is_nobodys_answer(
    stack: MakeStack, ca: Authority, version: ssl.TLSVersion, protocol: Protocol
) -> None:
    """Whoever is on the way may add bytes to a connection, and none of them may pass for the instance's."""
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    def tamper(visit: Visit) -> None:
        visit.conn.recv(65536)
        with socket.socket(fileno=visit.conn.detach()) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"?" * 32)
            with contextlib.suppress(OSError):
                for _ in range(200):
                    raw.sendall(forged)

    with TlsInstance(server_context(ca.issue("127.0.0.1"), version=version), tamper) as instance:
        proxy = stack(protocol=protocol, tls=Tls(ca_file=ca.file), retry=Retry(retry_on=frozenset()))
        await proxy.open(instance.port)
        for _ in range(10):
            async with proxy.app() as app:
                await app.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                with contextlib.suppress(ConnectionError):
                    while data := await app.reader.read(65536):
                        assert b"forged" not in data


# Handshakes that fail


def _wrong_authority(folder: Path, ca: Authority) -> tuple[ssl.SSLContext, Tls]:
    return server_context(Authority(folder, "other").issue("127.0.0.1")), Tls(ca_file=ca.file)


def _wrong_name(_: Path, ca: Authority) -> tuple[ssl.SSLContext, Tls]:
    return server_context(ca.issue("127.0.0.1")), Tls(ca_file=ca.file, server_name="orders.internal")


def _wrong_address(_: Path, ca: Authority) -> tuple[ssl.SSLContext, Tls]:
    return server_context(ca.issue("orders.internal")), Tls(ca_file=ca.file)


def _expired(_: Path, ca: Authority) -> tuple[ssl.SSLContext, Tls]:
    return server_context(ca.issue("127.0.0.1", expired=True)), Tls(ca_file=ca.file)


def _nothing_to_show(version: ssl.TLSVersion) -> "Setting":
    return lambda _, ca: (server_context(ca.issue("127.0.0.1"), clients=ca, version=version), Tls(ca_file=ca.file))


def _nothing_that_counts(version: ssl.TLSVersion) -> "Setting":
    def setting(folder: Path, ca: Authority) -> tuple[ssl.SSLContext, Tls]:
        ours = Authority(folder, "other").issue("sidecar")
        context = server_context(ca.issue("127.0.0.1"), clients=ca, version=version)
        return context, Tls(ca.file, ours.cert_file, ours.key_file)

    return setting


Setting = Callable[[Path, Authority], tuple[ssl.SSLContext, Tls]]

FAULTS: dict[str, tuple[Setting, str]] = {
    "authority": (_wrong_authority, "from an authority that is not trusted: name that one in tls.ca_file"),
    "name": (_wrong_name, "is not for orders.internal: set tls.server_name"),
    "address": (_wrong_address, "is not for 127.0.0.1: set tls.server_name"),
    "expired": (_expired, "has expired: renew it"),
    "no certificate, 1.2": (_nothing_to_show(TLS12), "wants a certificate of ours (tls.cert_file)"),
    "no certificate, 1.3": (_nothing_to_show(TLS13), "wants to know us by a certificate: set tls.cert_file"),
    "unknown certificate, 1.2": (_nothing_that_counts(TLS12), "does not accept our certificate"),
    "unknown certificate, 1.3": (_nothing_that_counts(TLS13), "does not accept our certificate"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failed_handshake_says_why(stack: MakeStack, tmp_path: Path, ca: Authority, fault: str) -> None:
    """503 for a POST too, since nothing of it was read; out of rotation, and the event says what to do."""
    setting, cause = FAULTS[fault]
    context, tls = setting(tmp_path, ca)
    with TlsInstance(context) as instance:
        proxy = stack(tls=tls, wait_for_instance=AT_ONCE)
        await proxy.open(instance.port)
        answer = await call(proxy, POST)
        assert (answer.status, answer.error) == (503, f"UF tls 127.0.0.1:{instance.port} attempts=1")
        assert instance.requests == []
        (event,) = [event for event in proxy.events if isinstance(event, EndpointQuarantined)]
        assert event.reason == "tls"
        assert cause in (event.cause or "")
        await until(lambda: proxy.cluster.stats.probes["tls"] > 0)
        assert repr(proxy.cluster) == "<Cluster orders: 1 quarantined>"
    assert proxy.cluster.stats.attempts["tls"] == 1
    assert not proxy.cluster.stats.probes["ok"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_calls_go_to_whom_we_can_shake_hands_with(
    stack: MakeStack, tmp_path: Path, ca: Authority, fault: str
) -> None:
    """With another instance at hand nobody sees the failure, whatever the method."""
    setting, _ = FAULTS[fault]
    context, tls = setting(tmp_path, ca)
    with (
        TlsInstance(context) as bad,
        TlsInstance(server_context(ca.issue("127.0.0.1", "orders.internal"))) as good,
    ):
        proxy = stack(tls=tls)
        await proxy.open(bad.port, good.port)
        async with proxy.app() as app:
            for request in (POST, GET, POST, GET):
                assert (await ask(app, request)).status == 200
        assert len(good.requests) == 4
        assert bad.requests == []
    assert proxy.cluster.stats.attempts["tls"] == 1
    assert proxy.cluster.stats.retries == {"connect_failure": 1}


async def test_a_long_upload_that_is_turned_away_is_not_sent_in_part_elsewhere(stack: MakeStack, ca: Authority) -> None:
    """TLS 1.3 may say no after the beginning of a body has gone, which no buffer holds any more."""
    size = 4 * 1024 * 1024
    with (
        TlsInstance(server_context(ca.issue("127.0.0.1"), clients=ca, version=TLS13)) as strict,
        TlsInstance(server_context(ca.issue("127.0.0.1"))) as other,
    ):
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(strict.port, other.port)
        statuses = []
        for _ in range(2):
            async with proxy.app() as app:
                sending = begin(
                    app.send(b"PUT /a HTTP/1.1\r\nHost: orders\r\nContent-Length: %d\r\n\r\n" % size, bytes(size))
                )
                head = await asyncio.wait_for(app.head(), PATIENCE)
                statuses.append(head[9:12])
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        assert all(len(request) > size for request in other.requests)
        assert statuses.count(b"200") == len(other.requests) >= 1


async def test_unverified_means_anybody(stack: MakeStack, tmp_path: Path, ca: Authority) -> None:
    """`verify: false` takes an unknown authority, a wrong name and a certificate that has expired."""
    with TlsInstance(server_context(Authority(tmp_path, "other").issue("elsewhere", expired=True))) as instance:
        proxy = stack(tls=Tls(verify=False))
        await proxy.open(instance.port)
        assert (await call(proxy)).status == 200


async def test_a_plain_instance_is_a_failed_handshake(stack: MakeStack, ca: Authority) -> None:
    """It answers 400 to a handshake, and hears nothing of the request."""

    async def puzzled(talk: Talk) -> None:
        await talk.reader.read(1)
        await talk.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    async with ScriptedPeer(puzzled) as peer:
        proxy = stack(tls=Tls(ca_file=ca.file), wait_for_instance=AT_ONCE)
        await proxy.open(peer.port)
        answer = await call(proxy)
        assert (answer.status, answer.error) == (503, f"UF tls 127.0.0.1:{peer.port} attempts=1")
        (event,) = [event for event in proxy.events if isinstance(event, EndpointQuarantined)]
        assert "does not speak TLS on this port" in (event.cause or "")


async def test_an_instance_that_hangs_up_in_the_handshake_is_one_like_others(stack: MakeStack, ca: Authority) -> None:
    """It accepted and went away: nothing was sent, the call goes elsewhere."""

    async def leaving(talk: Talk) -> None:
        await talk.reader.read(1)

    async with ScriptedPeer(leaving) as peer:
        with TlsInstance(server_context(ca.issue("127.0.0.1"))) as good:
            proxy = stack(tls=Tls(ca_file=ca.file))
            await proxy.open(peer.port, good.port)
            assert [(await call(proxy, POST)).status for _ in range(2)] == [200, 200]
        (event,) = [event for event in proxy.events if isinstance(event, EndpointQuarantined)]
        assert (event.reason, event.cause) == (
            "tls",
            "the instance hung up during the handshake: does it speak TLS on this port?",
        )


async def test_a_handshake_that_takes_too_long_is_a_connect_that_does(stack: MakeStack, ca: Authority) -> None:
    """`timeouts.connect` bounds both together, as it does a probe."""
    async with ScriptedPeer(hanging) as peer:
        proxy = stack(tls=Tls(ca_file=ca.file), timeouts=Timeouts(connect=0.2), wait_for_instance=AT_ONCE)
        await proxy.open(peer.port)
        answer = await call(proxy)
        assert (answer.status, answer.error) == (503, f"UF connect_timeout 127.0.0.1:{peer.port} attempts=1")
        endpoint = Endpoint(Instance("127.0.0.1", peer.port), 0.0)
        assert proxy.trust is not None
        failure = await connect.probe("127.0.0.1", peer.port, 0.2, proxy.trust.towards(endpoint))
        assert failure is FAILURES["connect_timeout"]


async def test_an_app_that_leaves_during_the_handshake_leaves_nothing_behind(stack: MakeStack, ca: Authority) -> None:
    """The dial is given up, and so is its connection."""
    async with ScriptedPeer(hanging) as peer:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(peer.port)
        async with proxy.app() as app:
            await app.send(GET)
            await until(lambda: bool(peer.talks))
            app.reset()
        await until(lambda: peer.talks[0].reader.at_eof() or peer.talks[0].reader.exception() is not None)
        assert proxy.cluster.stats.instance_connections == 0


async def test_an_instance_that_is_mended_is_back(stack: MakeStack, ca: Authority) -> None:
    """A probe is a handshake: it keeps an instance out that only accepts, and lets it in again."""
    with TlsInstance(server_context(ca.issue("127.0.0.1", expired=True))) as instance:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        calling = begin(call(proxy, POST))
        await until(lambda: proxy.cluster.stats.probes["tls"] > 1)
        instance.context = server_context(ca.issue("127.0.0.1"))
        assert (await calling).status == 200


# The end of a connection


UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"


@BOTH
@pytest.mark.http("H-46", "H-30")
async def test_an_answer_until_close_that_ends_by_close_notify_is_complete(
    stack: MakeStack, ca: Authority, version: ssl.TLSVersion
) -> None:
    """The instance itself says that this was all (RFC 9112 §9.8)."""

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(UNTIL_CLOSE)

    with TlsInstance(server_context(ca.issue("127.0.0.1"), version=version), script) as instance:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        assert (await call(proxy)).body == b"9\r\nall of it\r\n0\r\n\r\n"
        assert proxy.codes == [(200, "-")]


@BOTH
@pytest.mark.http("H-46", "H-37")
async def test_an_answer_until_close_that_ends_by_fin_alone_is_truncated(
    stack: MakeStack, ca: Authority, version: ssl.TLSVersion
) -> None:
    """Anyone on the way could have cut it: no last chunk, flag UC (RFC 9112 §9.8)."""

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(UNTIL_CLOSE)
        visit.cut()

    with TlsInstance(server_context(ca.issue("127.0.0.1"), version=version), script) as instance:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        async with proxy.app() as app:
            await app.send(GET)
            assert b"0\r\n\r\n" not in await app.until_closed()
        await until(lambda: proxy.codes == [(200, "UC")])


@BOTH
@pytest.mark.parametrize("orderly", [True, False], ids=["close_notify", "FIN alone"])
async def test_an_instance_that_closed_while_idle_costs_no_call(
    stack: MakeStack, ca: Authority, version: ssl.TLSVersion, *, orderly: bool
) -> None:
    """However it ended: the connection leaves the pool, the next request, a POST as well, has a new one."""

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(OK)
        visit.close() if orderly else visit.cut()

    with TlsInstance(server_context(ca.issue("127.0.0.1"), version=version), script) as instance:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        for number, request in enumerate((POST, GET, POST), start=1):
            assert (await call(proxy, request)).status == 200
            await until(lambda: not proxy.cluster.stats.instance_connections)
            assert len(instance.visits) == number
    assert proxy.cluster.stats.attempts == {"ok": 3}


async def test_a_connection_that_idled_too_long_is_closed_in_order(stack: MakeStack, ca: Authority) -> None:
    """The instance is told by close_notify that this was no attack (RFC 8446 §6.1)."""
    ends: list[bytes] = []

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(OK)
        ends.append(visit.conn.recv(1))  # raises on a bare FIN

    with TlsInstance(server_context(ca.issue("127.0.0.1")), script) as instance:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        assert (await call(proxy)).status == 200
        proxy.upstream.pool.keep_only(lambda _: False)
        await until(lambda: ends == [b""])


async def test_an_upload_that_the_app_broke_off_does_not_end_in_order(stack: MakeStack, ca: Authority) -> None:
    """No close_notify: the instance must not take what it got for all there was (RFC 9112 §8)."""
    ends: list[str] = []

    def script(visit: Visit) -> None:
        try:
            while visit.conn.recv(65536):
                pass
            ends.append("close_notify")
        except OSError as error:
            ends.append(type(error).__name__)

    with TlsInstance(server_context(ca.issue("127.0.0.1")), script) as instance:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        async with proxy.app() as app:
            await app.send(b"POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: 9\r\n\r\nhalf")
            await until(lambda: bool(instance.visits))
            app.reset()
        await until(lambda: bool(ends))
        assert ends != ["close_notify"]


# What is looked at before a connection is used again


class Still(asyncio.Protocol):
    """Reads nothing, so that what comes stays in the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.transport: TlsTransport
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TlsTransport)
        self.transport = transport
        transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set()

    def something_has_come(self) -> None:
        """Returns when the socket can be read from; the loop does not run meanwhile."""
        assert select.select([self.sock], [], [], PATIENCE)[0]


async def test_session_tickets_do_not_spoil_a_connection(ca: Authority) -> None:
    """TLS 1.3 sends them when it likes: not data, not an end. What comes after them is told from them."""
    go: list[Callable[[Visit], None]] = []
    said = asyncio.Event()
    loop = asyncio.get_running_loop()

    def script(visit: Visit) -> None:
        visit.conn.recv(1)
        go[0](visit)
        loop.call_soon_threadsafe(said.set)
        visit.until_closed()

    for then in (lambda visit: visit.send(b"unasked"), Visit.close, Visit.cut):
        go[:] = [then]
        said.clear()
        context = server_context(ca.issue("127.0.0.1"), version=TLS13)
        context.num_tickets = 1
        with TlsInstance(context, script) as instance:
            trust = Trust(Tls(ca_file=ca.file))
            trust.read()
            wrap = trust.towards(Endpoint(Instance("127.0.0.1", instance.port), 0.0))
            still = await connect.dial("127.0.0.1", instance.port, PATIENCE, Still, wrap)
            still.something_has_come()
            assert still.transport.still_silent()
            assert still.transport.still_silent()
            still.transport.write(b"!")
            await said.wait()
            still.something_has_come()
            assert not still.transport.still_silent()
            still.transport.abort()
            await still.gone.wait()


async def test_unasked_data_on_an_idle_connection_is_no_answer(stack: MakeStack, ca: Authority) -> None:
    """It could be taken for the next one (RFC 9112 §9.2): the connection is dropped."""

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(OK)
        visit.send(OK)
        visit.until_closed()

    with TlsInstance(server_context(ca.issue("127.0.0.1")), script) as instance:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(instance.port)
        assert (await call(proxy)).status == 200
        await until(lambda: not proxy.cluster.stats.instance_connections)
        assert (await call(proxy)).status == 200
        assert len(instance.visits) == 2


# Restarts


async def test_instances_that_restart_one_after_the_other_cost_no_call(stack: MakeStack, ca: Authority) -> None:
    """Each closes in order what it has, refuses for a while, and is back: nobody of those who call notices."""
    own = ca.issue("127.0.0.1")
    instances = [TlsInstance(server_context(own)) for _ in range(3)]
    for instance in instances:
        instance.open()
    try:
        proxy = stack(tls=Tls(ca_file=ca.file))
        await proxy.open(*(instance.port for instance in instances))
        answers: list[int] = []
        over = False

        async def calling(request: bytes) -> None:
            while not over:
                answers.append((await call(proxy, request)).status)

        async def more() -> None:
            now = len(answers)
            await until(lambda: len(answers) > now + 20)

        callers = [begin(calling(request)) for request in (GET, GET, POST, POST)]
        for instance in instances:
            await more()
            await asyncio.to_thread(instance.close)
            await more()
            instance.open()
            await until(lambda: "quarantined" not in repr(proxy.cluster))
        over = True
        await asyncio.gather(*callers)
    finally:
        for instance in instances:
            await asyncio.to_thread(instance.close)
    lost = [record for record in proxy.records if record.code != 200]
    assert [record for record in lost if record.method != "POST" or record.flags not in {"UC", "UR"}] == []
    assert len(lost) <= 3
    assert all(instance.requests for instance in instances)
