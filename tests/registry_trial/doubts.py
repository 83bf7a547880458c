"""Lists that miss or misjudge what lives: no call may fail, and nobody may be let go of.

Each play ends when the sidecar sends to exactly those again whom the registry lists by then.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager

from sidecar.embedded.faults import ForcedList, PushNow, Shape
from sidecar.embedded.registry import EmbeddedRegistry
from tests.registry_trial.cast import Scene
from tests.registry_trial.registering import enrolled, listed
from tests.registry_trial.row import Measured
from tests.registry_trial.stage import Stage, staged
from tests.support.console import set_threshold
from tests.support.guard_stage import Addressed, GuardStage
from tests.support.java_provider import JavaProvider
from tests.support.nacos_server import NacosServer, Version
from tests.support.plain_provider import PlainProvider, plain_providers
from tests.support.ports import free_port
from tests.support.sdk_provider import sdk_providers
from tests.support.wire_provider import providing

HOST = "127.0.0.1"

SHORT = {"confirm": "3s"}
"""What comes back later than this would be lost if one node's word were enough."""


def watched(stage: Stage) -> GuardStage:
    """The same with more places to look at."""
    return GuardStage(stage.sidecar, stage.load, stage.service)


def addresses(providers: Collection[Addressed]) -> set[str]:
    """Theirs."""
    return {provider.address for provider in providers}


async def restarted_under_java(scene: Scene, version: Version, count: int) -> Measured:
    """A server restarts; clients of the official SDK return within seconds, one by one."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        made = [JavaProvider(server.address, scene.service, folder=scene.folder) for _ in range(count)]
        await asyncio.gather(*(stack.enter_async_context(provider) for provider in made))
        return await _restarted(scene, server, made)


async def restarted_under_python(scene: Scene, version: Version, count: int) -> Measured:
    """A server restarts; clients of nacos-sdk-python look after their registrations twice a minute."""
    server = await scene.cast.nacos(version)
    async with sdk_providers(server, scene.service, scene.folder, count) as made:
        return await _restarted(scene, server, made)


async def _restarted(scene: Scene, server: NacosServer, providers: Collection[Addressed]) -> Measured:
    everyone = addresses(providers)
    await listed(server, scene.service, everyone)
    async with staged(scene, server.address, first=everyone, protection=SHORT) as stage:
        watch = watched(stage)
        await server.stop()
        await server.start()
        back = stage.now()
        whole = await listed(server, scene.service, everyone)
        await stage.sidecar.event("registry_connected", count=2)
        took = await stage.settled(everyone) - whole
        seen = [push["detail"]["offered"] for push in await watch.told("push") if push["detail"]["epoch"] > 1]
        ended = await watch.ended_by()
        wrong = [] if ended.keys() <= {"restored"} else [f"holds ended: {dict(ended)}"]
        sizes = ", ".join(map(str, dict.fromkeys(seen)))
        remark = f"whole {whole - back:.0f} s after the server was up; lists of {sizes}; {ended['restored']} were held"
        return await stage.measured([took], wrong=wrong, remark=remark)


async def false_empty(scene: Scene) -> Measured:
    """An empty list comes out of nowhere, is repeated for longer than `confirm`, and proves false."""
    async with _embedded(scene, 3) as (registry, stage, watch, made):
        await _lie(registry, ForcedList(scene.service))
        await stage.become(dict.fromkeys(addresses(made), "held"))
        await watch.shows_hold("empty", made)
        await _repeated(watch)
        await watch.all_serve(made)
        took = await _true_again(registry, stage, made)
        return await stage.measured([took], wrong=await only_ended(watch, restored=3), remark=_when_true)


async def shrinks_to_one(scene: Scene) -> Measured:
    """Of ten one is left, later four, then all are back."""
    async with _embedded(scene, 10) as (registry, stage, watch, made):
        the_one, *missed = made
        await _lie(registry, ForcedList(scene.service, Shape.PARTIAL, keep=1))
        await stage.become({the_one.address: "available"} | dict.fromkeys(addresses(missed), "held"))
        await watch.shows_hold("shrink", missed)
        share = (await watch.answered_by(100))[the_one.address]
        wrong = [f"the one carried {share} of 100 calls"] if share >= 50 else []
        back, missed = made[:4], made[4:]
        await _lie(registry, ForcedList(scene.service, Shape.PARTIAL, keep=4))
        await stage.become(dict.fromkeys(addresses(back), "available") | dict.fromkeys(addresses(missed), "held"))
        took = await _true_again(registry, stage, made)
        wrong += await only_ended(watch, restored=9)
        return await stage.measured([took], wrong=wrong, remark=f"the one carried {share} of 100 calls; {_when_true}")


async def loses_one(scene: Scene, version: Version) -> Measured:
    """A registration vanishes while its provider serves, and is made anew once that has been seen everywhere."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(plain_providers(scene.folder, 2))
        clients = await stack.enter_async_context(providing(server, scene.service, *(one.port for one in made)))
        for client in clients:
            await client.register()
        stage = await stack.enter_async_context(staged(scene, server.address, first=addresses(made)))
        watch = watched(stage)
        await clients[0].deregister()
        await watch.shows_hold("shrink", made[:1])
        await watch.all_serve(made)
        began = stage.now()
        await clients[0].register()
        took = await stage.settled(addresses(made)) - began
        wrong = await only_ended(watch, restored=1)
        return await stage.measured([took], wrong=wrong, remark="from the new registration")


