"""An app that is not told anything: its connections are redirected, in a network of two hosts that the test makes."""

import asyncio
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from tests.e2e.test_forward_proxy import answered, by, executed, failures, listed
from tests.support.java_caller import TOOLS as JAVA
from tests.support.java_caller import JavaCaller
from tests.support.needs import find
from tests.support.plain_provider import PlainProvider
from tests.support.ports import free_port
from tests.support.process import Child, run
from tests.support.registry_acts import join, leave
from tests.support.scripted_peer import OK, ScriptedPeer, Talk, connected
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.stack import ask
from tests.support.two_hosts import FAR, FAR6, NEAR, SIDECAR_USER, TOOLS, Network, as_user, two_hosts
from tests.support.until import until

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.own_process]

TOP = """\
version: 1
listen: null
transparent: 127.0.0.1:{port}
admin: {{listen: 127.0.0.1:0}}
access_log: {{path: access.log}}
drain: {{timeout: 1s}}
"""


@pytest.fixture
def network() -> Iterator[Network]:
    """The test is on the near host."""
    with two_hosts() as found, found.inside(found.near):
        yield found


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the sidecar's user may read and write."""
    folder = Path(tempfile.mkdtemp(prefix="transparent-"))
    os.chown(folder, SIDECAR_USER, SIDECAR_USER)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def iptables(home: Path, *arguments: str) -> str:
    """The command, which must succeed; what it says."""
    done = run(sys.executable, "-m", "sidecar", "iptables", "-c", str(home / "sidecar.yaml"), *arguments)
    return done.stdout + done.stderr


@asynccontextmanager
async def redirected(home: Path, services: str, *, uid: int = SIDECAR_USER) -> AsyncIterator[SidecarProcess]:
    """A sidecar that is ready, as a user of its own, and the rules."""
    text = TOP.format(port=free_port()) + services
    async with running(home, text, by=as_user(SIDECAR_USER)) as sidecar:
        await sidecar.ready()
        assert iptables(home, "--apply", "--uid", str(uid)) == ""
        yield sidecar


async def listening(network: Network, peer: ScriptedPeer) -> ScriptedPeer:
    """On the far host."""
    with network.inside(network.far):
        await peer.open()
    return peer


def static(name: str, protocol: str, *addresses: str) -> str:
    listed = ", ".join(f'"{address}"' for address in addresses)
    return f"  - {{name: {name}, protocol: {protocol}, discovery: {{static: [{listed}]}}}}\n"


async def greeting(talk: Talk) -> None:
    """A server that speaks first, and ends after one more word."""
    await talk.send(b"220 ready\r\n")
    line = await talk.reader.readline()
    await talk.send(b"250 " + line)
    await talk.until_closed()


@pytest.mark.needs(*JAVA)
async def test_an_app_that_is_told_nothing_loses_nothing(network: Network, home: Path) -> None:
    """All its instances move to new ports: no call fails, and each is executed once.

    The same app as the sidecar's user, whom the rules spare, loses nearly all of its calls.
    """
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(EmbeddedRegistry(push_delay_s=0.02))
        old, new = ([far_provider(network, home, host) for host in FAR[:3]] for _ in range(2))
        for provider in (*old, *new):
            stack.callback(provider.end)
        await asyncio.gather(*(provider.start() for provider in (*old, *new)))
        join(registry, old)
        services = (
            f"nacos: {{server_addresses: '{registry.address}', snapshot_dir: lists}}\n"
            "services: [{name: orders, wait_for_instance: {timeout: 60s}}]\n"
        )
        sidecar = await stack.enter_async_context(redirected(home, services))
        await listed(sidecar, old)
        addresses = [provider.address for provider in old]
        app = await stack.enter_async_context(JavaCaller("app", addresses, folder=home))
        twin = await stack.enter_async_context(JavaCaller("twin", addresses, folder=home, by=as_user(SIDECAR_USER)))
        for leaving, coming in zip(old, new, strict=True):
            join(registry, [coming])
            leave(registry, [leaving])
            await leaving.stop()
            await app.goes_on()
        await listed(sidecar, new)
        await app.goes_on()
        await app.pause()
        await twin.pause()
        assert failures(app.calls()) == []
        assert len(failures(twin.calls())) > 20
        assert await by(sidecar, "address") > 0
        mine = answered(app.calls())
        done = executed((*old, *new))
        assert {line: done[line] for line in mine} == dict(mine)
        assert max(mine.values()) == 1


def far_provider(network: Network, home: Path, host: str) -> PlainProvider:
    return PlainProvider(home, host=host, inside=network.exec_far())


