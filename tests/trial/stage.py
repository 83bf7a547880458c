"""What the trial plays on: a real Nacos, three Java providers, the sidecar in a process of its own, and an app's load."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.support.java_provider import JavaProvider
from tests.support.nacos_server import NacosServer
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until
from tests.trial.verdict import Kill

PROVIDERS = 3
THINKING = 0.02
"""Seconds that a provider takes for an answer: at any moment some calls are in flight on each."""

_SETTLED = 180.0
"""Seconds for the registry to list what runs; a few are usual, and far more on a machine that starts a JVM slowly."""

_CONFIG = """\
version: 1
listen: null
nacos: {{server_addresses: "{registry}", snapshot_dir: last-good}}
admin: {{listen: "127.0.0.1:0"}}
access_log: {{format: json, path: access.log}}
services:
  - name: {service}
    listen: 127.0.0.1:0
"""


class Stage:
    """Everything that runs, and the steps that a trial is made of; each step returns when the registry has settled."""

    def __init__(self, server: NacosServer, providers: list[JavaProvider], service: str) -> None:
        self.server = server
        self.providers = providers
        self.service = service
        self.kills: list[Kill] = []

    async def restart(self, provider: JavaProvider) -> None:
        """A graceful one, as a deployment does it."""
        if code := await provider.stop():
            raise RuntimeError(f"{provider!r} did not end cleanly: {code}")
        await provider.start()
        await self.settled()

    async def crash(self, provider: JavaProvider, *, away: float = 1.0) -> None:
        """SIGKILL; it comes back after `away` seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await provider.kill()
        self.kills.append(Kill(provider.address, began, loop.time()))
        await asyncio.sleep(away)
        await provider.start()
        await self.settled()

    async def restart_registry(self) -> None:
        """The providers and the sidecar are left alone with it."""
        await self.server.stop()
        await self.server.start()
        await self.settled()

    async def settled(self) -> None:
        """Returns when the registry lists all providers."""
        wanted = {provider.address for provider in self.providers}

        async def listed() -> bool:
            try:
                return await self.server.instances(self.service) == wanted
            except (OSError, RuntimeError):
                return False

        await until(listed, within=_SETTLED, pause=0.25)

    def executed(self) -> list[str]:
        """What the providers wrote down: `GET c0`, `POST c1` …"""
        return [line for provider in self.providers for line in provider.executed()]


@asynccontextmanager
async def staged(server: NacosServer, folder: Path, *, service: str = "order-service") -> AsyncIterator[Stage]:
    """Three providers that a running server lists; ended with the block."""
    async with AsyncExitStack() as stack:
        providers = [JavaProvider(server.address, service, folder=folder, delay=THINKING) for _ in range(PROVIDERS)]
        await asyncio.gather(*(stack.enter_async_context(provider) for provider in providers))
        stage = Stage(server, providers, service)
        await stage.settled()
        yield stage


@asynccontextmanager
async def sidecar_of(stage: Stage, folder: Path) -> AsyncIterator[SidecarProcess]:
    """A sidecar in front of the stage: defaults but for addresses, with metrics, access log and lists on disk."""
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    async with running(folder, _CONFIG.format(registry=stage.server.address, service=stage.service)) as sidecar:
        yield sidecar
