"""What users suffered, played against the embedded registry: real gRPC, in its own time.

How long each takes is claimed where a test owns the clock (`tests/unit/discovery`) and measured on idle ground.
"""

import contextlib
import functools
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.cluster.instance import Push, Via
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery import ways
from sidecar.discovery.credentials import AccessKey, Secret, User
from sidecar.discovery.options import NacosOptions
from sidecar.discovery.source import Connected, Disconnected, Identified
from sidecar.discovery.supervisor import NacosSource
from sidecar.embedded.faults import (
    Auth,
    BlackHole,
    EndStreams,
    ForcedList,
    HttpAnswer,
    LoginPath,
    Profile,
    PushNow,
    Restart,
    RevokeTokens,
    Shape,
    Starting,
    SuppressPushes,
)
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.stack import until
from tests.support.until import PATIENCE
from tests.support.watched_source import WatchedSource, watched

HOST = "10.0.0.1"


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    """Pushes without delay; two instances of `orders`."""
    async with EmbeddedRegistry(push_delay_s=0.0) as registry:
        registry.register("orders", HOST, 1)
        registry.register("orders", HOST, 2)
        yield registry


PATIENT: dict[str, Any] = {"request_timeout": PATIENCE, "open_timeout": PATIENCE}
"""No request of a test fails for being slow, unless that is what the test is about."""


@contextlib.asynccontextmanager
async def reading(
    *registries: EmbeddedRegistry, stats: ProcessStats | None = None, **more: Any
) -> AsyncIterator[WatchedSource]:
    """A source of `orders`, connected or not."""
    options = NacosOptions(server_addresses=tuple(registry.address for registry in registries), **(PATIENT | more))
    services = {"orders": Discovery(service="orders")}
    source = NacosSource(options, services, rng=random.Random(1), stats=stats or ProcessStats())
    async with watched(source) as found:
        yield found


@contextlib.asynccontextmanager
async def connected(*registries: EmbeddedRegistry, stats: ProcessStats | None = None) -> AsyncIterator[WatchedSource]:
    """A source that has its first list."""
    async with reading(*registries, stats=stats) as source:
        await source.next(Push)
        yield source


def last(source: WatchedSource) -> list[int]:
    return source.ports()[-1]


def versions(source: WatchedSource) -> list[str]:
    """Those that were told, each as often as it was."""
    told = [update.version for _, update in source.said if isinstance(update, Connected | Identified)]
    return [version for version in told if version]


