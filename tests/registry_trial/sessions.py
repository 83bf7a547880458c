"""What ends a registry session, and how long until the next one has the list of now.

After each fault the registry is told of one more instance: it counts as recovered when calls can go there.
"""

import asyncio
import json
from contextlib import AsyncExitStack

from sidecar.embedded.faults import (
    Afterwards,
    Answer,
    Auth,
    BlackHole,
    EndStreams,
    Fault,
    HttpAnswer,
    StreamStatus,
    SuppressPushes,
)
from sidecar.embedded.registry import EmbeddedRegistry
from tests.registry_trial.cast import Scene
from tests.registry_trial.registering import enrolled, listed, send_away, without_sidecars
from tests.registry_trial.row import Measured
from tests.registry_trial.stage import Stage, configuration, silent_stage, staged
from tests.support.java_provider import JavaProvider
from tests.support.nacos_server import NacosServer, Version
from tests.support.own_network import black_hole
from tests.support.providers import providers


async def restarted(scene: Scene, version: Version) -> Measured:
    """A server restarts under two providers of the official client, which return to it, and a third comes."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        old, new = _java(scene, server, 2), _java(scene, server, 1)
        await asyncio.gather(*(stack.enter_async_context(provider) for provider in old))
        known = {provider.address for provider in old}
        await listed(server, scene.service, known)
        stage = await stack.enter_async_context(staged(scene, server.address, first=known))
        await server.stop()
        await server.start()
        await asyncio.gather(*(stack.enter_async_context(provider) for provider in new))
        known.update(provider.address for provider in new)
        since = await listed(server, scene.service, known)
        took = await stage.settled(known) - since
        refused = {event["why"] for event in stage.sidecar.events("push_refused")}
        return await stage.measured([took], remark=f"doubted meanwhile: {', '.join(sorted(refused)) or 'nothing'}")


def _java(scene: Scene, server: NacosServer, count: int) -> list[JavaProvider]:
    return [JavaProvider(server.address, scene.service, folder=scene.folder) for _ in range(count)]


async def stream_ended(scene: Scene) -> Measured:
    """The server ends streams with status OK: it closes the connection, or goes on answering on it."""
    return await _embedded_faults(
        scene,
        [EndStreams(StreamStatus.OK, Afterwards.CLOSED)],
        [EndStreams(StreamStatus.OK, Afterwards.SERVED)],
    )


async def unregistered(scene: Scene) -> Measured:
    """The server answers 301 from now on: after the end of the stream, and with the stream open and mute."""
    return await _embedded_faults(
        scene,
        [EndStreams(StreamStatus.OK, Afterwards.UNREGISTERED)],
        [SuppressPushes(), Answer("ServiceQueryRequest", error=301, times=1)],
    )


async def _embedded_faults(scene: Scene, *faults: list[Fault]) -> Measured:
    """Each list of faults is a repetition."""
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(EmbeddedRegistry())
        first, *newcomers = await stack.enter_async_context(providers(1 + len(faults)))
        registry.register(scene.service, "127.0.0.1", first.port)
        known = [first.address]
        stage = await stack.enter_async_context(staged(scene, registry.address, first=known))
        took = []
        for several, newcomer in zip(faults, newcomers, strict=True):
            began = stage.now()
            for fault in several:
                await registry.apply(fault)
            registry.register(scene.service, "127.0.0.1", newcomer.port)
            known.append(newcomer.address)
            took.append(await stage.settled(known) - began)
        return await stage.measured(took)


async def thrown_out(scene: Scene) -> Measured:
    """A sidecar that stands still for half a minute is thrown out by the server, which ends its stream with OK.

    What it reads first when it goes on is chance: that end, or error 301 to a question that it had on its way.
    """
    server = await scene.cast.nacos("3.1.0")
    async with AsyncExitStack() as stack:
        one, other = await stack.enter_async_context(providers(2))
        book = await stack.enter_async_context(enrolled(server, scene.service, one.port))
        stage = await stack.enter_async_context(silent_stage(scene, server.address, first=[one.address]))
        async with stage.frozen():
            await without_sidecars(server)
        began = stage.now()
        stage.load.start()
        await book.enrol(other.port)
        took = await stage.settled([one.address, other.address]) - began
        return await stage.measured([took], wrong=_unless_lost(stage, "stream_end", "unhealthy"))


async def black_holed(scene: Scene) -> Measured:
    """Every packet from and to the server in use is dropped; the other server knows more. Then the other way round."""
    servers = await asyncio.gather(scene.cast.nacos("3.1.0"), scene.cast.nacos("2.3.2"))
    async with AsyncExitStack() as stack:
        first, *newcomers = await stack.enter_async_context(providers(3))
        books = {
            server.address: await stack.enter_async_context(enrolled(server, scene.service, first.port))
            for server in servers
        }
        known = [first.address]
        stage = await stack.enter_async_context(staged(scene, *books, first=known))
        took, dropped = [], 0
        for newcomer in newcomers:
            silent = books[await stage.connected_to()]
            (speaking,) = (book for book in books.values() if book is not silent)
            known.append(newcomer.address)
            async with black_hole(silent.server.http_port, silent.server.grpc_port) as hole:
                began = stage.now()
                await speaking.enrol(newcomer.port)
                took.append(await stage.settled(known) - began)
            dropped += hole.packets
            await silent.enrol(newcomer.port)
        return await stage.measured(took, remark=f"the other is Nacos 2.3.2; {dropped} packets dropped")


async def mute(scene: Scene) -> Measured:
    """As a black hole, where the machine lends no network to drop packets in: the server reads and writes nothing."""
    return await _falls_mute(scene, {}, [BlackHole()])


async def mute_at_login(scene: Scene) -> Measured:
    """The server in use falls mute just when tokens are to be renewed there, lists and logins alike."""
    access = {"username": "nacos", "password": "nacos"}
    return await _falls_mute(scene, access, [BlackHole(), HttpAnswer(delay_s=3600.0)], Auth(token_ttl_s=4))


async def _falls_mute(scene: Scene, access: dict[str, str], faults: list[Fault], *conditions: Fault) -> Measured:
    async with AsyncExitStack() as stack:
        one, other = await stack.enter_async_context(providers(2))
        nodes = {}
        for _ in range(2):
            node = await stack.enter_async_context(EmbeddedRegistry())
            node.register(scene.service, "127.0.0.1", one.port)
            nodes[node.address] = node
            for condition in conditions:
                await node.apply(condition)
        stage = await stack.enter_async_context(staged(scene, *nodes, nacos=access, first=[one.address]))
        silent = nodes.pop(await stage.connected_to())
        (speaking,) = nodes.values()
        began = stage.now()
        for fault in faults:
            await silent.apply(fault)
        speaking.register(scene.service, "127.0.0.1", other.port)
        took = await stage.settled([one.address, other.address]) - began
        return await stage.measured([took])


async def sent_away(scene: Scene, version: Version) -> Measured:
    """The server asks the sidecar to connect anew, as it does to share out its clients."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        one, other = await stack.enter_async_context(providers(2))
        book = await stack.enter_async_context(enrolled(server, scene.service, one.port))
        stage = await stack.enter_async_context(staged(scene, server.address, first=[one.address]))
        began = stage.now()
        await send_away(server)
        await book.enrol(other.port)
        took = await stage.settled([one.address, other.address]) - began
        return await stage.measured([took], wrong=_unless_lost(stage, "reset_request"))


