"""What real servers do that no documentation says, held against each version, and what becomes of it with us."""

import asyncio
import functools
import json
import operator
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sidecar.cluster.instance import Push, Via
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery import nacos
from sidecar.discovery.options import NacosOptions
from sidecar.discovery.source import Connected, Disconnected
from sidecar.discovery.supervisor import NacosSource
from tests.support.console import edit, set_threshold
from tests.support.java import TOOLS
from tests.support.nacos_server import NacosServer
from tests.support.ports import free_port
from tests.support.watched_source import WatchedSource, watched
from tests.support.wire_client import WireClient
from tests.support.wire_provider import providing

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.one_loop]


@pytest.fixture
def service(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses: the servers are shared."""
    return f"facts-{request.node.originalname.split('_')[2]}-{random.randrange(1 << 32)}"


@pytest.fixture
async def source(nacos_server: NacosServer, service: str) -> AsyncIterator[WatchedSource]:
    """A source of `service` that has its first list, which is empty."""
    options = NacosOptions(server_addresses=(nacos_server.address,))
    services = {"facts": Discovery(service=service)}
    async with watched(NacosSource(options, services, rng=random.Random(1), stats=ProcessStats())) as found:
        await found.next(Push)
        yield found


def health(source: WatchedSource) -> dict[int, bool]:
    """Of the last list: port and health."""
    return {instance.port: instance.healthy for instance in source.all(Push)[-1].instances}


@pytest.mark.fact("R-3", "R-4")
async def test_r_03_and_04_changes_come_merged_and_queries_that_lag_behind_cost_no_session(
    nacos_server: NacosServer, service: str, source: WatchedSource
) -> None:
    """Three times twenty changes are fewer pushes, each last state among them; queries meanwhile are not believed."""
    source.source.doubt(["facts"])
    async with providing(nacos_server, service, 7001) as (provider,):
        for last in ("20", "40", "60"):
            for number in range(int(last) - 20, int(last)):
                await provider.register(metadata={"change": str(number + 1)})
            await source.until(functools.partial(_is_at_change, source, last))
            await confirmed(source)
        assert len(source.ports(Via.PUSH)) < 60
    assert source.all(Disconnected) == []


@pytest.mark.fact("R-5")
async def test_r_05_heartbeats_that_end_are_told_as_sickness_before_the_end(
    nacos_server: NacosServer, service: str, source: WatchedSource
) -> None:
    """An instance registered over HTTP that never beats: healthy, then unhealthy and listed still, then gone."""
    terms = {"heart.beat.interval": 1000, "heart.beat.timeout": 3000, "ip.delete.timeout": 6000}
    metadata = json.dumps({f"preserved.{term}": str(milliseconds) for term, milliseconds in terms.items()})
    instance = {"serviceName": service, "ip": "127.0.0.1", "port": "7001", "metadata": metadata}
    assert nacos_server.call("POST", "/v1/ns/instance", instance)[0] == 200
    for wanted in ({7001: True}, {7001: False}, {}):
        await told(source, wanted)


@pytest.mark.fact("R-6")
async def test_r_06_a_session_that_asks_every_three_seconds_is_never_suspected_of_being_dead(
    nacos_server: NacosServer, service: str, source: WatchedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent client beside it is asked whether it lives, and servers drop some that answer; ours is never asked."""
    heard: list[str] = []
    receive = nacos._Client._receive

    async def receive_and_note(self: nacos._Client, payload: Any, connection: Any) -> None:
        heard.append(payload.metadata.type)
        await receive(self, payload, connection)

    monkeypatch.setattr(nacos._Client, "_receive", receive_and_note)
    async with WireClient(nacos_server.http_port) as silent:
        await silent.set_up()
        while (await silent.told(within=60))[0] != "ClientDetectionRequest":
            pass
    assert "ClientDetectionRequest" not in heard
    assert source.all(Disconnected) == []


@pytest.mark.fact("R-7")
async def test_r_07_a_changed_threshold_is_settled_once(
    nacos_server: NacosServer, service: str, source: WatchedSource
) -> None:
    """It shows in queries alone, for ever; we come to believe it, at the cost of one session at most."""
    async with providing(nacos_server, service, 7001, 7002) as (well, sick):
        await well.register()
        await sick.register(healthy=False)
        await told(source, {7001: True, 7002: False})
        set_threshold(nacos_server, service, 0.9)
        await told(source, {7001: True, 7002: True})
        await confirmed(source, times=3)
    assert health(source) == {7001: True, 7002: True}
    assert len(source.all(Connected)) <= 2


@pytest.mark.fact("R-10")
async def test_r_10_whoever_is_switched_off_is_not_listed_and_registering_again_does_not_help(
    nacos_server: NacosServer, service: str, source: WatchedSource
) -> None:
    """One of two, then the other: the list is then empty, though both are there and say that they are."""
    async with providing(nacos_server, service, 7001, 7002) as providers:
        for provider in providers:
            await provider.register()
        await source.until(lambda: source.ports()[-1] == [7001, 7002])
        edit(nacos_server, service, 7001, enabled=False)
        await source.until(lambda: source.ports()[-1] == [7002])
        edit(nacos_server, service, 7002, enabled=False)
        await source.until(lambda: source.ports()[-1] == [])
        for provider in providers:
            await provider.register()
        await confirmed(source)
        assert source.ports()[-1] == []


@pytest.mark.fact("R-11")
async def test_r_11_a_persistent_instance_that_refuses_is_listed_as_sick_for_ever(
    nacos_server: NacosServer, service: str, source: WatchedSource
) -> None:
    """The server dials it; that it does not answer changes its health and is pushed, and it stays on the list."""
    port = free_port()
    instance = {"serviceName": service, "ip": "127.0.0.1", "port": str(port), "ephemeral": "false"}
    assert nacos_server.call("POST", "/v1/ns/instance", instance)[0] == 200
    await told(source, {port: False})
    await confirmed(source)
    assert health(source) == {port: False}


@pytest.mark.fact("R-12")
async def test_r_12_the_console_shows_who_subscribes(
    nacos_server: NacosServer, service: str, source: WatchedSource
) -> None:
    """By the name of the application, under the path of each version."""
    path, keys = {
        "3.1.0": ("/v3/admin/ns/service/subscribers", ("data", "pageItems")),
        "2.3.2": ("/v1/ns/service/subscribers", ("subscribers",)),
    }[nacos_server.version]
    query = f"serviceName={service}&groupName=DEFAULT_GROUP&namespaceId=public&aggregation=true&pageNo=1&pageSize=10"
    status, body = await asyncio.to_thread(nacos_server._get, f"{path}?{query}")
    assert status == 200
    found = functools.reduce(operator.getitem, keys, json.loads(body))
    assert [one.get("appName", one.get("app")) for one in found] == ["nacos-sidecar"]


async def told(source: WatchedSource, wanted: dict[int, bool]) -> None:
    """Returns once the last list is this."""
    await source.until(lambda: health(source) == wanted)


async def confirmed(source: WatchedSource, *, times: int = 1) -> None:
    """Returns after so many queries more that say what was pushed last."""
    known = len(source.ports(Via.QUERY))
    await source.until(lambda: len(source.ports(Via.QUERY)) >= known + times)


def _is_at_change(source: WatchedSource, number: str) -> bool:
    return [one.metadata.get("change") for one in source.all(Push)[-1].instances] == [number]
