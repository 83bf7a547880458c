"""Lists without gRPC: polled from the embedded registry, and from servers that answer oddly."""

import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sidecar.cluster.instance import Via
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.access import Access
from sidecar.discovery.credentials import AccessKey, Secret, User
from sidecar.discovery.options import NacosOptions, Server, Transport
from sidecar.discovery.polling import PollingSession
from sidecar.discovery.session import STARTING, ErrorAnswer, RequestError, ServiceKey, Trouble, Unanswered, Unreadable
from sidecar.discovery.source import Connected, Disconnected, Identified, Malformed
from sidecar.discovery.supervisor import NacosSource
from sidecar.embedded.faults import Auth, ForcedList, GrpcClosed, HttpAnswer, LoginPath, Profile, Shape, Starting
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.odd_server import answer, odd_server
from tests.support.stack import until
from tests.support.until import PATIENCE
from tests.support.watched_source import WatchedSource, watched

ORDERS = ServiceKey("orders", "DEFAULT_GROUP")
LIST = "/nacos/v1/ns/instance/list"


class Ear:
    """An owner that writes down what it is told."""

    def __init__(self) -> None:
        self.pushed_ports: list[list[int]] = []
        self.troubles: list[Trouble] = []

    def pushed(self, _key: ServiceKey, listing: Any) -> None:
        self.pushed_ports.append([instance.port for instance in listing.instances])

    def unreadable(self, _key: ServiceKey, _error: str) -> None: ...

    def troubled(self, trouble: Trouble) -> None:
        self.troubles.append(trouble)


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    """A server of 1.x: HTTP v1, and nothing else."""
    registry = EmbeddedRegistry(push_delay_s=0.0)
    registry.faults.set(GrpcClosed())
    registry.faults.set(Profile("1.4.8"))
    async with registry:
        registry.register("orders", "10.0.0.1", 1)
        registry.register("orders", "10.0.0.1", 2)
        yield registry


@contextlib.asynccontextmanager
async def session(server: Server | EmbeddedRegistry, ear: Ear, **more: Any) -> AsyncIterator[PollingSession]:
    if isinstance(server, EmbeddedRegistry):
        server = Server.parse(server.address, grpc_port_offset=1000)
    options = NacosOptions(transport=Transport.HTTP, **{"request_timeout": PATIENCE, **more})
    polling_session = PollingSession(server, options, ear, Access(options, rng=random.Random(1)))
    await polling_session.open()
    try:
        yield polling_session
    finally:
        assert await polling_session.close() == 0


@contextlib.asynccontextmanager
async def reading(registry: EmbeddedRegistry, **more: Any) -> AsyncIterator[tuple[WatchedSource, ProcessStats]]:
    stats = ProcessStats()
    options = NacosOptions(server_addresses=(registry.address,), **{"request_timeout": PATIENCE, **more})
    source = NacosSource(options, {"orders": Discovery(service="orders")}, rng=random.Random(1), stats=stats)
    async with watched(source) as found:
        yield found, stats


async def test_a_changed_list_is_told_once(registry: EmbeddedRegistry) -> None:
    """With the query that found it; in another order it is the same list."""
    ear = Ear()
    async with session(registry, ear) as polled:
        assert len((await polled.subscribe(ORDERS)).instances) == 2
        registry.deregister("orders", "10.0.0.1", 1)
        registry.register("orders", "10.0.0.1", 1)
        await polled.query(ORDERS)
        assert ear.pushed_ports == []
        registry.deregister("orders", "10.0.0.1", 1)
        for _ in range(2):
            await polled.query(ORDERS)
        assert ear.pushed_ports == [[2]]


async def test_unhealthy_weightless_and_protected_ones_are_told_as_they_are(registry: EmbeddedRegistry) -> None:
    """Weight 0 and the health bit arrive; a protected list says so."""
    registry.edit("orders", "10.0.0.1", 1, weight=0.0)
    registry.set_health("orders", "10.0.0.1", 2, healthy=False)
    async with session(registry, Ear()) as polled:
        found = {instance.port: instance for instance in (await polled.subscribe(ORDERS)).instances}
        assert (found[1].weight, found[2].healthy) == (0.0, False)
        registry.set_threshold("orders", 0.9)
        assert (await polled.query(ORDERS)).protect


@pytest.mark.parametrize("version", ["1.4.8", "2.5.1", "3.1.0", "3.2.4"])
async def test_every_generation_is_read(registry: EmbeddedRegistry, version: str) -> None:
    """By the path that it has; one that is missing is asked for once."""
    await registry.apply(Profile(version))
    async with session(registry, Ear()) as polled:
        for _ in range(2):
            assert len((await polled.subscribe(ORDERS)).instances) == 2


