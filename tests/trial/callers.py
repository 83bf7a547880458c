"""Who calls: the same app five times over, each with another way to its providers.

| caller | its way | where it has the list from |
|---|---|---|
| direct | a pool for each address, taken in turn, nothing tried again | the registry, asked every 30 s, as Ribbon does |
| nginx, HAProxy, Envoy | `tests/peers` | told by the trial, see `Scene` |
| sidecar | `nacos-sidecar run` at its defaults | its own session with the registry |
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar import __version__
from sidecar.tasks import spawn
from tests.peers.peer import Peer, Terms
from tests.peers.sidecar import retry
from tests.peers.start import started
from tests.support.ports import free_port
from tests.support.sidecar_process import SidecarProcess, running
from tests.trial.ground import Ground
from tests.trial.load import Load, orders

CACHED = 30.0
"""Seconds that the direct caller keeps a list."""

DIRECT, SIDECAR = "direct", "sidecar"
PEERS = ("nginx", "haproxy", "envoy")


@dataclass(slots=True)
class Caller:
    """One of the five, ready to call."""

    name: str
    title: str
    load: Load
    peer: Peer | None = None
    """Who has to be told of other instances."""


class CachedList:
    """The registry's list as it was up to 30 s ago, taken in turn."""

    def __init__(self, ground: Ground, service: str) -> None:
        self._ground = ground
        self._service = service
        self._ports: list[int] = []
        self._turn = 0

    async def refresh(self) -> None:
        """A registry that does not answer leaves the list as it is."""
        with suppress(OSError, RuntimeError):
            found = await self._ground.instances(self._service)
            self._ports = sorted(int(address.rpartition(":")[2]) for address in found)

    async def keep(self) -> None:
        """Refreshes for ever."""
        while True:
            await asyncio.sleep(CACHED)
            await self.refresh()

    def next(self) -> int | None:
        if not self._ports:
            return None
        self._turn += 1
        return self._ports[self._turn % len(self._ports)]


@asynccontextmanager
async def direct(ground: Ground, service: str, rate: float) -> AsyncIterator[Caller]:
    """Its list is that of now."""
    known = CachedList(ground, service)
    await known.refresh()
    keeper = spawn(known.keep(), name="cached list")
    try:
        yield Caller(DIRECT, "direct, list of 30 s", Load(known.next, rate=rate, make=orders("d")))
    finally:
        keeper.cancel()


@asynccontextmanager
async def proxied(
    names: Sequence[str], instances: Sequence[str], folder: Path, rate: float, terms: Terms
) -> AsyncIterator[list[Caller]]:
    """Those of `PEERS`."""
    async with AsyncExitStack() as stack:
        found = []
        for name in names:
            peer = await stack.enter_async_context(started(name, instances, folder, terms))
            title = f"{peer.name} {peer.version}"
            found.append(Caller(name, title, Load(peer.port, rate=rate, make=orders(name[0])), peer))
        yield found


def configuration(registry: str, service: str, *, port: int, **more: Any) -> str:
    """The sidecar's file: defaults but for addresses, with lists on disk, and an access log to judge by. JSON is YAML.

    `more` are keys of the service.
    """
    return json.dumps({
        "version": 1,
        "listen": None,
        "nacos": {"server_addresses": registry, "snapshot_dir": "last-good"},
        "admin": {"listen": "127.0.0.1:0"},
        "access_log": {"format": "json", "path": "access.log"},
        "services": [{"name": service, "listen": f"127.0.0.1:{port}", **more}],
    })  # fmt: skip


class SidecarCaller:
    """The last of them: a process that can be started again at its address, with what it left on its disk."""

    def __init__(self, registry: str, service: str, folder: Path, terms: Terms) -> None:
        self.port = free_port()
        self._registry = registry
        self._service = service
        self._folder = folder
        self._own = {"retry": chosen} if (chosen := retry(terms)) else {}
        self._lives = AsyncExitStack()
        self.process: SidecarProcess

    async def start(self) -> None:
        """Returns when it is ready."""
        self.process = await self._lives.enter_async_context(running(self._folder, self.configuration()))
        await self.process.ready()

    async def restart(self) -> None:
        """As an orchestrator does it."""
        await self._lives.aclose()
        await self.start()

    async def close(self) -> None:
        await self._lives.aclose()

    def caller(self, rate: float) -> Caller:
        return Caller(SIDECAR, f"nacos-sidecar {__version__}", Load(self.port, rate=rate, make=orders("s")))

    def configuration(self, **service: Any) -> str:
        """Its file, with these keys of the service too."""
        return configuration(self._registry, self._service, port=self.port, **self._own, **service)

    async def reload(self, **service: Any) -> None:
        """With these keys from now on; returns when they are in force."""
        before = len(self.process.events("reload_applied"))
        self.process.config.write_text(self.configuration(**service))
        self.process.child.signal(signal.SIGHUP)
        await self.process.event("reload_applied", count=before + 1)


@asynccontextmanager
async def behind_sidecar(registry: str, service: str, folder: Path, terms: Terms) -> AsyncIterator[SidecarCaller]:
    """Ready; ended with the block."""
    await asyncio.to_thread(folder.mkdir)
    sidecar = SidecarCaller(registry, service, folder, terms)
    try:
        await sidecar.start()
        yield sidecar
    finally:
        await sidecar.close()
