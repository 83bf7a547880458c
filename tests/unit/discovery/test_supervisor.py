"""Lives of sessions in a row, against a scripted registry; only the knocking uses real sockets."""

import asyncio
import contextlib
import logging
import random
import socket
import statistics
from collections.abc import AsyncIterator, Mapping

import pytest

from sidecar.cluster.instance import Push, Silence, Statement, Via, View
from sidecar.cluster.policy import Discovery
from sidecar.discovery.options import DEFAULT_BACKOFF, NacosOptions
from sidecar.discovery.questions import Enquiry
from sidecar.discovery.session import ErrorAnswer, ServiceKey, Trouble, Unanswered
from sidecar.discovery.source import Connected, Disconnected, Malformed
from sidecar.discovery.supervisor import NacosSource
from tests.support import watched_source
from tests.support.odd_server import OddServer, answer, odd_server
from tests.support.scripted_registry import ScriptedRegistry, addresses, lists
from tests.support.watched_source import WatchedSource

pytestmark = pytest.mark.virtual_time

ORDERS = ServiceKey("order-service", "DEFAULT_GROUP")


class Door:
    """A port that can be knocked at, open or closed."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", self.port)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


@pytest.fixture
def registry() -> ScriptedRegistry:
    registry = ScriptedRegistry()
    registry.listings[ORDERS] = lists(1, 2)
    return registry


@contextlib.asynccontextmanager
async def watched(
    registry: ScriptedRegistry, *doors: Door | OddServer, services: dict[str, Discovery] | None = None
) -> AsyncIterator[WatchedSource]:
    ports = [door.port if isinstance(door, Door) else door.server.port for door in doors]
    options = NacosOptions(server_addresses=tuple(f"127.0.0.1:{port}" for port in ports), grpc_port_offset=0)
    source = NacosSource(
        options,
        services or {"orders": Discovery(service="order-service")},
        rng=random.Random(1),
        stats=registry.stats,
        session=registry.session,
    )
    async with watched_source.watched(source) as found:
        yield found
    for door in doors:
        if isinstance(door, Door):
            door.close()
    assert all(session.closed for session in registry.sessions)


@pytest.fixture
async def door() -> Door:
    door = Door()
    await door.open()
    return door


async def test_a_session_is_announced_before_its_lists(registry: ScriptedRegistry, door: Door) -> None:
    """Connected first, then one list a service under the same epoch."""
    async with watched(registry, door) as source:
        await source.next(Push)
        (_, connected), (_, push) = source.said
        assert isinstance(connected, Connected)
        assert isinstance(push, Push)
        assert (connected.server, connected.version) == (f"127.0.0.1:{door.port}", None)
        assert (push.service, push.epoch, push.via, push.protect) == ("orders", connected.epoch, Via.PUSH, False)


async def test_services_that_share_a_registry_service_share_its_subscription(
    registry: ScriptedRegistry, door: Door
) -> None:
    """One subscription, and every list goes to each of them."""
    services = {"a": Discovery(service="order-service"), "b": Discovery(service="order-service", clusters=("X",))}
    async with watched(registry, door, services=services) as source:
        await source.next(Push)
        assert [push.service for push in source.all(Push)] == ["a", "b"]
        assert registry.live.subscribed == [ORDERS]


async def test_the_service_of_the_registry_is_named_like_ours_by_default(
    registry: ScriptedRegistry, door: Door
) -> None:
    """An empty `discovery.service` means the name in the YAML."""
    async with watched(registry, door, services={"orders": Discovery()}) as source:
        await source.next(Push)
        assert registry.live.subscribed == [ServiceKey("orders", "DEFAULT_GROUP")]


async def test_trouble_brings_the_next_session_at_once(registry: ScriptedRegistry, door: Door) -> None:
    """A session that lived is replaced in milliseconds, under a higher epoch, with fresh lists."""
    async with watched(registry, door) as source:
        await source.next(Push)
        await asyncio.sleep(20)
        registry.listings[ORDERS] = lists(9)
        registry.live.owner.troubled(Trouble.STREAM_END)
        assert await source.next(Connected) < 0.1
        first, second = source.all(Connected)
        assert second.epoch > first.epoch
        assert source.all(Disconnected) == [Disconnected(first.epoch, first.server, "stream_end")]
        last = source.all(Push)[-1]
        assert (addresses(last.instances), last.epoch) == ([9], second.epoch)
        assert registry.stats.reconnects == {"stream_end": 1}


async def test_sequences_grow_over_sessions(registry: ScriptedRegistry, door: Door) -> None:
    """(epoch, sequence) orders all lists."""
    async with watched(registry, door) as source:
        await source.next(Push)
        registry.live.owner.troubled(Trouble.RESET_REQUEST)
        await source.next(Connected)
        ranks = [(push.epoch, push.sequence) for push in source.all(Push)]
        assert ranks == sorted(set(ranks))


async def test_the_next_server_is_tried_on_trouble(registry: ScriptedRegistry, door: Door) -> None:
    """One node is lost: the other takes over without a pause."""
    other = Door()
    await other.open()
    async with watched(registry, door, other) as source:
        await source.next(Push)
        await asyncio.sleep(20)
        registry.live.owner.troubled(Trouble.QUERY_FAILED)
        await source.next(Connected)
        assert {update.server for update in source.all(Connected)} == {
            f"127.0.0.1:{port}" for port in (door.port, other.port)
        }


async def test_a_closed_port_is_passed_over(registry: ScriptedRegistry, door: Door) -> None:
    """With one of two nodes down the start is as quick as ever, and no session is wasted on it."""
    async with watched(registry, Door(), door) as source:
        assert await source.next(Connected) < 0.1
        assert len(registry.sessions) == 1


async def test_a_registry_that_is_down_is_found_soon_after_it_is_up(registry: ScriptedRegistry) -> None:
    """Down for a minute, then up: connected within 0.3 s, and the outage was told once."""
    door = Door()
    async with watched(registry, door) as source:
        await asyncio.sleep(60)
        assert [update for _, update in source.said] == [Disconnected(0, f"127.0.0.1:{door.port}", "open_failed")]
        await door.open()
        assert await source.next(Connected) < 0.35


async def test_a_starting_server_is_asked_again_within_a_second(registry: ScriptedRegistry, door: Door) -> None:
    """It accepts and answers 300 for a while: subscribed less than a second after it stops that."""
    registry.open_fails = ErrorAnswer(300, "starting")
    async with watched(registry, door) as source:
        await asyncio.sleep(20)
        assert registry.stats.reconnects["open_failed"] >= 20
        registry.open_fails = None
        assert await source.next(Connected) < 1.0


async def test_other_failures_back_off(registry: ScriptedRegistry, door: Door) -> None:
    """In the end one try every five seconds, ±20 %."""
    registry.open_fails = Unanswered("nothing")
    async with watched(registry, door):
        await asyncio.sleep(30)
        before = len(registry.sessions)
        await asyncio.sleep(60)
        assert 10 <= len(registry.sessions) - before <= 15


@pytest.mark.scenario("S-30")
async def test_a_registry_that_flaps_a_hundred_times_is_left_in_peace(registry: ScriptedRegistry, door: Door) -> None:
    """Sessions of two seconds count as failures: the pauses between them grow to the ceiling and stay there."""
    pauses = []
    async with watched(registry, door) as source:
        for _ in range(100):
            pauses.append(await source.next(Connected, within=10))
            await asyncio.sleep(2)
            registry.live.owner.troubled(Trouble.STREAM_END)
    assert min(pauses[1:4]) < DEFAULT_BACKOFF.low * 2
    assert min(pauses[12:]) > DEFAULT_BACKOFF.high * 0.7
    assert statistics.median(pauses) < DEFAULT_BACKOFF.high * 1.3


async def test_a_client_library_that_fails_oddly_costs_one_session(
    registry: ScriptedRegistry, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception that nobody foresaw is logged as a crash; the next session opens."""
    registry.open_fails = AttributeError("'NoneType' object has no attribute 'x'")  # type: ignore[assignment]
    async with watched(registry, door) as source:
        await source.next(Disconnected)
        registry.open_fails = None
        await source.next(Connected)
    assert [record.message for record in caplog.records] == ["crash"]


