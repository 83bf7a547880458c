"""Providers behind nacos-sdk-python, as processes: those of the demo."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.nacos_server import NacosServer
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.until import until

_AT_ONCE = 2
"""Starts side by side: each keeps a core busy for a second, and the client gives its server three."""


class SdkProvider:
    """One instance; its client takes up to half a minute to register again with a server that has restarted."""

    def __init__(self, server: NacosServer, service: str, folder: Path) -> None:
        """Starts it."""
        self.port = free_port()
        self._server = server
        self._service = service
        self._ids = folder / f"{service}-{self.port}.ids"
        options = {"port": self.port, "registry": server.address, "service": service, "ids": self._ids}
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        self.child = Child(
            [sys.executable, "-m", "sidecar.demo.provider", *words], log=folder / f"{service}-{self.port}.log"
        )

    def __repr__(self) -> str:
        return f"<SdkProvider {self.address} {self.child}>"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def executed(self) -> list[str]:
        """What it has carried out: `GET c1`, `POST c2` …"""
        return self._ids.read_text().splitlines() if self._ids.exists() else []

    async def listed(self) -> None:
        """Returns when the server lists it."""

        async def so() -> bool:
            if self.child.exit_code is not None:
                raise RuntimeError(f"{self!r} did not start:\n{self.child.tail()}")
            return self.address in await self._server.instances(self._service)

        await until(so, pause=0.25)


@asynccontextmanager
async def sdk_providers(
    server: NacosServer, service: str, folder: Path, count: int
) -> AsyncIterator[list[SdkProvider]]:
    """So many of them, which the server lists; killed with the block."""
    made: list[SdkProvider] = []
    turn = asyncio.Semaphore(_AT_ONCE)

    async def start() -> None:
        async with turn:
            made.append(provider := SdkProvider(server, service, folder))
            await provider.listed()

    try:
        await asyncio.gather(*(start() for _ in range(count)))
        yield made
    finally:
        for provider in made:
            provider.child.kill()
