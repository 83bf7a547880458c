"""What a trial plays on: a real Nacos, Spring providers, apps of several eras that call them in several ways.

The providers reach the registry over a wire of their own. When it is cut, the registry loses them all at once and says
so, while they serve on: a false empty list as a partition of the network makes it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.apps.app import SERVICE, Provider
from tests.apps.stacks import B, Balancer, Stack
from tests.apps_trial import network
from tests.apps_trial.caller import Caller
from tests.support.nacos_server import NacosServer
from tests.support.relay import Relay, relayed
from tests.support.until import until

PROVIDERS = 3

_SETTLED = 180.0
"""Seconds for the registry to list what runs; a few are usual, and far more on a machine that starts a JVM slowly."""

_FIRST_REFRESH, _REFRESH = 1.0, 30.0
"""Seconds after which Ribbon asks for its list again: after the first call, and then always."""

_CALM = 3.0
"""Seconds without a failed call of anybody, after which a row may begin."""


@dataclass(frozen=True, slots=True)
class Life:
    """What a provider is from one start to the next.

    With the default of Spring Boot, `server.shutdown=immediate`, a stopping provider cuts off what it is doing; whoever
    restarts providers under load sets it to `graceful`.
    """

    stack: Stack = B
    properties: tuple[str, ...] = ("--server.shutdown=graceful",)


ORDINARY = Life()


@dataclass(frozen=True, slots=True)
class Harm:
    """What was done to a provider, on the loop's clock: killed, frozen, or stopped."""

    address: str
    what: str
    began: float
    over: float


class Stage:
    """Everything that runs, and the acts that rows are made of."""

    def __init__(self, server: NacosServer, wire: Relay, folder: Path) -> None:
        self.server = server
        self.registry = f"{network.HOST}:{server.http_port}"
        self.wire = wire
        self.providers: list[Provider] = []
        self.gone: list[Provider] = []
        """Those that were stopped for good; what they have written counts."""
        self.callers: list[Caller] = []
        self.harms: list[Harm] = []
        self.life = ORDINARY
        """Of providers that are started from now on."""
        self.now = asyncio.get_running_loop().time
        self._lives: dict[Provider, Life] = {}
        self._folder = folder

    def new_provider(self) -> Provider:
        """Not yet started; it becomes one of the providers with `enter`."""
        return Provider(B, self.wire.address, folder=self._folder, host=network.HOST)

    async def enter(self, *providers: Provider) -> None:
        """They start side by side; returns when the registry lists them."""
        self.providers.extend(providers)
        await asyncio.gather(*map(self.start, providers))
        await self.settled()

    async def start(self, provider: Provider) -> None:
        self._lives[provider] = self.life
        provider.next_life(self.life.stack, self.life.properties)
        await provider.start()

    async def reborn(self, life: Life) -> None:
        """Every provider that is not of this life is restarted."""
        self.life = life
        for provider in self.providers:
            if self._lives[provider] != life:
                await provider.stop()
                await self.start(provider)
                await self.settled()

    async def stop(self, provider: Provider) -> None:
        """SIGTERM, and until it has ended."""
        await self._harm(provider, "stopped", provider.stop)

    async def kill(self, provider: Provider) -> None:
        """By SIGKILL."""
        await self._harm(provider, "killed", provider.kill)

    async def die(self, provider: Provider) -> None:
        """By a SIGTERM that it has no hook for."""
        await self._harm(provider, "killed", provider.stop)

    async def freeze(self, provider: Provider, seconds: float) -> None:
        async def frozen() -> None:
            provider.freeze()
            await asyncio.sleep(seconds)
            provider.thaw()

        await self._harm(provider, "frozen", frozen)

    async def leave(self, provider: Provider) -> None:
        """It stops for good."""
        self.providers.remove(provider)
        self.gone.append(provider)
        await self.stop(provider)

    async def settled(self) -> None:
        """Returns when the registry lists exactly the providers."""
        wanted = {provider.address for provider in self.providers}

        async def listed() -> bool:
            return await self.listed() == wanted

        await until(listed, within=_SETTLED, pause=0.25)

    async def emptied(self) -> None:
        """Returns when the registry lists nobody."""

        async def empty() -> bool:
            return await self.listed() == set()

        await until(empty, within=_SETTLED, pause=0.1)

    async def listed(self) -> set[str] | None:
        """None while the registry does not answer."""
        try:
            return await self.server.instances(SERVICE)
        except (OSError, RuntimeError):
            return None

    async def before_refresh(self, at_least: float, at_most: float) -> None:
        """Returns so many seconds before the direct app with Ribbon asks for its list, as it does in its own time."""
        for caller in self.callers:
            if caller.stack.balancer is Balancer.RIBBON and not caller.way.has_sidecar:
                left = (caller.load.calls[0].started + _FIRST_REFRESH - self.now()) % _REFRESH
                if not at_least <= left <= at_most:
                    await asyncio.sleep((left - at_most) % _REFRESH)
                return

    async def calm(self) -> None:
        """Returns when everybody's calls have been answered for a while."""
        await self.settled()

        async def all_well() -> bool:
            return all([await caller.is_well(_CALM) for caller in self.callers])

        await until(all_well, within=_SETTLED, pause=0.25)

    def executed(self) -> list[str]:
        """What the providers wrote down: `GET a-direct-1`, `POST b-proxy-7` …"""
        return [line for provider in (*self.providers, *self.gone) for line in provider.executed()]

    async def _harm(self, provider: Provider, what: str, act: Callable[[], Awaitable[None]]) -> None:
        began = self.now()
        await act()
        self.harms.append(Harm(provider.address, what, began, self.now()))


@asynccontextmanager
async def staged(server: NacosServer, folder: Path) -> AsyncIterator[Stage]:
    """Providers that a running server lists; ended with the block."""
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(relayed(server.http_port))
        stage = Stage(server, wire, folder)
        stack.callback(_end, stage)
        await stage.enter(*(stage.new_provider() for _ in range(PROVIDERS)))
        yield stage


def _end(stage: Stage) -> None:
    for provider in (*stage.providers, *stage.gone):
        provider.end()