@pytest.mark.parametrize(
    ("reply", "raised", "code"),
    [
        (answer("503 Odd", "server is STARTING now"), ErrorAnswer, STARTING),
        (answer("503 Odd", "server is DOWN now"), ErrorAnswer, 503),
        (answer("403 Odd", "no"), ErrorAnswer, 403),
        (answer("404 Odd"), ErrorAnswer, 404),
        (answer("200 OK", '{"code": 20004, "message": "x", "data": null}'), ErrorAnswer, 20004),
        (answer("200 OK", '{"code": 0, "data": null}'), Unreadable, None),
        (answer("200 OK", '{"hosts": null}'), Unreadable, None),
        (answer("200 OK", '{"hosts": [{"ip": "a"}]}'), Unreadable, None),
        (answer("200 OK", "[]"), Unreadable, None),
        (b"HTTP/1.1 0 \r\n\r\n", Unreadable, None),
        (None, Unanswered, None),
    ],
)
async def test_what_is_no_list_is_never_taken_for_an_empty_one(
    reply: bytes | None, raised: type[RequestError], code: int | None
) -> None:
    """Each failure in the words that the supervisor knows."""
    limit = 0.3 if reply is None else PATIENCE
    async with odd_server({LIST: reply}) as odd, session(odd.server, Ear(), request_timeout=limit) as polled:
        with pytest.raises(raised) as caught:
            await polled.subscribe(ORDERS)
        assert getattr(caught.value, "code", None) == code


@pytest.mark.parametrize(
    "how",
    [{"user": User("nacos", Secret("nacos"))}, {"access_key": AccessKey("key", Secret("hush"))}],
    ids=["token", "signature"],
)
async def test_who_we_are_is_shown_over_http_too(registry: EmbeddedRegistry, how: dict[str, Any]) -> None:
    """A login of 1.x, or a signature among the parameters."""
    await registry.apply(Auth(login=LoginPath.V1, access_key="key", secret_key="hush"))
    async with session(registry, Ear(), **how) as polled:
        assert len((await polled.subscribe(ORDERS)).instances) == 2
    async with session(registry, Ear()) as polled:
        with pytest.raises(ErrorAnswer, match="403"):
            await polled.subscribe(ORDERS)


def versions(source: WatchedSource) -> list[str]:
    told = [update.version for _, update in source.said if isinstance(update, Connected | Identified)]
    return [version for version in told if version]


async def test_a_registry_of_1x_is_found_out_and_polled(registry: EmbeddedRegistry) -> None:
    """With `auto`; changes arrive with the next poll, confirmations as well."""
    async with reading(registry, poll_interval=0.3) as (source, stats):
        await source.next(Connected)
        await source.until(lambda: source.ports()[:1] == [[1, 2]])
        registry.register("orders", "10.0.0.1", 3)
        await source.until(lambda: source.ports(Via.PUSH)[-1] == [1, 2, 3])
        await source.until(lambda: len(source.ports(Via.QUERY)) >= 2)
        await source.until(lambda: versions(source) != [])
        assert versions(source) == ["1.4.8"]
        assert stats.reconnects == {}


async def test_a_list_that_cannot_be_read_changes_nothing(registry: EmbeddedRegistry) -> None:
    """Told as malformed; the session goes on."""
    async with reading(registry, transport=Transport.HTTP, poll_interval=0.2) as (source, _):
        await source.until(lambda: source.ports()[-1:] == [[1, 2]])
        await registry.apply(ForcedList(shape=Shape.HOSTS_NULL))
        await source.next(Malformed)
        registry.lift("forced_list")
        registry.deregister("orders", "10.0.0.1", 1)
        await source.until(lambda: source.ports()[-1] == [2])
        assert source.all(Disconnected) == []


async def test_a_registry_that_falls_silent_is_left(registry: EmbeddedRegistry) -> None:
    """Two polls in a row without an answer; one that is starting is asked again until it has started."""
    async with reading(registry, transport=Transport.HTTP, poll_interval=0.2, request_timeout=1.0) as (source, stats):
        await source.until(lambda: source.ports()[-1:] == [[1, 2]])
        await registry.apply(HttpAnswer(delay_s=3600.0))
        await source.next(Disconnected)
        assert source.all(Disconnected)[-1].reason == "query_failed"
        await registry.apply(Starting())
        registry.lift("http_answer")
        refused = stats.reconnects["open_failed"]
        await until(lambda: stats.reconnects["open_failed"] >= refused + 3)
        known = len(source.all(Connected))
        registry.lift("starting")
        await source.until(lambda: len(source.all(Connected)) > known)


async def test_grpc_is_preferred_as_soon_as_it_can_be_reached(
    registry: EmbeddedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The firewall opens: polling that stood in for it ends, and pushes arrive."""
    monkeypatch.setattr("sidecar.discovery.ways.LOOKED_FOR_AGAIN_AFTER", 0.1)
    async with reading(registry, poll_interval=3600.0) as (source, stats):
        await source.until(lambda: source.ports()[-1:] == [[1, 2]])
        assert len(registry.connections) == 0
        registry.lift("grpc_closed")
        await source.next(Connected)
        registry.register("orders", "10.0.0.1", 3)
        await source.until(lambda: source.ports()[-1] == [1, 2, 3])
        assert len(registry.connections) == 1
        assert stats.reconnects == {"connection_changed": 1}


async def test_a_firewall_that_closes_costs_the_pushes_and_no_list(registry: EmbeddedRegistry) -> None:
    """Some patience with the gRPC port, then polling."""
    registry.lift("grpc_closed")
    await registry.apply(Profile("2.5.1"))
    async with reading(registry, poll_interval=0.2) as (source, _):
        await source.until(lambda: source.ports()[-1:] == [[1, 2]])
        await registry.apply(GrpcClosed())
        await source.next(Connected)
        registry.register("orders", "10.0.0.1", 3)
        await source.until(lambda: source.ports()[-1] == [1, 2, 3])
        assert [update.reason for update in source.all(Disconnected)] == ["stream_end"]
