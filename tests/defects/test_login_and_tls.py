"""Defects in how the client library shows who it is: that it has them, and that ours neither wait nor tell secrets."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.cluster.instance import Via
from sidecar.discovery.credentials import Secret, User
from sidecar.discovery.http import Http
from sidecar.discovery.login import log_in
from sidecar.discovery.options import NacosOptions, Tls
from sidecar.discovery.source import Connected, Disconnected
from sidecar.embedded.faults import Answer, Auth, HttpAnswer, LoginPath, RevokeTokens
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.embedded.tls import ServerTls
from tests.support import sdk
from tests.support.certificates import Authority
from tests.support.odd_server import answer, odd_server
from tests.support.watched_source import following

PASSWORD = "open-sesame"
TOKEN = "token-of-the-test"
LOGGED_IN = answer("200 OK", f'{{"accessToken": "{TOKEN}", "tokenTtl": 18000}}')


@pytest.mark.reproduces(14)
async def test_reproduced_14_a_login_waits_for_hours(tmp_path: Path) -> None:
    """The limit in milliseconds is taken for seconds."""

    def hurried(config: Any) -> None:
        _user(config)
        config.set_timeout_ms(50)

    async with (
        odd_server({"/nacos/v1/auth/users/login": None}) as odd,
        sdk.closed_client(str(odd.server), tmp_path, tune=hurried) as client,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await _security(client)


@pytest.mark.defect(14)
async def test_defect_14_a_login_that_hangs_keeps_no_list_waiting(registry: EmbeddedRegistry) -> None:
    """It is given up after `request_timeout`, and a server that asks nobody for a token serves all the same."""
    await registry.apply(HttpAnswer(delay_s=300.0))
    async with following(registry, user=_ours(), request_timeout=0.3) as source:
        assert source.ports()[0] == [8081]


@pytest.mark.reproduces(14)
async def test_reproduced_14_a_refused_token_is_shown_again(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """No login follows a 403."""
    await registry.apply(Auth(password=PASSWORD))
    async with sdk.sdk_client(registry.address, tmp_path, tune=_user) as client:
        await sdk.query(client, "orders")
        known = registry.doorman.logins
        await registry.apply(RevokeTokens())
        for _ in range(2):
            with pytest.raises(sdk.NacosException):
                await sdk.query(client, "orders")
        assert registry.doorman.logins == known


@pytest.mark.defect(14)
@pytest.mark.scenario("S-24")
@pytest.mark.one_loop
async def test_defect_14_a_refused_token_is_replaced_within_the_query(registry: EmbeddedRegistry) -> None:
    """One more login, no error, no other session."""
    await registry.apply(Auth(password=PASSWORD))
    async with following(registry, user=_ours()) as source:
        await registry.apply(RevokeTokens())
        source.source.doubt(["orders"])
        known = len(source.ports(Via.QUERY))
        await source.until(lambda: len(source.ports(Via.QUERY)) > known)
        assert (registry.doorman.logins, len(source.all(Connected)), source.all(Disconnected)) == (2, 1, [])


@pytest.mark.reproduces(15)
async def test_reproduced_15_only_the_first_path_of_a_login_is_known(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """At a server that has the newer path alone nobody is logged in."""
    await registry.apply(Auth(login=LoginPath.V3, password=PASSWORD))
    async with sdk.sdk_client(registry.address, tmp_path, tune=_user) as client:
        with pytest.raises(sdk.NacosException, match="get access token failed"):
            await sdk.query(client, "orders")


@pytest.mark.defect(15)
@pytest.mark.scenario("S-24")
@pytest.mark.parametrize("paths", [LoginPath.V1, LoginPath.V3])
async def test_defect_15_every_generation_of_servers_lets_us_in(registry: EmbeddedRegistry, paths: LoginPath) -> None:
    """With one login either way."""
    await registry.apply(Auth(login=paths, password=PASSWORD))
    async with following(registry, user=_ours()) as source:
        assert source.ports()[0] == [8081]
        assert registry.doorman.logins == 1


@pytest.mark.reproduces(16)
async def test_reproduced_16_secrets_stand_in_addresses_and_logs(tmp_path: Path) -> None:
    """The password in the address of the login, the token in the log at INFO."""

    def talkative(config: Any) -> None:
        _user(config)
        config.set_log_level(logging.INFO)

    async with odd_server({"/nacos/v1/auth/users/login": LOGGED_IN}) as odd:
        async with sdk.closed_client(str(odd.server), tmp_path, tune=talkative) as client:
            with sdk.messages() as written:
                await _security(client)
        assert any(TOKEN in line for line in written)
        assert f"password={PASSWORD} HTTP/1.1" in odd.seen[0]


@pytest.mark.defect(16)
async def test_defect_16_no_secret_stands_in_any_address_or_log(
    registry: EmbeddedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at DEBUG, refused tokens and failing queries among what there is to tell."""
    caplog.set_level(logging.DEBUG)
    await registry.apply(Auth(password=PASSWORD))
    async with following(registry, user=_ours()) as source:
        await registry.apply(RevokeTokens())
        await registry.apply(Answer("ServiceQueryRequest", error=500, times=1))
        source.source.doubt(["orders"])
        await source.until(lambda: bool(source.ports(Via.QUERY)))
        shown = {seen.headers["accessToken"] for seen in registry.connections.requests if "accessToken" in seen.headers}
    assert len(shown) == 2
    assert not [text for text in (PASSWORD, *shown) if text in caplog.text]