@pytest.mark.scenario("S-19")
async def test_started_before_the_registry_it_connects_when_it_comes(
    registry: EmbeddedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing fails, and once the port opens the list is there; why it was not before is told once."""
    await registry.stop()
    async with reading(registry) as source:
        await source.next(Disconnected)
        await registry.start()
        await source.until(lambda: bool(source.ports()))
        assert last(source) == [1, 2]
        assert [update.reason for update in source.all(Disconnected)] == ["open_failed"]
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned == [f"registry {registry.address}: port {registry.port + 1000} is closed"]


@pytest.mark.scenario("S-19")
async def test_a_starting_registry_is_waited_for(registry: EmbeddedRegistry) -> None:
    """It answers 300 for a while, and is asked again until it does no more."""
    await registry.apply(Starting())
    stats = ProcessStats()
    async with reading(registry, stats=stats) as source:
        await until(lambda: stats.reconnects["open_failed"] >= 3)
        assert source.ports() == []
        registry.lift("starting")
        await source.until(lambda: source.ports()[:1] == [[1, 2]])


async def test_a_registry_and_its_instances_may_have_ipv6_addresses() -> None:
    """Lists come over gRPC, the version over HTTP, and an instance is told as its address is written."""
    async with EmbeddedRegistry("::1", push_delay_s=0.0) as registry, reading(registry) as source:
        await source.next(Push)
        registry.register("orders", "2001:db8::1", 1)
        await source.until(lambda: last(source) == [1])
        assert source.all(Push)[-1].instances[0].address == "[2001:db8::1]:1"
        await source.until(lambda: versions(source) == ["3.1.0"])


async def test_a_push_is_told_without_a_question(registry: EmbeddedRegistry) -> None:
    """From the registry's decision to the reader of `updates`, over a real socket."""
    stats = ProcessStats()
    async with reading(registry, stats=stats, liveness_interval=3600.0, reconcile_interval=3600.0) as source:
        await source.next(Push)
        asked = registry.connections.counts["ServiceQueryRequest"]
        registry.register("orders", HOST, 3)
        await source.until(lambda: last(source) == [1, 2, 3])
        assert registry.connections.counts["ServiceQueryRequest"] == asked


@pytest.mark.scenario("S-21")
async def test_a_restart_is_told_as_it_happens_false_empty_list_and_all(registry: EmbeddedRegistry) -> None:
    """Lost at once, empty from the new session, then one by one as they return."""
    async with connected(registry) as source:
        await registry.apply(Restart(down_s=0.3, starting_s=0.3, return_after_s=None))
        await source.next(Disconnected)
        await source.next(Connected)
        await source.until(lambda: last(source) == [])
        registry.register("orders", HOST, 2)
        await source.until(lambda: last(source) == [2])
        registry.register("orders", HOST, 1)
        await source.until(lambda: last(source) == [1, 2])
        epoch = source.all(Connected)[-1].epoch
        assert next(push for push in source.all(Push) if push.epoch == epoch).instances == ()


@pytest.mark.defect(11)
@pytest.mark.scenario("S-18")
@pytest.mark.one_loop
async def test_a_black_hole_is_left_for_the_next_server(registry: EmbeddedRegistry) -> None:
    """The stopped process keeps its port and its connections; two questions without an answer are enough."""
    async with EmbeddedRegistry(push_delay_s=0.0) as other:
        other.register("orders", HOST, 9)
        async with reading(registry, other, request_timeout=1.0) as source:
            await source.next(Push)
            hole, rescue = (registry, [9]) if last(source) == [1, 2] else (other, [1, 2])
            await hole.apply(BlackHole())
            source.source.doubt(["orders"])
            await source.until(lambda: last(source) == rescue)
            assert source.all(Disconnected)[-1].reason == "query_failed"
            hole.lift("black_hole")


@pytest.mark.scenario("S-18")
@pytest.mark.one_loop
async def test_a_black_hole_is_left_for_another_node_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """One name for all nodes, as in Kubernetes: lists and logins alike go on at another address, here and back."""

    async def resolve(_host: str) -> list[str]:
        return ["127.0.0.1", "127.0.0.2"]

    monkeypatch.setattr(ways, "resolve", resolve)
    async with (
        EmbeddedRegistry("127.0.0.1", push_delay_s=0.0) as one,
        EmbeddedRegistry("127.0.0.2", one.port, push_delay_s=0.0) as other,
    ):
        nodes = {1: one, 2: other}
        for port, node in nodes.items():
            node.register("orders", HOST, port)
            await node.apply(Auth())
        monkeypatch.setattr(one, "host", "nacos-headless.invalid")
        user = User("nacos", Secret("nacos"))
        async with reading(one, user=user, request_timeout=1.0) as source:
            await source.next(Push)
            for _ in range(2):
                (home,) = last(source)
                hole, away = nodes[home], 3 - home
                await hole.apply(BlackHole())
                source.source.doubt(["orders"])
                await source.until(functools.partial(_is_last, source, [away]))
                hole.lift("black_hole")
        assert {update.reason for update in source.all(Disconnected)} == {"query_failed"}


def _is_last(source: WatchedSource, ports: list[int]) -> bool:
    return last(source) == ports


@pytest.mark.scenario("S-22")
@pytest.mark.one_loop
async def test_a_lost_push_is_made_good_while_in_doubt(registry: EmbeddedRegistry) -> None:
    """The list changed, nobody told us, a connect fails: it is asked for, and the session is blamed."""
    async with connected(registry) as source:
        await registry.apply(SuppressPushes("orders"))
        registry.deregister("orders", HOST, 1)
        source.source.doubt(["orders"])
        await source.until(lambda: last(source) == [2])
        assert source.all(Disconnected)[-1].reason == "list_mismatch"


async def test_lists_of_another_group_are_not_ours(registry: EmbeddedRegistry) -> None:
    """A server that mixes up groups brings nobody in."""
    async with connected(registry) as source:
        await registry.apply(ForcedList(shape=Shape.WRONG_GROUP, in_answers=False))
        await registry.apply(PushNow())
        registry.lift("forced_list")
        registry.register("orders", HOST, 3)
        await source.until(lambda: last(source) == [1, 2, 3])


@pytest.mark.one_loop
async def test_a_query_confirms_what_was_pushed(registry: EmbeddedRegistry) -> None:
    """Two seconds after the last push, under the same epoch: one more answer for the guard to count."""
    async with connected(registry) as source:
        await source.until(lambda: source.ports(Via.QUERY)[:1] == [[1, 2]])
        assert source.all(Push)[-1].protect is False


def logged_in(
    registry: EmbeddedRegistry, password: Secret, *, stats: ProcessStats | None = None, **more: Any
) -> NacosSource:
    """A source of `orders` for the user `nacos`."""
    options = NacosOptions(server_addresses=(registry.address,), user=User("nacos", password), **(PATIENT | more))
    services = {"orders": Discovery(service="orders")}
    return NacosSource(options, services, rng=random.Random(1), stats=stats or ProcessStats())


@pytest.mark.scenario("S-24")
@pytest.mark.one_loop
async def test_an_expired_token_costs_one_more_login_and_no_list(registry: EmbeddedRegistry) -> None:
    """Renewed before its end; one that the server forgets is replaced within the query that finds out."""
    await registry.apply(Auth(password="right", token_ttl_s=2))
    async with watched(logged_in(registry, Secret("right"))) as source:
        await source.next(Push)
        source.source.doubt(["orders"])
        await until(lambda: registry.doorman.logins >= 2)
        await registry.apply(RevokeTokens())
        confirmed = len(source.ports(Via.QUERY))
        await source.until(lambda: len(source.ports(Via.QUERY)) > confirmed)
        assert len(source.all(Connected)) == 1
        assert source.all(Disconnected) == []


@pytest.mark.one_loop
async def test_a_password_is_rotated_without_a_word_to_us(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """Server first, file later: lists go on by push, and queries once the file has it."""
    file = tmp_path / "password"
    file.write_text("old")
    await registry.apply(Auth(password="old"))
    stats = ProcessStats()
    async with watched(logged_in(registry, Secret(file=file), stats=stats)) as source:
        await source.next(Push)
        await registry.apply(Auth(password="new"))
        await registry.apply(RevokeTokens())
        source.source.doubt(["orders"])
        await until(lambda: stats.queries["error"] >= 2)
        registry.register("orders", HOST, 3)
        await source.until(lambda: last(source) == [1, 2, 3])
        confirmed = len(source.ports(Via.QUERY))
        file.write_text("new")
        await source.until(lambda: len(source.ports(Via.QUERY)) > confirmed)
        assert len(source.all(Connected)) == 1


@pytest.mark.one_loop
async def test_a_wrong_password_is_mended_in_place(
    registry: EmbeddedRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Connected without a list, which comes once the file is right; what the log says of it holds no secret."""
    file = tmp_path / "password"
    file.write_text("wrong-one")
    await registry.apply(Auth(password="right-one"))
    stats = ProcessStats()
    async with watched(logged_in(registry, Secret(file=file), stats=stats)) as source:
        await source.next(Connected)
        await until(lambda: stats.queries["error"] >= 1)
        assert source.ports() == []
        file.write_text("right-one")
        await source.until(lambda: source.ports()[:1] == [[1, 2]])
    text = "".join(record.getMessage() for record in caplog.records)
    assert "not logged in as nacos" in text
    assert "wrong-one" not in text


async def test_a_registry_that_wants_signatures_gets_them(
    registry: EmbeddedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """Subscriptions and queries alike; with another secret there is no list and no reconnecting, and that is told once."""
    await registry.apply(Auth(login=LoginPath.NONE, access_key="key", secret_key="hush"))
    for secret, outcome, found in (("hush", "ok", [[1, 2]]), ("other", "error", [])):
        stats = ProcessStats()
        async with reading(registry, stats=stats, access_key=AccessKey("key", Secret(secret))) as source:
            await source.next(Connected)
            source.source.doubt(["orders"])
            await until(functools.partial(_asked_twice, stats))
            assert set(stats.queries) == {outcome}
            assert source.ports()[:1] == found
            assert source.all(Disconnected) == []
    (told, *repeated) = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told[0] == "WARNING"
    assert "gives no list of orders in group DEFAULT_GROUP: error 403" in told[1]
    assert {level for level, _ in repeated} <= {"DEBUG"}


def _asked_twice(stats: ProcessStats) -> bool:
    return stats.queries.total() >= 2


@pytest.mark.parametrize("version", ["2.5.1", "3.1.0", "3.2.4"])
async def test_the_version_is_known_with_the_connection(registry: EmbeddedRegistry, version: str) -> None:
    """Asked for while the session opens, and told once: with the connection, or as soon as it is known."""
    await registry.apply(Profile(version))
    async with connected(registry) as source:
        await source.until(lambda: bool(versions(source)))
        assert versions(source) == [version]


async def test_a_version_that_is_slow_to_come_keeps_nothing_waiting(
    registry: EmbeddedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told when it is known."""
    monkeypatch.setattr("sidecar.discovery.version.ASKED_AGAIN_AFTER", 0.05)
    await registry.apply(HttpAnswer(status=503))
    async with connected(registry) as source:
        assert [update.version for update in source.all(Connected)] == [None]
        registry.lift("http_answer")
        await source.until(lambda: bool(source.all(Identified)))
        (found,) = source.all(Identified)
        assert (found.epoch, found.version) == (source.all(Connected)[0].epoch, "3.1.0")


async def test_a_known_bad_version_is_warned_about_once(
    registry: EmbeddedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is connected; in the words of what it will cost."""
    await registry.apply(Profile("2.2.3"))
    async with connected(registry) as source:
        for session in (1, 2):
            await source.until(functools.partial(_told, source, session))
            await registry.apply(EndStreams())
            await source.next(Connected)
        await source.until(functools.partial(_told, source, 3))
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"registry {registry.address} runs Nacos 2.2.3: instances that die" in line


def _told(source: WatchedSource, count: int) -> bool:
    return len(versions(source)) == count