async def test_an_unreadable_list_is_told_under_the_name_of_the_yaml(registry: ScriptedRegistry, door: Door) -> None:
    """Nothing else changes."""
    async with watched(registry, door) as source:
        await source.next(Push)
        registry.live.owner.unreadable(ORDERS, "hosts is null")
        await source.next(Malformed)
        (malformed,) = source.all(Malformed)
        assert (malformed.service, malformed.error) == ("orders", "hosts is null")


async def test_a_doubt_outlives_the_session(registry: ScriptedRegistry, door: Door) -> None:
    """The data path says it once; the next session still asks each second."""
    async with watched(registry, door) as source:
        await source.next(Push)
        source.source.doubt(["orders", "unknown"])
        registry.live.owner.troubled(Trouble.STREAM_END)
        await source.next(Connected)
        await asyncio.sleep(5)
        assert registry.live.queried[ORDERS] >= 4


async def test_why_a_service_gets_no_list_is_said_once_until_it_has_one(
    registry: ScriptedRegistry, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """With a wrong secret all are refused for one reason, which one line tells; another reason is another line."""
    caplog.set_level(logging.WARNING, "sidecar")
    services = {name: Discovery(service=name) for name in ("orders", "users", "stock")}
    keys = [ServiceKey(name, "DEFAULT_GROUP") for name in services]
    for key in keys[:2]:
        registry.fails[key] = ErrorAnswer(403, "who are you?")
    registry.fails[keys[2]] = ErrorAnswer(500, "broken")
    async with watched(registry, door, services=services) as source:
        await source.next(Connected)
        await asyncio.sleep(10)
        said = [record.getMessage() for record in caplog.records]
        assert said == [
            f"registry 127.0.0.1:{door.port} gives no list of orders in group DEFAULT_GROUP: error 403: who are you?",
            f"registry 127.0.0.1:{door.port} gives no list of stock in group DEFAULT_GROUP: error 500: broken",
        ]
        del registry.fails[keys[0]], registry.fails[keys[1]]
        await asyncio.sleep(10)
        registry.fails[keys[1]] = ErrorAnswer(403, "who are you?")
        await asyncio.sleep(40)
        assert [record.getMessage().split()[6] for record in caplog.records[2:]] == ["users"]


LISTS = {
    "/nacos/v1/ns/instance/list": answer("200 OK", '{"hosts": [{"ip": "10.0.0.1", "port": 1}]}'),
    "/nacos/v3/admin/ns/instance/list": answer("200 OK", '{"data": [{"ip": "10.0.0.1", "port": 2, "enabled": false}]}'),
}


def statements(source: WatchedSource) -> set[tuple[str, View, str]]:
    return {(one.service, one.view, one.server) for one in source.all(Statement)}


async def test_nodes_are_asked_what_a_doubted_list_leaves_open(registry: ScriptedRegistry) -> None:
    """Two services that share a list: both hear what the own node has disabled, one what the other node lists."""
    services = {name: Discovery(service="order-service") for name in ("a", "b")}
    async with (
        odd_server(LISTS) as one,
        odd_server(LISTS) as two,
        watched(registry, one, two, services=services) as source,
    ):
        await source.next(Push)
        (connected,) = source.all(Connected)
        assert connected.others == 1
        (other,) = {str(odd.server) for odd in (one, two)} - {connected.server}
        source.source.enquire({"a": Enquiry(elsewhere=True), "b": Enquiry(), "unknown": Enquiry()})
        await source.until(lambda: any(one.view is View.OFFERED for one in source.all(Statement)))
        assert statements(source) == {
            ("a", View.EVERYTHING, connected.server),
            ("b", View.EVERYTHING, connected.server),
            ("a", View.OFFERED, other),
        }
        ports = {one.view: addresses(one.instances) for one in source.all(Statement)}
        assert ports == {View.EVERYTHING: [2], View.OFFERED: [1]}


async def test_that_no_other_node_answers_is_told_to_whoever_may_ask_one(registry: ScriptedRegistry) -> None:
    """Of two services that share a list only one wants a second opinion."""
    services = {name: Discovery(service="order-service") for name in ("a", "b")}
    mute: Mapping[str, bytes | None] = {"/nacos/v1/ns/instance/list": None}
    async with (
        odd_server(mute) as one,
        odd_server(mute) as two,
        watched(registry, one, two, services=services) as source,
    ):
        await source.next(Push)
        (connected,) = source.all(Connected)
        (other,) = {str(odd.server) for odd in (one, two)} - {connected.server}
        source.source.enquire({"a": Enquiry(elsewhere=True), "b": Enquiry()})
        await source.until(lambda: bool(source.all(Silence)))
        assert {(silence.service, silence.servers) for silence in source.all(Silence)} == {("a", (other,))}


async def test_enquiries_outlive_the_session(registry: ScriptedRegistry) -> None:
    """At another node the first one is the other."""
    async with odd_server(LISTS) as one, odd_server(LISTS) as two, watched(registry, one, two) as source:
        await source.next(Push)
        source.source.enquire({"orders": Enquiry(elsewhere=True)})
        await asyncio.sleep(20)
        before = len(source.all(Statement))
        registry.live.owner.troubled(Trouble.STREAM_END)
        await source.next(Connected)
        asked = len(source.all(Statement))
        await asyncio.sleep(5)
        first, second = source.all(Connected)
        assert first.server != second.server
        told = source.all(Statement)
        assert {one.server for one in told[:before] if one.view is View.OFFERED} == {second.server}
        assert {one.server for one in told[asked + 2 :] if one.view is View.OFFERED} == {first.server}


async def test_closing_ends_iteration_and_leaves_nothing(registry: ScriptedRegistry, door: Door) -> None:
    """In the middle of a session, of an opening, or of a pause."""
    async with watched(registry, door) as source:
        await source.next(Push)
        assert repr(source.source).startswith("<NacosSource: 1 services, epoch ")
    assert asyncio.all_tasks() == {asyncio.current_task()}
