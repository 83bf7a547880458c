"""What an operator orders, in the registry or at the sidecar: how soon it is obeyed."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

from tests.registry_trial.cast import Scene
from tests.registry_trial.doubts import addresses, only_ended, watched
from tests.registry_trial.registering import enrolled
from tests.registry_trial.row import Measured
from tests.registry_trial.stage import staged
from tests.support import console
from tests.support.nacos_server import Version
from tests.support.plain_provider import plain_providers

THINKING = 0.1
"""Seconds that a provider takes for an answer: some calls are in flight at any moment."""


async def weight_zero(scene: Scene, version: Version) -> Measured:
    """One of two gets weight 0 in the console, and later its weight back."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(plain_providers(scene.folder, 2, delay=THINKING))
        off, on = made
        await stack.enter_async_context(enrolled(server, scene.service, off.port, on.port))
        stage = await stack.enter_async_context(staged(scene, server.address, first=addresses(made)))
        began = stage.now()
        await asyncio.to_thread(console.edit, server, scene.service, off.port, weight=0.0, ephemeral=False)
        took = await stage.become({off.address: "disabled", on.address: "available"}) - began
        answered = await watched(stage).answered_by(40)
        wrong = [f"answered by {dict(answered)}"] if answered != {on.address: 40} else []
        await asyncio.to_thread(console.edit, server, scene.service, off.port, ephemeral=False)
        await stage.settled(addresses(made))
        return await stage.measured([took], wrong=[*wrong, *await only_ended(watched(stage))])


async def disabled(scene: Scene, version: Version) -> Measured:
    """One of two is switched off in the console, then the other: to a subscriber they are simply missing."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(plain_providers(scene.folder, 2, delay=THINKING))
        await stack.enter_async_context(enrolled(server, scene.service, *(provider.port for provider in made)))
        stage = await stack.enter_async_context(staged(scene, server.address, first=addresses(made)))
        took, zero = [], 0.0
        for number, provider in enumerate(made, start=1):
            zero = stage.now()
            await asyncio.to_thread(console.edit, server, scene.service, provider.port, enabled=False, ephemeral=False)
            took.append(await stage.settled(addresses(made[number:])) - zero)
        wrong = await only_ended(watched(stage), confirmed=2)
        measured = await stage.measured(took, wrong=wrong, remark="one of two, then the last; all within the minute")
        return replace(measured, calls=[call for call in measured.calls if call.ended < zero])


async def by_hand(scene: Scene, version: Version) -> Measured:
    """Eject, restore, hold now, and at last drop now, each by POST."""
    server = await scene.cast.nacos(version)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(plain_providers(scene.folder, 2))
        one, other = made
        book = await stack.enter_async_context(enrolled(server, scene.service, one.port, other.port))
        stage = await stack.enter_async_context(
            staged(
                scene,
                server.address,
                first=addresses(made),
                protection={"on_empty": "obey", "shrink_threshold": 1.0},
            )
        )
        watch, took = watched(stage), []

        async def order(path: str, states: dict[str, str]) -> None:
            began = stage.now()
            await watch.order(path)
            took.append(await stage.become(states) - began)

        await order(f"endpoints/{one.address}/eject", {one.address: "disabled", other.address: "available"})
        await watch.calls()
        await order(f"endpoints/{one.address}/restore", dict.fromkeys(addresses(made), "available"))
        await watch.order("hold?ttl=1h")
        for provider in made:
            await book.strike(provider.port)
        await stage.become(dict.fromkeys(addresses(made), "held"))
        await watch.all_serve(made)
        zero = stage.now()
        await order("obey", {})
        wrong = await only_ended(watch, obeyed=2)
        measured = await stage.measured(
            took, wrong=wrong, remark="eject, restore, drop now; hold now kept both meanwhile"
        )
        return replace(measured, calls=[call for call in measured.calls if call.ended < zero])