async def test_a_server_may_speak_first(network: Network, home: Path) -> None:
    """Of nobody's, of a tcp service, and even at an address of an http1 service: the greeting comes unasked."""
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(_far(network, ScriptedPeer(greeting, host=host))) for host in FAR[:3]]
        stranger, tcp, http = peers
        services = "services:\n" + static("mail", "tcp", tcp.address) + static("orders", "http1", http.address)
        sidecar = await stack.enter_async_context(redirected(home, services))
        for peer, host in zip(peers, FAR, strict=False):
            async with connected(peer.port, host) as app:
                assert await asyncio.wait_for(app.reader.readline(), 20) == b"220 ready\r\n"
                await app.send(b"GET it\r\n")
                assert await app.reader.readline() == b"250 GET it\r\n"
                app.half_close()
                assert await app.until_closed() == b""
        for service in ("-", "mail", "orders"):
            await counted(sidecar, f'sidecar_tcp_connections_total{{service="{service}",flags="-"}}', 1)
        assert stranger.talks


async def is_reset(host: str, port: int) -> None:
    """At once, or a moment after it was accepted."""
    with pytest.raises(ConnectionResetError):
        async with connected(port, host) as app:
            await app.reader.read()


async def counted(sidecar: SidecarProcess, series: str, count: float) -> None:
    async def so() -> bool:
        return await sidecar.metric(series) == count

    await until(so)


@asynccontextmanager
async def _far(network: Network, peer: ScriptedPeer) -> AsyncIterator[ScriptedPeer]:
    await listening(network, peer)
    try:
        yield peer
    finally:
        await peer.close()


async def test_who_is_nobodys_is_reached_as_if_we_were_not_there(network: Network, home: Path) -> None:
    """Bytes both ways, of whatever kind; FIN as FIN, one direction at a time; RST as RST; a refusal as a reset."""
    endings: list[str] = []

    async def talk(peer: Talk) -> None:
        word = await peer.reader.readexactly(4)
        if word == b"echo":
            data = await peer.until_closed()
            await peer.send(b"%d" % len(data))
        elif word == b"half":
            peer.half_close()
            endings.append((await peer.until_closed()).decode())
        elif word == b"gone":
            await peer.send(b"yes")
            try:
                await peer.reader.read()
                endings.append("FIN")
            except ConnectionResetError:
                endings.append("RST")
        else:
            peer.reset()

    async with (
        _far(network, ScriptedPeer(talk, host=FAR[0])) as peer,
        redirected(home, "services:\n" + static("orders", "http1", f"{FAR[1]}:80")) as sidecar,
    ):
        async with connected(peer.port, FAR[0]) as app:
            await app.send(b"echo", os.urandom(5_000_000))
            app.half_close()
            assert await app.until_closed() == b"5000000"
        async with connected(peer.port, FAR[0]) as app:
            await app.send(b"half")
            assert await app.reader.read() == b""
            await app.send(b"and still this")
            app.half_close()
            await until_true(lambda: endings == ["and still this"])
        async with connected(peer.port, FAR[0]) as app:
            await app.send(b"gone")
            await app.reader.readexactly(3)
            app.reset()
            await until_true(lambda: endings[1:] == ["RST"])
        async with connected(peer.port, FAR[0]) as app:
            await app.send(b"die!")
            with pytest.raises(ConnectionResetError):
                await app.reader.read()
        await is_reset(FAR[0], free_port())
        await counted(sidecar, 'sidecar_tcp_connections_total{service="-",flags="UF"}', 1)
        await counted(sidecar, 'sidecar_tcp_connections_total{service="-",flags="-"}', 2)


async def until_true(condition: object) -> None:
    async def so() -> bool:
        return bool(condition())  # type: ignore[operator]

    await until(so, pause=0.01)


@pytest.fixture
async def redis(network: Network, home: Path) -> AsyncIterator[int]:
    """The port of a real server, on two addresses of the far host."""
    port = free_port()
    listen = ("--port", str(port), "--bind", *FAR[:2], "--protected-mode", "no", "--save", "")
    server = Child([*network.exec_far(), str(find("redis-server")), *listen], log=home / "redis.log")

    async def up() -> bool:
        return "eady to accept" in server.output()

    await until(up)
    yield port
    await server.terminate()


@pytest.mark.needs("redis-server")
async def test_a_client_of_another_protocol_notices_nothing(home: Path, redis: int) -> None:
    """Redis, as nobody's and as a tcp service, of which one instance refuses."""
    dead = free_port()
    services = "services:\n" + static("cache", "tcp", f"{FAR[0]}:{dead}", f"{FAR[0]}:{redis}")
    async with redirected(home, services) as sidecar:
        for host, at in ((FAR[1], redis), (FAR[0], redis), (FAR[0], dead)):
            async with connected(at, host) as app:
                await app.send(b"*1\r\n$4\r\nPING\r\n")
                assert await app.reader.readline() == b"+PONG\r\n"
        assert await sidecar.metric('sidecar_requests_by_address_total{service="cache"}') == 2
        await rescued(sidecar, "cache")


async def rescued(sidecar: SidecarProcess, service: str) -> None:
    """One connection is rescued that had been meant for somebody else; told when it ends."""

    async def so() -> bool:
        return sum([await by(sidecar, word, service=service) for word in ("address", "retry")]) == 1

    await until(so)