async def addresses_changed(scene: Scene) -> Measured:
    """The sidecar's own list of servers is replaced and reloaded: another server, which knows more."""
    before, after = await asyncio.gather(scene.cast.nacos("3.1.0"), scene.cast.nacos("2.3.2"))
    async with AsyncExitStack() as stack:
        one, other = await stack.enter_async_context(providers(2))
        await stack.enter_async_context(enrolled(before, scene.service, one.port))
        await stack.enter_async_context(enrolled(after, scene.service, one.port, other.port))
        stage = await stack.enter_async_context(staged(scene, before.address, first=[one.address]))
        stage.sidecar.config.write_text(json.dumps(configuration(scene, after.address)))
        began = stage.now()
        await stage.sidecar.admin("/reload", method="POST")
        took = await stage.settled([one.address, other.address]) - began
        return await stage.measured([took], remark="from Nacos 3.1.0 to 2.3.2")


def _unless_lost(stage: Stage, *allowed: str) -> list[str]:
    """A complaint when the session ended for another reason than the row's, or not at all."""
    reasons = [event["reason"] for event in stage.sidecar.events("registry_disconnected")]
    told = f"the session did not end by {' or '.join(allowed)} but {reasons or 'not at all'}"
    return [] if set(allowed) & set(reasons) else [told]
