"""Official clients behind the façade, real servers behind it.

Every run has each client and each server; all pairs of them are `make facade-matrix`.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import get_args

import pytest

from tests.support.facade_story import (
    accepting,
    configuration_passes,
    ground,
    lists_are_guarded,
    registrations_pass,
    some_service,
    staged,
    the_sidecar_stays,
)
from tests.support.java import TOOLS
from tests.support.java_client import JavaClient, LineClient
from tests.support.java_provider import JavaProvider
from tests.support.nacos_server import NacosServer, Version
from tests.support.other_clients import NODE_TOOLS, NodeClient, PythonClient

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.one_loop]

CLIENTS: dict[str, Callable[[str, Path], LineClient]] = {
    "java-1.4.2": lambda address, folder: JavaClient("1.4.2", address, folder=folder),
    "java-2.3.2": lambda address, folder: JavaClient("2.3.2", address, folder=folder),
    "java-3": lambda address, folder: JavaClient("3", address, folder=folder),
    "node": lambda address, folder: NodeClient(address, folder=folder),
    "python": lambda address, folder: PythonClient(address, folder=folder),
}


each_client = pytest.mark.parametrize(
    "client", [pytest.param(name, marks=pytest.mark.needs(*NODE_TOOLS)) if name == "node" else name for name in CLIENTS]
)


@each_client
@pytest.mark.always(
    ("java-1.4.2", "2.3.2"),
    ("java-2.3.2", "2.3.2"),
    ("java-3", "3.1.0"),
    ("node", "2.3.2"),
    ("python", "3.1.0"),
)
async def test_a_client_finds_its_nacos_and_is_spared_false_lists(
    nacos_server: NacosServer, client: str, tmp_path: Path
) -> None:
    """Lists are guarded; registrations and configuration are the real server's."""
    async with (
        staged(nacos_server, tmp_path) as (found, providers),
        CLIENTS[client](found.facade, tmp_path) as app,
    ):
        await lists_are_guarded(app, found, providers)
        await registrations_pass(app, found)
        await configuration_passes(app)


@each_client
@pytest.mark.always(("java-2.3.2", "3.1.0"))
async def test_a_client_sees_nothing_but_the_sidecar(nacos_server: NacosServer, client: str, tmp_path: Path) -> None:
    """With `lists: sidecar`, while providers churn; one beside it without the façade sees them all come and go."""
    async with (
        staged(nacos_server, tmp_path, lists="sidecar") as (found, providers),
        CLIENTS[client](found.facade, tmp_path) as app,
        JavaClient("2.3.2", nacos_server.address, folder=tmp_path / "direct") as direct,
    ):
        await direct.order(f"subscribe {found.service}")
        await the_sidecar_stays(app, found, providers)
        for provider in providers:
            await provider.deregister()
        await direct.lists_at_last(found.service)
        assert await app.order(f"get {found.service}") == found.own


@each_client
@pytest.mark.always(("java-3", "2.3.2"))
async def test_nacos_restarts_and_the_app_does_not_notice(
    nacos_server: NacosServer, client: str, tmp_path: Path
) -> None:
    """Its list stays whole all the time, and what it had registered is there again; so is that of one that started meanwhile."""
    service, mine, yours = some_service(), some_service(), some_service()
    async with AsyncExitStack() as stack:
        providers = [
            await stack.enter_async_context(JavaProvider(nacos_server.address, service, folder=tmp_path))
            for _ in range(2)
        ]
        addresses = sorted(one.address for one in providers)
        found = await stack.enter_async_context(ground(nacos_server, service, addresses, tmp_path))
        app = await stack.enter_async_context(CLIENTS[client](found.facade, tmp_path))
        await app.order(f"subscribe {service}")
        await app.lists_at_last(service, *addresses)
        await app.order(f"register {mine} 4711")
        await found.registry_lists("127.0.0.1:4711", service=mine)
        await nacos_server.kill()
        try:
            late = await stack.enter_async_context(CLIENTS[client](found.facade, tmp_path / "late"))
            await late.order(f"subscribe {service}")
            await late.lists_at_last(service, *addresses)
            assert (await late.attempt(f"register {yours} 4712")).startswith("failed ")
            assert await app.order(f"get {service}") == ",".join(addresses)
        finally:
            await nacos_server.start()
        await found.registry_lists("127.0.0.1:4711", service=mine)
        if client != "node":  # it gives a registration that failed up
            await found.registry_lists("127.0.0.1:4712", service=yours)
        await found.registry_lists(*addresses)
        for one in (app, late):
            assert {tuple(listed) for listed in one.lists(service)} == {tuple(addresses)}


@pytest.mark.matrix
@pytest.mark.parametrize("version", get_args(Version))
async def test_a_login_is_the_apps_own(version: Version, tmp_path: Path) -> None:
    """One that logs in gets what it may; one that does not is refused in the server's words, not told our list."""
    service, secret = some_service(), "first-secret"
    async with NacosServer(version, token_ttl=3600) as server, accepting() as port:
        token = await server.create_admin(secret)
        instance = {"serviceName": service, "ip": "127.0.0.1", "port": str(port), "ephemeral": "false"}
        assert server.call("POST", "/v1/ns/instance", instance, token)[0] == 200
        login = f", username: nacos, password: {secret}"
        async with (
            ground(server, service, [f"127.0.0.1:{port}"], tmp_path, nacos=login) as found,
            JavaClient("2.3.2", found.facade, folder=tmp_path, login=("nacos", secret)) as known,
            JavaClient("2.3.2", found.facade, folder=tmp_path / "other") as stranger,
        ):
            await known.order(f"subscribe {service}")
            await known.lists_at_last(service, f"127.0.0.1:{port}")
            await configuration_passes(known)
            refused = await stranger.attempt(f"get {service}")
            assert refused.startswith("failed ")
            assert "127.0.0.1" not in refused.removeprefix(f"failed get {service}")
            assert "user not found" in refused.lower() or "403" in refused or "authorization" in refused.lower(), (
                refused
            )
