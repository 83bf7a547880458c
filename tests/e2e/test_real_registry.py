"""The registry source against real Nacos servers and providers of the official Java client."""

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
