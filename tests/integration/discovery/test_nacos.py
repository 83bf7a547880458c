"""One session of the client library over real gRPC: the contract with its inner objects, and what it leaves behind."""

import asyncio
import gc
import json
import logging
import os
import random
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from sidecar.cluster.instance import Instance
from sidecar.discovery.access import Access
from sidecar.discovery.nacos import NacosSession, local_ip
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import ErrorAnswer, Listing, RequestError, ServiceKey, Trouble, Unanswered, Unreadable
from sidecar.embedded.connections import Connection
from sidecar.embedded.faults import (
    Abilities,
    Answer,
    DetectClients,
    EndStreams,
    ForcedList,
    Negotiation,
    PushNow,
    ResetConnections,
    Shape,
    Starting,
    StreamStatus,
)
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.until import PATIENCE

ORDERS = ServiceKey("orders", "DEFAULT_GROUP")


class Ear:
    """An owner that writes down what it is told."""

    def __init__(self) -> None:
        self.lists: asyncio.Queue[tuple[ServiceKey, Listing | str]] = asyncio.Queue()
        self.troubles: list[Trouble] = []
        self.woken = asyncio.Event()

    def pushed(self, key: ServiceKey, listing: Listing) -> None:
        self.lists.put_nowait((key, listing))

    def unreadable(self, key: ServiceKey, error: str) -> None:
        self.lists.put_nowait((key, error))

    def troubled(self, trouble: Trouble) -> None:
        self.troubles.append(trouble)
        self.woken.set()

    async def next(self, within: float = PATIENCE) -> tuple[ServiceKey, Listing | str]:
        async with asyncio.timeout(within):
            return await self.lists.get()

    async def trouble(self, within: float = PATIENCE) -> Trouble:
        async with asyncio.timeout(within):
            await self.woken.wait()
        return self.troubles[0]


def new_session(registry: EmbeddedRegistry, ear: Ear, *, timeout: float = 1.0) -> NacosSession:
    server = Server.parse(registry.address, grpc_port_offset=registry.port_offset)
    options = NacosOptions(request_timeout=timeout)
    return NacosSession(server, options, ear, Access(options, rng=random.Random(1)))


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    """Pushes without delay; one instance of `orders`."""
    async with EmbeddedRegistry(push_delay_s=0.0) as registry:
        registry.register("orders", "10.0.0.1", 80)
        yield registry


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
async def session(registry: EmbeddedRegistry, ear: Ear) -> AsyncIterator[NacosSession]:
    """An open session."""
    session = new_session(registry, ear)
    await session.open()
    yield session
    await session.close()


def ports(listing: Listing | str) -> list[int]:
    assert isinstance(listing, Listing)
    return sorted(instance.port for instance in listing.instances)


def test_the_library_is_the_version_whose_inner_objects_are_known() -> None:
    """Any other one needs these tests to be read again before the pin moves."""
    assert version("nacos-sdk-python") == "3.2.0"


async def test_subscription_and_query_answer_the_list_of_now(session: NacosSession) -> None:
    """Both bring every field."""
    wanted = Listing((Instance("10.0.0.1", 80),), protect=False)
    assert await session.subscribe(ORDERS) == wanted
    assert await session.query(ORDERS) == wanted


async def test_a_service_that_nobody_registered_is_an_empty_list(session: NacosSession) -> None:
    """Nothing to complain about: it may come."""
    assert await session.subscribe(ServiceKey("nobody", "G")) == Listing((), protect=False)


async def test_the_registry_sees_our_name(registry: EmbeddedRegistry, session: NacosSession) -> None:
    """The subscriber list of the console shows who subscribed."""
    await session.subscribe(ORDERS)
    (connection,) = registry.connections
    assert connection.labels["module"] == "naming"
    assert [
        seen.headers["app"] for seen in registry.connections.requests if seen.type == "SubscribeServiceRequest"
    ] == ["nacos-sidecar"]


async def test_every_push_is_heard_empty_ones_too(registry: EmbeddedRegistry, session: NacosSession, ear: Ear) -> None:
    """The library's cache would drop a list in the same millisecond, and the empty one by default."""
    await session.subscribe(ORDERS)
    registry.register("orders", "10.0.0.1", 81)
    while ports((await ear.next())[1]) != [80, 81]:
        pass
    registry.deregister("orders", "10.0.0.1", 80)
    registry.deregister("orders", "10.0.0.1", 81)
    while ports((await ear.next())[1]) != []:
        pass


async def test_a_push_of_thirteen_thousand_hosts_arrives(
    registry: EmbeddedRegistry, session: NacosSession, ear: Ear
) -> None:
    """Five megabytes: above gRPC's default limit."""
    await session.subscribe(ServiceKey("huge", "G"))
    await registry.apply(ForcedList(shape=Shape.LARGE, in_answers=False))
    await registry.apply(PushNow())
    while len(ports((await ear.next())[1])) != 13_000:
        pass
    assert ear.troubles == []


