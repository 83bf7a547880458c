"""Instances that leave for good, dead or alive: how soon that is believed.

Calls count until the moment at which nobody is left by right; what comes later can only fail.
"""

import functools
from contextlib import AsyncExitStack
from dataclasses import replace

from tests.registry_trial.cast import Scene
from tests.registry_trial.doubts import HOST, addresses, only_ended, watched
from tests.registry_trial.registering import enrolled, listed
from tests.registry_trial.row import Measured
from tests.registry_trial.stage import Stage, staged
from tests.support.guard_stage import GuardStage
from tests.support.java_provider import JavaProvider
from tests.support.nacos_server import Version
from tests.support.plain_provider import plain_providers
from tests.support.ports import free_port
from tests.support.wire_provider import providing

MAX_HOLD = 8.0
CONFIRM = 3.0
"""Seconds, in the rows that wait for their end."""

HELD = {"confirm": f"{CONFIRM:g}s", "max_hold": f"{MAX_HOLD:g}s"}
AGREED = {"confirm": f"{CONFIRM:g}s"}
OBEYED = {"on_empty": "obey"}


async def scaled_to_zero(scene: Scene, version: Version) -> Measured:
    """Three providers of the official client are told to end, as an orchestrator does it, the last one last."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        made = [JavaProvider(server.address, scene.service, folder=scene.folder) for _ in range(3)]
        for provider in made:
            await stack.enter_async_context(provider)
        await listed(server, scene.service, addresses(made))
        stage = await stack.enter_async_context(staged(scene, server.address, first=addresses(made)))
        for provider in made:
            await provider.stop()
        zero = stage.now()
        took = await stage.become({}) - zero
        ended = (await watched(stage).ended_by()).keys()
        wrong = [f"holds ended: {', '.join(ended)}"] if ended - {"gone"} else []
        return await _until(zero, stage, took, wrong, remark="from the end of the last process")


async def obeyed(scene: Scene, version: Version) -> Measured:
    """The only instance is deregistered and goes on running."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        (last,) = await stack.enter_async_context(plain_providers(scene.folder, 1))
        book = await stack.enter_async_context(enrolled(server, scene.service, last.port))
        stage = await stack.enter_async_context(staged(scene, server.address, first=[last.address], protection=OBEYED))
        await watched(stage).calls()
        zero = stage.now()
        await book.strike(last.port)
        took = await stage.become({}) - zero
        return await _until(zero, stage, took, await only_ended(watched(stage)), remark="from the deregistration")


async def expired(scene: Scene, version: Version) -> Measured:
    """The same where it is doubted, and there is no second node to ask."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        (last,) = await stack.enter_async_context(plain_providers(scene.folder, 1))
        book = await stack.enter_async_context(enrolled(server, scene.service, last.port))
        stage = await stack.enter_async_context(staged(scene, server.address, first=[last.address], protection=HELD))
        await book.strike(last.port)
        watch = watched(stage)
        await watch.shows_hold("empty", [last])
        zero = await stage.become({})
        took = await _held_for(watch)
        wrong = await only_ended(watch, expired=1)
        wrong += [f"let go after {took:.3f} s"] if took < MAX_HOLD else []
        return await _until(zero, stage, took, wrong, remark="ghost on the page meanwhile")


async def confirmed(scene: Scene) -> Measured:
    """The same with a second node, which misses it too."""
    servers = await scene.cast.nacos("3.1.0"), await scene.cast.nacos("2.3.2")
    async with AsyncExitStack() as stack:
        (last,) = await stack.enter_async_context(plain_providers(scene.folder, 1))
        books = [await stack.enter_async_context(enrolled(server, scene.service, last.port)) for server in servers]
        nodes = [server.address for server in servers]
        stage = await stack.enter_async_context(staged(scene, *nodes, first=[last.address], protection=AGREED))
        for book in books:
            await book.strike(last.port)
        watch = watched(stage)
        await watch.shows_hold("empty", [last])
        zero = await stage.become({})
        took = await _held_for(watch)
        wrong = await only_ended(watch, confirmed=1)
        wrong += [f"let go after {took:.3f} s"] if took < CONFIRM else []
        return await _until(zero, stage, took, wrong, remark="Nacos 2.3.2 is the other node")


async def disputed(scene: Scene) -> Measured:
    """The session's node misses all three, the other lists them, and later two of them."""
    servers = await scene.cast.nacos("3.1.0"), await scene.cast.nacos("2.3.2")
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(plain_providers(scene.folder, 3))
        ports = [provider.port for provider in made]
        books = {
            server.address: await stack.enter_async_context(enrolled(server, scene.service, *ports))
            for server in servers
        }
        stage = await stack.enter_async_context(staged(scene, *books, first=addresses(made), protection=AGREED))
        home = books.pop(await stage.connected_to())
        (away,) = books.values()
        began = stage.now()
        for port in ports:
            await home.strike(port)
        watch = watched(stage)
        await watch.shows_hold("empty", made)
        before = await watch.metric("registry_pushes_total", result="unchanged")
        await watch.reaches(before + 3 * CONFIRM, "registry_pushes_total", result="unchanged")
        await watch.all_serve(made)
        lasted = stage.now() - began
        leaving, *others = made
        await away.strike(leaving.port)
        await stage.become(dict.fromkeys(addresses(others), "held"))
        verdicts = [heard["detail"]["verdict"] for heard in await watch.told("second_opinion")]
        wrong = await only_ended(watch, confirmed=1)
        wrong += [] if verdicts[-2:] == ["disagrees", "partly"] else [f"the other node's word: {verdicts}"]
        remark = f"held for {lasted:.0f} s and on; one that the other node misses too is let go"
        return await stage.measured([], wrong=wrong, remark=remark)


