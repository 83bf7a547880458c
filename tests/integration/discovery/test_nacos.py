"""One session of the client library over real gRPC: the contract with its inner objects."""

import asyncio
from collections.abc import AsyncIterator
from importlib.metadata import version

import pytest

from sidecar.cluster.instance import Instance
from sidecar.discovery import nacos
from sidecar.discovery.nacos import NacosSession, local_ip
from sidecar.discovery.session import ErrorAnswer, Listing, ServiceKey, Unanswered, Unreadable
from sidecar.embedded.faults import (
    Abilities,
    Answer,
    BlackHole,
    DetectClients,
    ForcedList,
    Negotiation,
    PushNow,
    Shape,
    Starting,
)
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.wire import Payload
from tests.support.registry_session import ORDERS, Ear, new_session, ports
from tests.support.until import PATIENCE


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


async def test_an_unreadable_push_is_reported_and_acknowledged(
    registry: EmbeddedRegistry, session: NacosSession, ear: Ear
) -> None:
    """Unacknowledged it would come again each second; the session lives on."""
    await session.subscribe(ORDERS)
    await registry.apply(ForcedList(shape=Shape.HOSTS_NULL, in_answers=False))
    await registry.apply(PushNow())
    while not isinstance((told := await ear.next())[1], str):
        pass
    assert told[0] == ORDERS
    assert ear.troubles == []
    (connection,) = registry.connections
    async with asyncio.timeout(PATIENCE):
        while connection.unacked:  # noqa: ASYNC110 - the server's book, not ours
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b'{"serviceInfo": "\xff"}'])
async def test_a_push_that_is_no_message_is_told_once(
    registry: EmbeddedRegistry, session: NacosSession, ear: Ear, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    """Nobody knows whom it was about; it is acknowledged, and what comes next is read."""
    await session.subscribe(ORDERS)
    (connection,) = registry.connections
    for _ in range(2):
        connection.send(Payload("NotifySubscriberRequest", body))
    registry.register("orders", "10.0.0.1", 81)
    await ear.until(80, 81)
    assert ear.troubles == []
    assert [record.getMessage().partition(" pushes ")[0] for record in caplog.records] == [
        f"registry {registry.address}"
    ]


async def test_an_unreadable_answer_says_so(registry: EmbeddedRegistry, session: NacosSession) -> None:
    """Neither an empty list nor a lost connection."""
    await registry.apply(ForcedList(shape=Shape.HOSTS_NULL))
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


async def test_a_server_that_accepts_and_is_silent_is_given_up(
    registry: EmbeddedRegistry, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process, whose kernel goes on: by the session itself, so that the next server has its turn soon."""
    monkeypatch.setattr(nacos, "GREETING_TIMEOUT", 0.1)
    await registry.apply(BlackHole())
    session = new_session(registry, ear, timeout=0.1)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Unanswered):
            await session.open()
    await session.close()


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


def test_a_host_without_a_network_has_an_address_too() -> None:
    """The library raises where there is only loopback."""
    assert local_ip().count(".") == 3
