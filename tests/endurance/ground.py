"""A sidecar process between this process's apps and instances, and how much it keeps."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sidecar.tasks import spawn
from tests.support.http_client import request
from tests.support.memory import kept
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until

_CONFIG = """\
version: 1
listen: null
admin: {{listen: "127.0.0.1:0"}}
access_log: {{path: none}}
services:
  - name: orders
    listen: 127.0.0.1:0
    discovery: {{static: [{instances}]}}
    keepalive: {{idle_timeout: 1s}}
{more}
"""

_WARM = 200
"""Calls before the first look: what is made once, is made."""

_LOOK = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """What a trial did to the process. Bytes and descriptors beyond those at its start."""

    told: Sequence[str]
    """What the app got, each time."""
    peak: int
    """The most at any moment,"""
    kept: int
    """and when it was over: what the allocator holds for the next time, or a leak."""
    again: int
    """What each further time added to that, at least: a leak adds the same every time, the allocator now and then."""
    files: int


class Ground:
    """The process, ready."""

    def __init__(self, process: SidecarProcess, port: int) -> None:
        self.process = process
        self.port = port

    @property
    def pid(self) -> int:
        return self.process.child.pid

    @property
    def resident(self) -> int:
        """Bytes."""
        return kept(self.pid).resident

    @property
    def files(self) -> int:
        """Open descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - counted, twenty times a second

    async def serves(self, calls: int = 20) -> None:
        """Other apps are answered, whatever goes on; each over a connection of its own."""
        for _ in range(calls):
            answer = await request(self.port)
            assert answer.status == 200, answer

    async def serving(self) -> bool:
        """An app is answered 200."""
        return (await request(self.port)).status == 200

    async def watched(self, trial: Callable[["Ground"], Awaitable[str]], times: int) -> Seen:
        """Plays it so often; returns when all connections of it are gone."""
        await self.serves(_WARM)
        await until(self._quiet)
        resident, files = self.resident, self.files
        peak = Peak(self)
        told = [await trial(self)]
        highest = await peak.end()
        await self._returned(files)
        levels = [self.resident]
        while len(told) < times:
            told.append(await trial(self))
            await self._returned(files)
            levels.append(self.resident)
        added = min((after - before for before, after in itertools.pairwise(levels)), default=0)
        return Seen(told, highest - resident, levels[0] - resident, added, self.files - files)

    async def _returned(self, files: int) -> None:
        async def so_far() -> bool:
            return self.files <= files

        await until(so_far)

    async def _quiet(self) -> bool:
        """No connection of an app or to an instance, but for the one that asks."""
        lines = (await self.process.admin("/metrics")).body.decode().splitlines()
        open_ = [line for line in lines if line.startswith('sidecar_connections{service="orders"')]
        return bool(open_) and all(line.endswith((" 0", " 0.0")) for line in open_)


class Peak:
    """The most that is resident, twenty times a second."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._highest = 0
        self._task = spawn(self._look(), name="peak")

    async def end(self) -> int:
        """Bytes."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return max(self._highest, self._ground.resident)

    async def _look(self) -> None:
        while True:
            self._highest = max(self._highest, self._ground.resident)
            await asyncio.sleep(_LOOK)


@asynccontextmanager
async def ground(folder: Path, *instances: str, more: str = "", files: int | None = None) -> AsyncIterator[Ground]:
    """A sidecar in front of `instances`; `more` are further lines of its service, `files` its limit of descriptors."""
    listed = ", ".join(f'"{instance}"' for instance in instances)
    lines = "".join(f"    {line}\n" for line in more.splitlines())
    by = () if files is None else ("prlimit", f"--nofile={files}:{files}", "--")
    async with running(folder, _CONFIG.format(instances=listed, more=lines), by=by) as process:
        await process.ready()
        yield Ground(process, await process.bound("orders"))
