"""The registry source against real Nacos servers and providers of the official Java client."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.cluster.instance import Push, Via
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.options import NacosOptions, Transport
from sidecar.discovery.source import Connected, Disconnected
from sidecar.discovery.supervisor import NacosSource
from tests.support.java import TOOLS
from tests.support.java_provider import JavaProvider
from tests.support.nacos_server import NacosServer
from tests.support.sidecar_process import running
from tests.support.until import PATIENCE
from tests.support.watched_source import WatchedSource, watched

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.one_loop]

SERVICE = "discovery-story"
PATIENT: dict[str, Any] = {"open_timeout": PATIENCE, "request_timeout": PATIENCE}


@pytest.fixture
async def provider(nacos_server: NacosServer, tmp_path: Path) -> AsyncIterator[JavaProvider]:
    async with JavaProvider(nacos_server.address, SERVICE, folder=tmp_path, linger=0.0) as running:
        yield running


@pytest.fixture
async def source(nacos_server: NacosServer, provider: JavaProvider) -> AsyncIterator[WatchedSource]:
    """A source that has seen the provider."""
    options = NacosOptions(server_addresses=(nacos_server.address,), **PATIENT)
    services = {"story": Discovery(service=SERVICE)}
    nacos = NacosSource(options, services, rng=random.Random(1), stats=ProcessStats())
    async with watched(nacos) as found:
        await found.until(lambda: found.ports()[-1:] == [[provider.port]])
        yield found


@pytest.mark.fact("R-5")
async def test_providers_come_and_go_with_the_pushes_of_the_server(
    source: WatchedSource, provider: JavaProvider
) -> None:
    """Graceful stop, start, kill, start: each is told within the second or two that the server takes."""
    for leave in (provider.stop, provider.kill):
        await leave()
        await source.until(lambda: source.ports()[-1] == [])
        await provider.start()
        await source.until(lambda: source.ports()[-1] == [provider.port])
    assert len(source.all(Connected)) == 1


async def test_queries_agree_with_pushes(source: WatchedSource, provider: JavaProvider) -> None:
    """No session is thrown away over lists that say the same, and the protection flag is known."""
    await source.until(lambda: len(source.ports(Via.QUERY)) >= 3)
    assert source.ports(Via.QUERY)[-1] == [provider.port]
    assert source.all(Push)[-1].protect is False
    assert source.all(Disconnected) == []


async def test_without_grpc_lists_are_polled(nacos_server: NacosServer, provider: JavaProvider) -> None:
    """The same instances over HTTP, and the end of one within the server's second and a poll."""
    options = NacosOptions((nacos_server.address,), transport=Transport.HTTP, poll_interval=0.5, **PATIENT)
    services = {"story": Discovery(service=SERVICE)}
    polling = NacosSource(options, services, rng=random.Random(1), stats=ProcessStats())
    async with watched(polling) as found:
        await found.until(lambda: found.ports()[-1:] == [[provider.port]])
        await provider.stop()
        await found.until(lambda: found.ports()[-1] == [])
        assert found.all(Disconnected) == []


_MEANT = {"namespaceId": "space", "groupName": "G", "clusterName": "east", "metadata": '{"tier":"one"}'}

_FILTERED = """\
version: 1
listen: null
admin: {{listen: "127.0.0.1:0"}}
nacos: {{server_addresses: "{server}", namespace: space, transport: {transport}}}
services:
  - name: orders
    listen: 127.0.0.1:0
    discovery: {{service: filtered, group: G, clusters: [east, north], metadata: {{tier: one}}}}
"""


@pytest.mark.own_process
@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_namespace_group_cluster_and_metadata_leave_out_all_others(
    nacos_server: NacosServer, tmp_path: Path, transport: str
) -> None:
    """Five instances of one name, of which each but the first is wrong in one respect."""
    others = ({"namespaceId": "public"}, {"groupName": "H"}, {"clusterName": "west"}, {"metadata": '{"tier":"two"}'})
    for port, wrong in enumerate(({}, *others), 7001):
        form = {"ip": "127.0.0.1", "port": str(port), "ephemeral": "false", **_MEANT, **wrong}
        form["serviceName"] = f"{form['groupName']}@@filtered"
        status, body = await asyncio.to_thread(nacos_server.call, "POST", "/v1/ns/instance", form)
        assert status == 200, body
    text = _FILTERED.format(server=nacos_server.address, transport=transport)
    async with running(tmp_path, text) as sidecar:
        await sidecar.ready()
        (orders,) = await sidecar.clusters()
    assert [endpoint["address"] for endpoint in orders["endpoints"]] == ["127.0.0.1:7001"]


@pytest.mark.fact("R-1", "R-2")
async def test_r_01_and_02_a_restarted_server_is_left_found_and_believed_no_sooner_than_it_speaks(
    source: WatchedSource, nacos_server: NacosServer, provider: JavaProvider
) -> None:
    """Lost while it is down, subscribed again by itself, and the list is whole once the provider is back."""
    await nacos_server.kill()
    await source.next(Disconnected)
    known = len(source.all(Connected))
    await nacos_server.start()
    await source.until(lambda: len(source.all(Connected)) > known)
    epoch = source.all(Connected)[-1].epoch

    def whole() -> bool:
        ports = [instance.port for push in source.all(Push)[-1:] for instance in push.instances if push.epoch == epoch]
        return ports == [provider.port]

    await source.until(whole)
    assert source.all(Disconnected)[-1].reason in {"stream_end", "open_failed"}