@pytest.mark.parametrize("shape", [Shape.HOSTS_NULL, Shape.METADATA_NULL])
async def test_an_unreadable_push_is_reported_and_acknowledged(
    registry: EmbeddedRegistry, session: NacosSession, ear: Ear, shape: Shape
) -> None:
    """Unacknowledged it would come again each second; the session lives on."""
    await session.subscribe(ORDERS)
    await registry.apply(ForcedList(shape=shape, in_answers=False))
    await registry.apply(PushNow())
    while not isinstance((told := await ear.next())[1], str):
        pass
    assert told[0] == ORDERS
    assert ear.troubles == []
    (connection,) = registry.connections
    async with asyncio.timeout(PATIENCE):
        while connection.unacked:  # noqa: ASYNC110 - the server's book, not ours
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("shape", [Shape.NO_INSTANCE_ID, Shape.UNKNOWN_FIELDS])
async def test_oddities_that_can_be_read_are_read(
    registry: EmbeddedRegistry, session: NacosSession, shape: Shape
) -> None:
    """A missing id and fields of the future are no reason to lose a list."""
    await registry.apply(ForcedList(shape=shape))
    assert ports(await session.subscribe(ORDERS)) == [80]


@pytest.mark.parametrize("shape", [Shape.HOSTS_NULL, Shape.METADATA_NULL])
async def test_an_unreadable_answer_says_so(registry: EmbeddedRegistry, session: NacosSession, shape: Shape) -> None:
    """Neither an empty list nor a lost connection."""
    await registry.apply(ForcedList(shape=shape))
    with pytest.raises(Unreadable):
        await session.query(ORDERS)


@pytest.mark.parametrize("code", [300, 301, 302, 403, 500, 503])
async def test_an_error_answer_keeps_its_code(registry: EmbeddedRegistry, session: NacosSession, code: int) -> None:
    """After one request: the library would ask three times and call all of them 500."""
    await registry.apply(Answer("ServiceQueryRequest", error=code))
    asked = registry.connections.counts["ServiceQueryRequest"]
    with pytest.raises(ErrorAnswer) as caught:
        await session.query(ORDERS)
    assert caught.value.code == code
    assert registry.connections.counts["ServiceQueryRequest"] == asked + 1


async def test_a_request_without_an_answer_ends_in_time(registry: EmbeddedRegistry, ear: Ear) -> None:
    """After `request_timeout`, and it is told apart from a refusal."""
    session = new_session(registry, ear, timeout=0.1)
    await session.open()
    await registry.apply(Answer("ServiceQueryRequest", never=True))
    with pytest.raises(Unanswered) as caught:
        await session.query(ORDERS)
    assert caught.value.timed_out
    await registry.apply(Answer("ServiceQueryRequest", status="UNAVAILABLE"))
    with pytest.raises(Unanswered) as caught:
        await session.query(ORDERS)
    assert not caught.value.timed_out
    await session.close()


async def test_an_answer_of_the_wrong_type_is_unreadable(registry: EmbeddedRegistry, session: NacosSession) -> None:
    """Whatever it holds."""
    await registry.apply(Answer("ServiceQueryRequest", type="HealthCheckResponse"))
    with pytest.raises(Unreadable):
        await session.query(ORDERS)


@pytest.mark.parametrize("status", list(StreamStatus))
async def test_the_end_of_the_stream_is_heard_however_it_comes(
    registry: EmbeddedRegistry, session: NacosSession, ear: Ear, status: StreamStatus
) -> None:
    """The library alone does not notice a clean one."""
    await session.subscribe(ORDERS)
    await registry.apply(EndStreams(status))
    assert await ear.trouble() is Trouble.STREAM_END


