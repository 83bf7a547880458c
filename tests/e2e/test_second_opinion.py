"""What real Nacos nodes answer when a list is doubted: disabled or gone, missing on one node or on all."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from sidecar.cluster.policy import Protection
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.clusters import Even
from tests.support.java import TOOLS
from tests.support.nacos_server import NacosServer
from tests.support.providers import Provider, providers
from tests.support.registry_play import registry_play

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.one_loop]

NAMES = (f"opinion-story-{n}" for n in itertools.count(1))
"""The servers are shared by many tests: each has a service of its own."""

PATIENT = Protection(confirm=600.0, max_hold=600.0)
QUICK = Protection(confirm=2.0, max_hold=600.0)

EDIT_PATH = {"3.1.0": "/v3/admin/ns/instance", "2.3.2": "/v1/ns/instance"}


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """Listens to the end: whoever dials it finds it there."""
    async with providers(1) as (one,):
        yield one


async def tell(server: NacosServer, method: str, service: str, provider: Provider, **more: str) -> None:
    """Registers, edits or deregisters the provider; it stays without beats."""
    path = EDIT_PATH[server.version] if method == "PUT" else "/v1/ns/instance"
    form = {"serviceName": service, "ip": "127.0.0.1", "port": str(provider.port), "ephemeral": "false", **more}
    query = "&".join(f"{name}={value}" for name, value in form.items())
    status, body = await asyncio.to_thread(server.call, method, f"{path}?{query}", {})
    assert status == 200, body


@pytest.mark.fact("R-10")
async def test_the_last_instance_disabled_by_an_administrator_is_let_go(
    nacos_server: NacosServer, provider: Provider
) -> None:
    """It is there and answers, and it vanishes from the list: what administrators see ends the hold; enabled, it is back."""
    service = next(NAMES)
    await tell(nacos_server, "POST", service, provider)
    async with registry_play(service, PATIENT, nacos_server.address) as play:
        await play.until(lambda: play.ports == {provider.port})
        await tell(nacos_server, "PUT", service, provider, enabled="false", weight="1")
        await play.until(lambda: not play.ports)
        assert play.verdicts == ["switched_off"]
        assert play.ends == {provider.port: "confirmed"}
        await tell(nacos_server, "PUT", service, provider, enabled="true", weight="1")
        await play.until(lambda: play.ports == {provider.port})
    await tell(nacos_server, "DELETE", service, provider)


async def test_the_last_instance_deregistered_is_not_taken_for_disabled(
    nacos_server: NacosServer, provider: Provider
) -> None:
    """A single node that knows nothing of it: held on, whatever it shows administrators."""
    service = next(NAMES)
    await tell(nacos_server, "POST", service, provider)
    async with registry_play(service, Protection(confirm=1.0, max_hold=600.0), nacos_server.address) as play:
        await play.until(lambda: play.ports == {provider.port})
        await tell(nacos_server, "DELETE", service, provider)
        await play.until(lambda: any(event.kind == "push_refused" for event in play.events))
        await play.pass_time(4.0)
        assert play.ports == {provider.port}
        assert play.ends == {}


async def test_a_real_node_is_asked_about_what_another_one_lost(nacos_server: NacosServer, provider: Provider) -> None:
    """The session's node says empty, the real one lists it and disagrees; once it misses it too, the absence is believed."""
    service = next(NAMES)
    await tell(nacos_server, "POST", service, provider)
    async with EmbeddedRegistry() as home:
        home.register(service, "127.0.0.1", provider.port)
        async with registry_play(service, QUICK, home.address, nacos_server.address, rng=Even()) as play:
            await play.until(lambda: play.ports == {provider.port})
            assert play.home == home.address
            home.deregister(service, "127.0.0.1", provider.port)
            await play.until(lambda: "disagrees" in play.verdicts)
            await play.pass_time(3.0)
            assert play.ports == {provider.port}
            await tell(nacos_server, "DELETE", service, provider)
            await play.until(lambda: not play.ports)
            assert (play.verdicts[0], play.verdicts[-1]) == ("disagrees", "agrees")
            assert play.ends == {provider.port: "confirmed"}
