"""Logins at real Nacos servers: what they answer in words and in numbers of their own."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest

from sidecar.cluster.instance import Via
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.credentials import Secret, User
from sidecar.discovery.options import NacosOptions
from sidecar.discovery.source import Connected, Disconnected, Identified
from sidecar.discovery.supervisor import NacosSource
from tests.support.java import TOOLS
from tests.support.nacos_server import NacosServer, Version
from tests.support.until import PATIENCE, until
from tests.support.watched_source import watched

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.one_loop]

TTL = 6
SERVICE = "login-story"


@pytest.fixture(params=get_args(Version))
async def server(request: pytest.FixtureRequest) -> AsyncIterator[NacosServer]:
    async with NacosServer(request.param, token_ttl=TTL) as running:
        yield running


def register(server: NacosServer, token: str, port: int) -> None:
    """An instance that stays without beats."""
    instance = {"serviceName": SERVICE, "ip": "127.0.0.1", "port": str(port), "ephemeral": "false"}
    assert server.call("POST", "/v1/ns/instance", instance, token)[0] == 200


def rotate(server: NacosServer, token: str, password: str) -> None:
    path = {"3.1.0": "/v3/auth/user", "2.3.2": "/v1/auth/users"}[server.version]
    assert server.call("PUT", path, {"username": "nacos", "newPassword": password}, token)[0] == 200


@pytest.mark.fact("R-8", "R-9")
@pytest.mark.scenario("S-24")
async def test_r_08_and_09_a_token_expires_and_a_password_is_rotated(
    server: NacosServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Renewals cost no query; while the login is refused lists come by push; once both sides agree again all is well."""
    file = tmp_path / "password"
    file.write_text("first-secret\n")
    token = await server.create_admin("first-secret")
    register(server, token, 1)
    stats = ProcessStats()
    options = NacosOptions(
        server_addresses=(server.address,),
        user=User("nacos", Secret(file=file)),
        open_timeout=PATIENCE,
        request_timeout=PATIENCE,
    )
    nacos = NacosSource(options, {"story": Discovery(service=SERVICE)}, rng=random.Random(1), stats=stats)
    async with watched(nacos) as source:
        await source.until(lambda: source.ports()[-1:] == [[1]])
        nacos.doubt(["story"])
        await asyncio.sleep(TTL * 1.5)
        assert set(stats.queries) == {"ok"}

        token = await server.create_admin("first-secret")
        rotate(server, token, "second-secret")
        register(server, token, 2)
        await source.until(lambda: source.ports()[-1] == [1, 2])

        async def refused() -> bool:
            return stats.queries["error"] >= 1

        await until(refused)
        file.write_text("second-secret\n")
        known = len(source.ports(Via.QUERY))
        await source.until(lambda: len(source.ports(Via.QUERY)) > known)
        told = [source.all(Connected)[0].version, *(said.version for said in source.all(Identified))]
        (known_as,) = [version for version in told if version]
        assert known_as.startswith(server.version)
        assert source.all(Disconnected) == []
    text = "".join(record.getMessage() for record in caplog.records)
    assert "not logged in as nacos" in text
    assert "secret" not in text