async def called_unhealthy(scene: Scene, version: Version) -> Measured:
    """All three are called unhealthy, then by protectThreshold healthy; two answer, one never did."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        up = await stack.enter_async_context(plain_providers(scene.folder, 2))
        down = free_port()
        ports = [down, *(provider.port for provider in up)]
        for client in await stack.enter_async_context(providing(server, scene.service, *ports)):
            await client.register(healthy=False)
        stage = await stack.enter_async_context(staged(scene, server.address))
        states = {f"{HOST}:{down}": "quarantined"} | dict.fromkeys(addresses(up), "available")
        await stage.become(states)
        watch = watched(stage)
        before = await _called_healthy(watch)
        set_threshold(server, scene.service, 0.9)

        async def rewritten() -> bool:
            return await _called_healthy(watch) == {True}

        await watch.holds(rewritten)
        await stage.become(states)
        wrong = [] if before == {False} else [f"before the threshold they were called {before}"]
        wrong += await only_ended(watch)
        return await stage.measured([], wrong=wrong, remark="the one that refuses gets no call")


async def listed_twice(scene: Scene, version: Version) -> Measured:
    """Two clients register one address, the second as unhealthy and with another weight; then the first one leaves."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(plain_providers(scene.folder, 2))
        twice, other = made
        clients = await stack.enter_async_context(providing(server, scene.service, twice.port, twice.port, other.port))
        first, second, third = clients
        for client in (first, third):
            await client.register()
        await second.register(weight=3.0, healthy=False, metadata={"node": "other"})
        stage = await stack.enter_async_context(staged(scene, server.address, first=addresses(made)))
        watch = watched(stage)

        async def offered_three() -> bool:
            return [push["detail"]["offered"] for push in await watch.told("push")][-1:] == [3]

        await watch.holds(offered_three)
        await watch.all_serve(made)
        await second.register(weight=3.0, metadata={"node": "other"})
        await first.deregister()

        async def the_second_counts() -> bool:
            endpoints = await watch.endpoints()
            return len(endpoints) == 2 and endpoints[twice.address]["registry"]["metadata"] == {"node": "other"}

        await watch.holds(the_second_counts)
        await stage.settled(addresses(made))
        await watch.all_serve(made)
        return await stage.measured([], wrong=await only_ended(watch), remark="three entries, two endpoints")


async def providers_restart_without_nacos(scene: Scene, version: Version) -> Measured:
    """The server is down; meanwhile each provider restarts on its address; then the server comes up again."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(plain_providers(scene.folder, 3))
        ports = [provider.port for provider in made]
        await stack.enter_async_context(enrolled(server, scene.service, *ports))
        stage = await stack.enter_async_context(staged(scene, server.address, first=addresses(made)))
        await server.stop()
        began = stage.now()
        for provider in made:
            await provider.stop()
            await provider.start()
            await watched(stage).calls()
        await stage.settled(addresses(made))
        away = stage.now() - began
        await server.start()
        whole = await listed(server, scene.service, addresses(made))
        await stage.sidecar.event("registry_connected", count=2)
        took = await stage.settled(addresses(made)) - whole
        return await stage.measured([max(0.0, took)], remark=f"all restarted within {away:.0f} s without Nacos")


async def taken_over(scene: Scene, version: Version) -> Measured:
    """An instance leaves and ends; who listens on its address next belongs to another service."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        moved, staying = await stack.enter_async_context(plain_providers(scene.folder, 2))
        book = await stack.enter_async_context(enrolled(server, scene.service, moved.port, staying.port))
        stage = await stack.enter_async_context(
            staged(scene, server.address, first=[moved.address, staying.address], others=["billing"])
        )
        await book.strike(moved.port)
        await stage.become({moved.address: "held", staying.address: "available"})
        await moved.stop()
        await stage.settled([staying.address])
        heir = PlainProvider(scene.folder, name="billing", port=moved.port)
        stack.callback(heir.end)
        await heir.start()
        await stack.enter_async_context(enrolled(server, "billing", heir.port))
        await watched(stage).calls(50)
        wrong = [f"{len(heir.executed())} calls went to the other service"] if heir.executed() else []
        wrong += await only_ended(watched(stage), gone=1)
        return await stage.measured([], wrong=wrong, remark="held until it refused")


_when_true = "from the true list"


@asynccontextmanager
async def _embedded(
    scene: Scene, count: int
) -> AsyncIterator[tuple[EmbeddedRegistry, Stage, GuardStage, list[PlainProvider]]]:
    """So many providers that an embedded registry lists, all of them in use."""
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(EmbeddedRegistry())
        made = await stack.enter_async_context(plain_providers(scene.folder, count))
        for provider in made:
            registry.register(scene.service, HOST, provider.port)
        stage = await stack.enter_async_context(
            staged(scene, registry.address, first=addresses(made), protection=SHORT)
        )
        yield registry, stage, watched(stage), made


async def _lie(registry: EmbeddedRegistry, fault: ForcedList) -> None:
    await registry.apply(fault)
    await registry.apply(PushNow(fault.service))


async def _true_again(registry: EmbeddedRegistry, stage: Stage, providers: Collection[Addressed]) -> float:
    registry.lift("forced_list")
    began = stage.now()
    await registry.apply(PushNow(stage.service))
    return await stage.settled(addresses(providers)) - began


async def _repeated(watch: GuardStage) -> None:
    """Returns when the registry has said the same for longer than `confirm`."""
    before = await watch.metric("registry_pushes_total", result="unchanged")
    await watch.reaches(before + 5, "registry_pushes_total", result="unchanged")


async def _called_healthy(watch: GuardStage) -> set[bool]:
    return {endpoint["registry"]["healthy"] for endpoint in (await watch.endpoints()).values()}


async def only_ended(watch: GuardStage, **wanted: int) -> list[str]:
    """A complaint when holds ended in other ways than these, or in other numbers."""
    ended = await watch.ended_by()
    return [] if ended == Counter(wanted) else [f"holds ended: {dict(ended)}, not {wanted}"]