@pytest.mark.defect(16)
async def test_defect_16_a_password_travels_in_the_body() -> None:
    """Never in the address, which servers and proxies write down."""
    async with odd_server({"/nacos/v3/auth/user/login": LOGGED_IN}) as odd:
        async with Http(odd.server, NacosOptions()) as http:
            assert (await log_in(http, "nacos", PASSWORD))[0] == TOKEN
        head, _, body = odd.seen[0].partition("\r\n\r\n")
    assert (PASSWORD in head, PASSWORD in body) == (False, True)


@pytest.fixture
async def behind_tls(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedRegistry, Authority]]:
    """A registry with a certificate, and who issued it."""
    authority = Authority(tmp_path)
    own = authority.issue("127.0.0.1")
    async with EmbeddedRegistry(push_delay_s=0.0, tls=ServerTls(own.cert_file, own.key_file)) as registry:
        registry.register("orders", "127.0.0.1", 8081)
        yield registry, authority


@pytest.mark.reproduces(25)
async def test_reproduced_25_no_tls_without_a_certificate_of_ones_own(
    behind_tls: tuple[EmbeddedRegistry, Authority], tmp_path: Path
) -> None:
    """With an authority alone the library opens a file without a name, and never a connection."""
    registry, authority = behind_tls

    def one_way(config: Any) -> None:
        config.set_tls_config(sdk.nacos.TLSConfig(enabled=True, ca_file=str(authority.file)))

    async with sdk.sdk_client(registry.address, tmp_path, tune=one_way) as client:
        assert not await client.server_health()
        with pytest.raises(FileNotFoundError):
            await client.grpc_client_proxy.rpc_client._create_new_managed_channel("127.0.0.1", registry.port + 1000)


@pytest.mark.defect(25)
async def test_defect_25_an_authority_is_enough(behind_tls: tuple[EmbeddedRegistry, Authority]) -> None:
    """A subscription and a push over TLS that asks for no certificate of ours."""
    registry, authority = behind_tls
    async with following(registry, tls=Tls(ca_file=authority.file)) as source:
        registry.register("orders", "127.0.0.1", 8082)
        await source.until(lambda: source.ports()[-1] == [8081, 8082])


def _ours() -> User:
    return User("nacos", Secret(PASSWORD))


def _user(config: Any) -> None:
    config.username, config.password = "nacos", PASSWORD


async def _security(client: Any) -> None:
    """What the library does before every request."""
    await client.grpc_client_proxy.nacos_server_connector.inject_security_info({})
