"""When the registry refuses our login: how long until lists can be had again, once both sides agree.

A list that is pushed needs no token, so in each row the sidecar is made to connect anew while it is locked out: it
stands there subscribed to nothing. What it then knows, it knows by a token that is accepted.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tests.registry_trial.cast import Scene
from tests.registry_trial.registering import Book, RegistryRefused, ask, enrolled, send_away
from tests.registry_trial.row import Measured
from tests.registry_trial.stage import Stage, silent_stage, staged
from tests.support.nacos_server import NacosServer
from tests.support.providers import Provider, providers
from tests.support.relay import Relay, relayed
from tests.support.until import until

TTL = 6
"""Seconds of a token's life; the smallest that leaves time to use one."""

_REFUSED = b'"errorCode":403'
_PASSWORD, _NEXT_PASSWORD = "first-secret", "second-secret"


@dataclass(frozen=True, slots=True)
class _Set:
    """What a row plays with."""

    server: NacosServer
    relay: Relay
    book: Book
    one: Provider
    other: Provider
    settings: dict[str, str]
    """Of the section `nacos`."""


async def expired(scene: Scene) -> Measured:
    """The sidecar stands still beyond the life of its token, and finds a request to connect anew when it wakes."""
    async with AsyncExitStack() as stack:
        put = await stack.enter_async_context(_set(scene))
        silent = silent_stage(scene, put.relay.address, nacos=put.settings, first=[put.one.address])
        stage = await stack.enter_async_context(silent)
        seen = put.relay.mark()
        async with stage.frozen():
            await asyncio.sleep(TTL * 1.25)
            await send_away(put.server, await _token(put.server))
        began = stage.now()
        stage.load.start()
        put.book.token = await _token(put.server)
        await put.book.enrol(put.other.port)
        took = await _knows_both(stage, put) - began
        wrong = () if put.relay.has_passed(_REFUSED, since=seen) else ("the expired token was never refused",)
        return await stage.measured([took], wrong=wrong)


async def forbidden(scene: Scene) -> Measured:
    """The right to read is taken from the sidecar's user and given again; from the server's first yes on."""
    async with AsyncExitStack() as stack:
        put = await stack.enter_async_context(_set(scene))
        stage = await stack.enter_async_context(
            staged(scene, put.relay.address, nacos=put.settings, first=[put.one.address])
        )
        await _permission("DELETE", put.server, scene.service)
        await _locked_out(scene, put)
        await _permission("POST", put.server, scene.service)
        await until(lambda: _may_read(put.server, scene.service), pause=0.1)
        began = stage.now()
        took = await _knows_both(stage, put) - began
        return await stage.measured([took])


async def rotated(scene: Scene) -> Measured:
    """The password is changed at the server, and seconds later in the sidecar's file; from the file on."""
    async with AsyncExitStack() as stack:
        put = await stack.enter_async_context(_set(scene))
        stage = await stack.enter_async_context(
            staged(scene, put.relay.address, nacos=put.settings, first=[put.one.address])
        )
        own = await _logs_in(put.server, scene.service, _PASSWORD)  # an administrator's will not do
        user = {"username": scene.service, "newPassword": _NEXT_PASSWORD}
        await ask(put.server, "PUT", "/v3/auth/user", own, **user)
        await until(lambda: _takes(put.server, scene.service, _NEXT_PASSWORD), pause=0.25)
        await _locked_out(scene, put)
        (scene.folder / "password").write_text(f"{_NEXT_PASSWORD}\n")
        began = stage.now()
        took = await _knows_both(stage, put) - began
        return await stage.measured([took])


async def _locked_out(scene: Scene, put: _Set) -> None:
    """The registry refuses the sidecar, sends it away, refuses its subscription, and is told of one more instance."""
    scene.say("waits for the server to refuse")
    await put.relay.next_with(_REFUSED)
    await send_away(put.server, await _token(put.server))
    await put.relay.next_with(_REFUSED)
    put.book.token = await _token(put.server)
    await put.book.enrol(put.other.port)


async def _knows_both(stage: Stage, put: _Set) -> float:
    return await stage.settled([put.one.address, put.other.address])


@asynccontextmanager
async def _set(scene: Scene) -> AsyncIterator[_Set]:
    """A server with users, of whom the sidecar is one, named after its service; one provider of two is listed."""
    server = await scene.cast.nacos("3.1.0", "users", token_ttl=TTL)
    scene.say("waits for the server to know its users")
    await _make_user(server, scene.service)
    file = scene.folder / "password"
    file.write_text(f"{_PASSWORD}\n")
    settings = {"username": scene.service, "password_file": str(file)}
    async with (
        providers(2) as (one, other),
        relayed(server.http_port) as relay,
        enrolled(server, scene.service, one.port, token=await _token(server)) as book,
    ):
        yield _Set(server, relay, book, one, other, settings)


async def _make_user(server: NacosServer, name: str) -> None:
    """One who may read every list; returns when the server lets it."""
    user = {"username": name, "password": _PASSWORD}
    await ask(server, "POST", "/v3/auth/user", await _token(server), **user)
    await ask(server, "POST", "/v3/auth/role", await _token(server), role=name, username=name)
    await _permission("POST", server, name)
    await until(lambda: _may_read(server, name), pause=0.25)


async def _permission(method: str, server: NacosServer, name: str) -> None:
    """POST gives it, DELETE takes it."""
    permission = {"role": name, "resource": "public:*:naming/*", "action": "r"}
    await ask(server, method, "/v3/auth/permission", await _token(server), **permission)


async def _token(server: NacosServer) -> str:
    """A fresh one of the administrator, whom the first call creates."""
    return await server.create_admin(_PASSWORD)


async def _logs_in(server: NacosServer, name: str, password: str) -> str:
    """Its token, or nothing."""
    form = {"username": name, "password": password}
    status, body = await asyncio.to_thread(server.call, "POST", "/v3/auth/user/login", form)
    return str(json.loads(body)["accessToken"]) if status == 200 else ""


async def _takes(server: NacosServer, name: str, password: str) -> bool:
    return bool(await _logs_in(server, name, password))


async def _may_read(server: NacosServer, name: str) -> bool:
    """Whether the server gives that user the list of the service of the same name."""
    try:
        token = await _logs_in(server, name, _PASSWORD)
        await ask(server, "GET", "/v1/ns/instance/list", token, serviceName=name)
    except RegistryRefused:
        return False
    return True
