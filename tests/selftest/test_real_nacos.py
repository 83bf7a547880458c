"""What the other tests take for granted about the real servers and the official Java client."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.java import TOOLS
from tests.support.java_provider import JavaProvider
from tests.support.nacos_server import NacosServer
from tests.support.until import PATIENCE, until

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.one_loop]


@pytest.fixture
async def provider(nacos_server: NacosServer, tmp_path: Path) -> AsyncIterator[JavaProvider]:
    async with JavaProvider(nacos_server.address, "order-service", folder=tmp_path, delay=0.3, linger=6.0) as running:
        yield running


async def lists(server: NacosServer, *addresses: str) -> None:
    async def as_wanted() -> bool:
        return await server.instances("order-service") == set(addresses)

    await until(as_wanted)


def call(provider: JavaProvider, method: str, number: str) -> tuple[int, str | None, object]:
    """Status, `Connection` field and body of one call."""
    connection = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=PATIENCE)
    path = f"/echo/{number}" if method == "GET" else "/echo"
    connection.request(method, path, body=number if method == "POST" else None, headers={"x-request-id": number})
    with connection.getresponse() as answer:
        result = answer.status, answer.headers["connection"], json.load(answer)
    connection.close()
    return result


async def test_a_provider_is_listed_and_answers_what_it_executed(
    nacos_server: NacosServer, provider: JavaProvider
) -> None:
    """Both methods answer the id and the port, and each executed id stands in the file once, in order."""
    await lists(nacos_server, provider.address)
    for method in ("GET", "POST"):
        assert await asyncio.to_thread(call, provider, method, "7") == (200, None, {"id": "7", "port": provider.port})
    assert provider.executed() == ["GET 7", "POST 7"]


async def test_a_graceful_stop_leaves_the_list_first_and_answers_what_is_in_flight(
    nacos_server: NacosServer, provider: JavaProvider
) -> None:
    """While it lingers it is no longer listed, still answers, and asks for no further request."""
    await lists(nacos_server, provider.address)
    stopping = asyncio.gather(provider.stop())
    await lists(nacos_server)
    answer = await asyncio.to_thread(call, provider, "GET", "late")
    assert answer == (200, "close", {"id": "late", "port": provider.port})
    assert list(await stopping) == [0]
    assert provider.executed() == ["GET late"]


async def test_a_killed_provider_is_forgotten_and_may_return_on_its_port(
    nacos_server: NacosServer, provider: JavaProvider
) -> None:
    """The server sees the connection close: no heartbeat has to run out."""
    await lists(nacos_server, provider.address)
    await provider.kill()
    await lists(nacos_server)
    await provider.start()
    await lists(nacos_server, provider.address)


async def test_a_provider_told_to_die_does_not_deregister(nacos_server: NacosServer, tmp_path: Path) -> None:
    """SIGTERM ends it within a moment, however long it would linger."""
    rude = JavaProvider(nacos_server.address, "order-service", folder=tmp_path, on_term="die", linger=600.0)
    async with rude, asyncio.timeout(PATIENCE):
        assert await rude.stop() == 0
    await lists(nacos_server)


async def test_a_restarted_server_keeps_its_ports_and_gets_its_providers_back(
    nacos_server: NacosServer, provider: JavaProvider
) -> None:
    """The official client registers again by itself, with nothing of the old connection left."""
    before = nacos_server.address, nacos_server.grpc_port
    await nacos_server.kill()
    await nacos_server.start()
    assert (nacos_server.address, nacos_server.grpc_port) == before
    await lists(nacos_server, provider.address)
