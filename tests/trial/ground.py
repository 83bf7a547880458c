"""The registries that a trial is played on, each a process of its own that can end and start again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, Protocol

from tests.support.nacos_server import NacosServer, Version
from tests.support.registry_process import RegistryProcess

Name = Literal["embedded"] | Version

_APART = 5
"""Niceness of a server: elsewhere it has a machine of its own, and while it starts it would take both of our cores."""

TITLES: dict[Name, str] = {"embedded": "the embedded registry", "2.3.2": "Nacos 2.3.2", "3.1.0": "Nacos 3.1.0"}


class Ground(Protocol):
    """A registry."""

    @property
    def http_port(self) -> int:
        """Its gRPC port is 1000 more."""

    @property
    def address(self) -> str:
        """What its clients are given."""

    async def start(self) -> None:
        """Again after `stop`, at the same address; returns when it serves."""

    async def stop(self) -> None:
        """Ends it as its operator would."""

    async def instances(self, service: str) -> set[str]:
        """The `ip:port` that it lists; raises OSError or RuntimeError where it cannot tell."""


class Embedded(RegistryProcess):
    """The project's own, in memory."""

    async def stop(self) -> None:
        await self.close()


@asynccontextmanager
async def prepared(name: Name, folder: Path) -> AsyncIterator[Ground]:
    """Serving; ended with the block."""
    if name == "embedded":
        registry = Embedded(folder)
        try:
            await registry.ready()
            yield registry
        finally:
            await registry.close()
    else:
        async with NacosServer(name, niceness=_APART) as server:
            yield server