async def test_ipv6_goes_the_same_way(network: Network, home: Path) -> None:
    """Nobody's, and an instance of a service that has left."""

    async def serve(talk: Talk) -> None:
        await talk.serve(OK)

    async with _far(network, ScriptedPeer(serve, host=FAR6)) as peer:
        dead = f"[{FAR6}]:{free_port()}"
        services = "services:\n" + static("orders", "http1", dead, peer.address)
        async with redirected(home, services) as sidecar:
            for at in (peer.port, int(dead.rpartition(":")[2])):
                async with connected(at, FAR6) as app:
                    request = f"GET / HTTP/1.1\r\nHost: [{FAR6}]:{at}\r\n\r\n".encode()
                    assert (await ask(app, request)).status == 200
            assert await sidecar.metric('sidecar_requests_total{service="orders",code="200",flags="-"}') == 2


async def test_what_leads_back_to_us_is_refused_and_told(network: Network, home: Path) -> None:
    """The port itself, a port of ours on another address of the host; and our own dials, where the rules miss us."""
    own = free_port()
    services = f"services:\n  - {{name: orders, listen: '0.0.0.0:{own}', discovery: {{static: ['{FAR[1]}:80']}}}}\n"

    async def serve(talk: Talk) -> None:
        await talk.serve(OK)

    async with _far(network, ScriptedPeer(serve, host=FAR[0])) as peer, redirected(home, services, uid=4711) as sidecar:
        transparent = await sidecar.bound("transparent")
        for host, port in (("127.0.0.1", transparent), (NEAR, transparent), (NEAR, own), (FAR[0], peer.port)):
            await is_reset(host, port)
        told = [(event["why"], event["meant_for"]) for event in sidecar.events("redirect_refused")]
        assert told == [
            ("not_redirected", f"127.0.0.1:{transparent}"),
            ("own_address", f"{NEAR}:{own}"),
            ("own_traffic", peer.address),
        ]
        assert peer.talks == []
        await counted(sidecar, 'sidecar_tcp_connections_total{service="-",flags="NR"}', 4)
        assert (await sidecar.admin("/healthz")).status == 200
        iptables(home, "--apply")
        async with connected(peer.port, FAR[0]) as app:
            assert (await ask(app, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).status == 200


async def test_rules_come_and_go_without_a_trace(network: Network, home: Path) -> None:
    """Applied twice they stand there once; another configuration changes them; deleted twice nothing is left."""
    (home / "sidecar.yaml").write_text(TOP.format(port=15006) + "services: [{name: orders}]\n")
    before = network.rules()
    assert "NACOS_SIDECAR" not in before
    for _ in range(2):
        assert iptables(home, "--apply", "--uid", "4711") == ""
        for tool, loopback in (("iptables", "127.0.0.0/8"), ("ip6tables", "::1/128")):
            rules = [line for line in network.rules(tool).splitlines() if "NACOS_SIDECAR" in line]
            assert rules == [
                "-N NACOS_SIDECAR",
                "-A OUTPUT -p tcp -j NACOS_SIDECAR",
                f"-A NACOS_SIDECAR -d {loopback} -j RETURN",
                "-A NACOS_SIDECAR -m owner --uid-owner 4711 -j RETURN",
                *(f"-A NACOS_SIDECAR -p tcp -m tcp --dport {port} -j RETURN" for port in (8848, 9848)),
                "-A NACOS_SIDECAR -p tcp -j REDIRECT --to-ports 15006",
            ]
    (home / "sidecar.yaml").write_text(TOP.format(port=15007) + "services: [{name: orders}]\n")
    iptables(home, "--apply")
    assert network.rules().count("NACOS_SIDECAR") == 7
    assert "--to-ports 15007" in network.rules()
    for _ in range(2):
        assert iptables(home, "--delete") == ""
        assert network.rules() == before


async def test_the_printed_script_does_the_same(network: Network, home: Path) -> None:
    """Fed to a shell, twice; whatever other rules there are stay."""
    (home / "sidecar.yaml").write_text(TOP.format(port=15006) + "services: [{name: orders}]\n")
    run("iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "7", "-j", "RETURN")
    iptables(home, "--apply")
    applied = [network.rules(tool) for tool in ("iptables", "ip6tables")]
    iptables(home, "--delete")
    script = home / "rules.sh"
    script.write_text(iptables(home, "--print"))
    for _ in range(2):
        run("sh", "-e", str(script))
        assert [network.rules(tool) for tool in ("iptables", "ip6tables")] == applied
    assert re.search("--dport 7 -j RETURN", applied[0])


@pytest.mark.parametrize(
    ("rights", "code"), [("-all,+net_admin", 0), ("-all", 1)], ids=["with NET_ADMIN alone", "without"]
)
async def test_it_needs_one_right(network: Network, home: Path, rights: str, code: int) -> None:
    """What the init container of the example gets; without it the way out is said."""
    (home / "sidecar.yaml").write_text(TOP.format(port=15006) + "services: [{name: orders}]\n")
    limited = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", "--"]
    command = [*limited, sys.executable, "-m", "sidecar", "iptables", "-c", str(home / "sidecar.yaml"), "--apply"]
    done = run(*command, check=False)
    assert done.returncode == code, done.stderr
    assert ("capabilities.add [NET_ADMIN]" in done.stderr) is bool(code)
