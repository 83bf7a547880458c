"""What a row plays on: the sidecar in a process of its own, and an app whose calls never cease.

    async with staged(scene, server.address, protection={"confirm": "3s", "max_hold": "8s"}) as stage:
        await stage.settled(providers)              # the sidecar sends to exactly these
        began = stage.now()
        ...                                         # the fault
        seconds = await stage.settled(others) - began
        return await stage.measured([seconds])

A stage counts from `staged` on; a call counts as failed unless it was answered 200.
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypedDict, Unpack

from tests.registry_trial.cast import Scene
from tests.registry_trial.row import Measured
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until
from tests.trial.load import Load

RATE = 50.0
"""Calls a second, half of them POSTs."""

_LOOK = 0.02
"""Seconds between two looks at `/clusters`: what is measured by looking is so much too long at most."""

_AFTERMATH = 0.5
"""Seconds that calls go on after what a row measured."""


class Stage:
    """One sidecar, one service, one app."""

    def __init__(self, sidecar: SidecarProcess, load: Load, service: str) -> None:
        self.sidecar = sidecar
        self.load = load
        self.service = service
        self.now = asyncio.get_running_loop().time

    async def states(self) -> dict[str, str]:
        """Every endpoint of the service and its state, as `/clusters` has it."""
        (cluster,) = (one for one in await self.sidecar.clusters() if one["name"] == self.service)
        return {endpoint["address"]: endpoint["state"] for endpoint in cluster["endpoints"]}

    async def become(self, states: Mapping[str, str]) -> float:
        """The moment from which exactly these endpoints are in these states."""
        seen: dict[str, str] = {}

        async def so() -> bool:
            seen.clear()
            seen.update(await self.states())
            return seen == states

        try:
            await until(so, pause=_LOOK)
        except TimeoutError:
            raise Unsettled(f"{seen or 'nothing'} never became {dict(states)}") from None
        return self.now()

    async def settled(self, addresses: Collection[str]) -> float:
        """The moment from which the sidecar sends to exactly these, none held, none in trouble."""
        return await self.become(dict.fromkeys(addresses, "available"))

    async def connected_to(self) -> str:
        """The server of the latest session."""
        await self.sidecar.event("registry_connected")
        return str(self.sidecar.events("registry_connected")[-1]["server"])

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """The sidecar stands still, as under a debugger or on a suspended machine; its kernel goes on."""
        self.sidecar.child.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.sidecar.child.signal(signal.SIGCONT)

    async def measured(self, seconds: list[float], *, wrong: Collection[str] = (), remark: str = "") -> Measured:
        """Lets calls go on for a moment, ends the load, and sums up."""
        await asyncio.sleep(_AFTERMATH)
        await self.load.stop()
        crashes = [event["error"] for event in self.sidecar.events("crash")]
        return Measured(seconds, self.load.calls, (*wrong, *(f"crash: {error}" for error in crashes)), remark)


class Unsettled(Exception):  # noqa: N818 - what the sidecar is, not what we did wrong
    """The sidecar never came to the state that a row waits for."""


class Settings(TypedDict, total=False):
    """What a stage has other than the defaults."""

    nacos: Mapping[str, Any]
    """Keys of that section."""
    protection: Mapping[str, Any]
    """Keys of that section of the service."""
    service: Mapping[str, Any]
    """Further keys of the service."""
    others: Collection[str]
    """Services beside it, which exist nowhere and which nobody calls."""
    first: Collection[str]
    """Addresses that the sidecar must be sending to before the row begins."""
    rate: float
    """Calls a second."""


@asynccontextmanager
async def staged(scene: Scene, *registries: str, **settings: Unpack[Settings]) -> AsyncIterator[Stage]:
    """A sidecar of these registries, and calls from the beginning."""
    async with silent_stage(scene, *registries, **settings) as stage:
        stage.load.start()
        yield stage


@asynccontextmanager
async def silent_stage(scene: Scene, *registries: str, **settings: Unpack[Settings]) -> AsyncIterator[Stage]:
    """As `staged`, but the first call is for the row to send: `stage.load.start()`."""
    async with running(scene.folder, json.dumps(configuration(scene, *registries, **settings))) as sidecar:
        await sidecar.ready()
        load = Load(await sidecar.bound(scene.service), rate=settings.get("rate", RATE))
        stage = Stage(sidecar, load, scene.service)
        if first := settings.get("first"):
            await stage.settled(first)
        try:
            yield stage
        finally:
            await load.stop()


def configuration(scene: Scene, *registries: str, **settings: Unpack[Settings]) -> dict[str, Any]:
    """The sidecar's file; JSON is YAML."""
    mine = {"name": scene.service, "listen": "127.0.0.1:0", "protection": dict(settings.get("protection", {}))}
    others = [{"name": name, "listen": "127.0.0.1:0", "required": False} for name in settings.get("others", ())]
    return {
        "version": 1,
        "listen": None,
        "nacos": {"server_addresses": list(registries), **settings.get("nacos", {})},
        "admin": {"listen": "127.0.0.1:0"},
        "access_log": {"path": "none"},
        "services": [mine | dict(settings.get("service", {})), *others],
    }