async def test_a_reset_request_is_acknowledged_and_reported(
    registry: EmbeddedRegistry, session: NacosSession, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library does not know this message."""
    await session.subscribe(ORDERS)
    acked: asyncio.Queue[str] = asyncio.Queue()
    monkeypatch.setattr(Connection, "acked", lambda _self, kind, *_, **__: acked.put_nowait(kind))
    await registry.apply(ResetConnections())
    assert await ear.trouble() is Trouble.RESET_REQUEST
    async with asyncio.timeout(PATIENCE):
        while await acked.get() != "ConnectResetResponse":
            pass


async def test_the_server_hears_that_we_are_there(registry: EmbeddedRegistry, session: NacosSession) -> None:
    """A client that leaves ClientDetection unanswered is thrown out after five seconds."""
    await session.subscribe(ORDERS)
    (connection,) = registry.connections
    await registry.apply(DetectClients())
    async with asyncio.timeout(PATIENCE):
        while "ClientDetectionResponse" not in [ack.type for ack in connection.acks]:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


async def test_a_server_without_abilities_is_opened_too(registry: EmbeddedRegistry, ear: Ear) -> None:
    """Servers other than the Java one offer no negotiation."""
    await registry.apply(Negotiation(Abilities.NONE))
    session = new_session(registry, ear)
    await session.open()
    assert ports(await session.subscribe(ORDERS)) == [80]
    await session.close()


async def test_a_starting_server_says_so_at_once(registry: EmbeddedRegistry, ear: Ear) -> None:
    """The library would wait a second between its three tries."""
    await registry.apply(Starting())
    session = new_session(registry, ear)
    async with asyncio.timeout(0.5):
        with pytest.raises(ErrorAnswer) as caught:
            await session.open()
    assert caught.value.code == 300
    await session.close()


async def test_a_refused_connect_is_known_at_once(registry: EmbeddedRegistry, ear: Ear) -> None:
    """Not after three seconds of hope."""
    await registry.stop()
    session = new_session(registry, ear)
    async with asyncio.timeout(0.5):
        with pytest.raises(Unanswered):
            await session.open()
    await session.close()


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def handlers() -> int:
    return sum(len(logging.getLogger(name).handlers) for name in logging.root.manager.loggerDict)


async def _used(registry: EmbeddedRegistry) -> None:
    session = new_session(registry, Ear())
    await session.open()
    await session.subscribe(ORDERS)
    await session.close()


async def _dropped(registry: EmbeddedRegistry) -> None:
    """The server ends the stream."""
    ear = Ear()
    session = new_session(registry, ear)
    await session.open()
    await registry.apply(EndStreams())
    await ear.trouble()
    await session.close()


async def _cut_off(registry: EmbeddedRegistry) -> None:
    """The limit strikes in the middle of the handshake."""
    await registry.apply(Negotiation(Abilities.SILENT))
    session = new_session(registry, Ear())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await session.open()
    await session.close()


async def _turned_away(registry: EmbeddedRegistry) -> None:
    await registry.apply(Starting())
    session = new_session(registry, Ear())
    with pytest.raises(RequestError):
        await session.open()
    await session.close()


@pytest.mark.parametrize("use", [_used, _dropped, _cut_off, _turned_away])
async def test_thirty_sessions_leave_nothing_behind(
    registry: EmbeddedRegistry, use: Callable[[EmbeddedRegistry], Awaitable[None]]
) -> None:
    """No task, no descriptor, no log handler, however the session went; and not only once garbage is collected."""

    async def settled() -> tuple[int, int, int]:
        await asyncio.sleep(0.1)
        return len(asyncio.all_tasks()), descriptors(), handlers()

    await use(registry)
    before = await settled()
    gc.disable()
    try:
        for _ in range(30):
            await use(registry)
        after = await settled()
    finally:
        gc.enable()
    assert after == before


def test_a_host_without_a_network_has_an_address_too() -> None:
    """The library raises where there is only loopback."""
    assert local_ip().count(".") == 3


ALONE = """
import asyncio, json, os, random, sys
written = []
def watch(event, args):
    if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.append(str(args[0]))
    elif event in ("os.mkdir", "os.rename"):
        written.append(str(args[0]))
from sidecar.discovery import nacos
from sidecar.discovery.access import Access
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import ServiceKey
sys.addaudithook(watch)
class Ear:
    def pushed(self, *_): pass
    def unreadable(self, *_): pass
    def troubled(self, *_): pass
async def main():
    options = NacosOptions()
    access = Access(options, rng=random.Random(1))
    session = nacos.NacosSession(Server.parse(sys.argv[1], grpc_port_offset=1000), options, Ear(), access)
    await session.open()
    listing = await session.subscribe(ServiceKey("orders", "DEFAULT_GROUP"))
    await session.close()
    return len(listing.instances)
found = asyncio.run(main())
hollow = [name for name in sys.modules if type(sys.modules[name]).__name__ == "Hollow"]
print(json.dumps({"found": found, "written": written, "hollow": hollow, "psutil": "psutil" in sys.modules}))
"""


@pytest.mark.one_loop
async def test_a_process_without_home_and_disk_opens_a_session_in_silence(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """No file is written anywhere, nothing is printed, no stand-in stays in the module table."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": "/proc/nowhere",
        "TMPDIR": "/proc/nowhere",
        "PYTHONPATH": str(Path.cwd()),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-B", "-c", ALONE, registry.address, stdout=PIPE, stderr=PIPE, env=environ, cwd=tmp_path
    )
    said, complained = await process.communicate()
    assert (complained, process.returncode) == (b"", 0)
    assert json.loads(said) == {"found": 1, "written": [], "hollow": [], "psutil": False}