async def unopposed(scene: Scene, version: Version) -> Measured:
    """Two of three are deregistered and go on running; the second node is a machine that is gone."""
    server, gone = await scene.cast.nacos(version), f"{HOST}:{free_port()}"
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(plain_providers(scene.folder, 3))
        book = await stack.enter_async_context(enrolled(server, scene.service, *(one.port for one in made)))
        stage = await stack.enter_async_context(
            staged(scene, server.address, gone, first=addresses(made), protection=AGREED)
        )
        stays, *leaving = made
        for provider in leaving:
            await book.strike(provider.port)
        await stage.settled([stays.address])
        watch = watched(stage)
        took = await _held_for(watch)
        verdicts = [heard["detail"]["verdict"] for heard in await watch.told("second_opinion")]
        wrong = await only_ended(watch, confirmed=2)
        wrong += [f"let go after {took:.3f} s"] if took < CONFIRM else []
        wrong += [] if verdicts == ["silent"] else [f"the other node's word: {verdicts}"]
        return await stage.measured([took], wrong=wrong, remark="the other address refuses")


async def stays_listed(scene: Scene, version: Version) -> Measured:
    """One of two was never there, and the server calls it healthy for ever."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        (alive,) = await stack.enter_async_context(plain_providers(scene.folder, 1))
        dead = f"{HOST}:{(port := free_port())}"
        for client in await stack.enter_async_context(providing(server, scene.service, port, alive.port)):
            await client.register()
        stage = await stack.enter_async_context(staged(scene, server.address))
        await stage.become({alive.address: "available", dead: "quarantined"})
        watch = watched(stage)
        await watch.reaches(1, "registry_zombies")
        shown = (await watch.endpoints())[dead]
        (refused,) = [told for told in await watch.told("endpoint_quarantined") if told["endpoint"] == dead]
        await watch.holds(
            functools.partial(_is_told, watch, "zombie")
        )  # a beat after the gauge, which is of the moment
        (told,) = await watch.told("zombie")
        wrong = [] if shown["verdict"] == "zombie" and shown["evidence"]["shown_by"] == "refused" else [str(shown)]
        remark = f"{told['detail']['dials']} dials till then, all refused"
        return await stage.measured([told["mono_s"] - refused["mono_s"]], wrong=wrong, remark=remark)


async def _is_told(watch: GuardStage, kind: str) -> bool:
    return bool(await watch.told(kind))


async def _held_for(watch: GuardStage) -> float:
    """Seconds from the doubt to its end, by the sidecar's own timeline."""
    return float((await watch.told("hold_ended"))[-1]["mono_s"] - (await watch.told("push_refused"))[0]["mono_s"])


async def _until(zero: float, stage: Stage, took: float, wrong: list[str], *, remark: str) -> Measured:
    """What counts is what ended before nobody was left by right."""
    measured = await stage.measured([took], wrong=wrong, remark=f"{remark}; calls until nobody was left")
    return replace(measured, calls=[call for call in measured.calls if call.ended < zero])
