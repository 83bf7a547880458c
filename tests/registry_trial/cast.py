"""The registries of one trial: real servers are started when a row first asks for them and end with the trial."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.nacos_server import NacosServer, Version


class Cast:
    """Servers by a name of the rows' choice: rows that give the same name share one."""

    def __init__(self) -> None:
        self._starting: dict[str, asyncio.Task[NacosServer]] = {}
        self._servers: list[NacosServer] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._starting.values():
            task.cancel()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        for server in self._servers:
            server.close()

    async def nacos(self, version: Version, name: str = "", *, token_ttl: int | None = None) -> NacosServer:
        """A running server; 10 s the first time, 20 s while others start."""
        key = f"{version} {name}"
        if key not in self._starting:
            self._starting[key] = asyncio.get_running_loop().create_task(self._start(version, token_ttl))
        return await asyncio.shield(self._starting[key])

    async def _start(self, version: Version, token_ttl: int | None) -> NacosServer:
        server = NacosServer(version, token_ttl=token_ttl)
        self._servers.append(server)
        await server.start()
        return server


_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a row is given: the servers, a service name and a folder that nobody else uses, and a voice."""

    cast: Cast
    service: str
    folder: Path
    say: Callable[[str], None]

    @classmethod
    def of(cls, cast: Cast, parent: Path, say: Callable[[str], None]) -> Self:
        """The next one; its folder is there."""
        service = f"trial-{next(_numbers)}"
        folder = parent / service
        folder.mkdir(parents=True)
        return cls(cast, service, folder, say)
