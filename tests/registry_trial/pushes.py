"""How fast a list that arrives is in use, and how long one that never arrives is missed."""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime

from sidecar.embedded.faults import RefTime, SuppressPushes
from sidecar.embedded.registry import EmbeddedRegistry
from tests.registry_trial.cast import Scene
from tests.registry_trial.registering import enrolled
from tests.registry_trial.row import Measured
from tests.registry_trial.stage import Stage, staged
from tests.support.nacos_server import Version
from tests.support.providers import Provider, providers
from tests.support.relay import relayed
from tests.support.until import until

PUSHES = 15
"""So many of them are timed; a server sends one after 0.6 s."""

OTHER_SERVICES = 20
"""Beside the one in question: with few services each would be asked every few seconds, as the proof of life."""

HOUR = 3_600_000
"""Milliseconds."""


async def arrives(scene: Scene, version: Version) -> Measured:
    """An instance appears and its weight changes; from the bytes of the push to the event that the list is in force."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        one, other = await stack.enter_async_context(providers(2))
        relay = await stack.enter_async_context(relayed(server.http_port))
        book = await stack.enter_async_context(enrolled(server, scene.service, one.port))
        stage = await stack.enter_async_context(staged(scene, relay.address, first=[one.address]))
        took = []
        for number in range(PUSHES):
            weight = 1.0 + number / 100
            await book.enrol(other.port, weight=weight)
            passed = await relay.push_with(f'"weight":{weight}'.encode())
            took.append(await _applied(stage, passed) - passed)
        return await stage.measured(took, remark="from the bytes at the socket to event `snapshot_applied`")


async def _applied(stage: Stage, since: float) -> float:
    """Wall time of the first list that took force then; stamps are cut off at milliseconds, hence one more."""
    found: list[float] = []

    async def there() -> bool:
        told = (datetime.fromisoformat(event["at"]).timestamp() for event in stage.sidecar.events("snapshot_applied"))
        found.extend(at + 0.001 for at in told if at + 0.001 > since)
        return bool(found)

    await until(there, pause=0.02)
    return found[0]


async def clock_jumps_back(scene: Scene) -> Measured:
    """The server's clock goes back by an hour within a session; every later list looks older than the first."""
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(EmbeddedRegistry())
        first, *others = await stack.enter_async_context(providers(3))
        registry.register(scene.service, "127.0.0.1", first.port)
        stage = await stack.enter_async_context(staged(scene, registry.address, first=[first.address]))
        await registry.apply(RefTime(skew_ms=-HOUR))
        known = [first.address]
        took = [await _learns(stage, registry, other, known) for other in others]
        return await stage.measured(took, remark="0.5 s of it are the server's own pause before a push")


async def next_clock_is_behind(scene: Scene) -> Measured:
    """A node dies; the next one knows more, and its clock says an hour less."""
    async with AsyncExitStack() as stack:
        one, other = await stack.enter_async_context(providers(2))
        nodes = [await stack.enter_async_context(EmbeddedRegistry()) for _ in range(2)]
        for node in nodes:
            node.register(scene.service, "127.0.0.1", one.port)
        addresses = [node.address for node in nodes]
        stage = await stack.enter_async_context(staged(scene, *addresses, first=[one.address]))
        connected = await stage.connected_to()
        (ahead,) = (node for node in nodes if node.address == connected)
        (behind,) = (node for node in nodes if node is not ahead)
        await behind.apply(RefTime(skew_ms=-HOUR))
        behind.register(scene.service, "127.0.0.1", other.port)
        began = stage.now()
        await ahead.stop()
        took = await stage.settled([one.address, other.address]) - began
        return await stage.measured([took])


async def lost(scene: Scene) -> Measured:
    """One push never arrives, right after the list was last asked for: the longest that it can be missed."""
    async with AsyncExitStack() as stack:
        registry, stage, (one, other) = await _with_many_services(scene, stack)
        await registry.apply(SuppressPushes(scene.service, times=1))
        known = [one.address]
        took = await _learns(stage, registry, other, known)
        return await stage.measured([took], remark=f"beside {OTHER_SERVICES} services")


async def lost_and_refused(scene: Scene) -> Measured:
    """The lost push said that an instance has moved; the old one refuses the app's next call."""
    async with AsyncExitStack() as stack:
        registry, stage, (one, other, moved) = await _with_many_services(scene, stack, count=3)
        registry.register(scene.service, "127.0.0.1", other.port)
        await stage.settled([one.address, other.address])
        await asyncio.sleep(_ASKED_AGAIN)
        await registry.apply(SuppressPushes(scene.service, times=1))
        registry.deregister(scene.service, "127.0.0.1", other.port)
        registry.register(scene.service, "127.0.0.1", moved.port)
        await asyncio.sleep(_PUSHED)
        await other.stop()
        event = await stage.sidecar.event("endpoint_quarantined")
        refused = stage.now()
        took = await stage.settled([one.address, moved.address]) - refused
        return await stage.measured([took], remark=f"after {event['reason']}; beside {OTHER_SERVICES} services")


_PUSHED = 1.0
"""Seconds after which a push of the embedded registry has gone out, or has been lost."""

_ASKED_AGAIN = 4.0
"""Seconds after a subscription or a push until the second look at the list is over."""


async def _with_many_services(
    scene: Scene, stack: AsyncExitStack, *, count: int = 2
) -> tuple[EmbeddedRegistry, Stage, list[Provider]]:
    """All have been asked for just now, so that each's next turn is as far away as it can be."""
    registry = await stack.enter_async_context(EmbeddedRegistry())
    found = await stack.enter_async_context(providers(count))
    registry.register(scene.service, "127.0.0.1", found[0].port)
    more = [f"{scene.service}-{number}" for number in range(OTHER_SERVICES)]
    stage = await stack.enter_async_context(staged(scene, registry.address, first=[found[0].address], others=more))
    await asyncio.sleep(_ASKED_AGAIN)
    return registry, stage, found


async def _learns(stage: Stage, registry: EmbeddedRegistry, newcomer: Provider, known: list[str]) -> float:
    """Seconds from an instance's registration until it is in use beside those that are known, whom it joins."""
    registry.register(stage.service, "127.0.0.1", newcomer.port)
    began = stage.now()
    known.append(newcomer.address)
    return await stage.settled(known) - began
