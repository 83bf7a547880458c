"""Providers that are processes and register nowhere: a test tells the registry what it likes of them."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict, Unpack

from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.until import until

_PROGRAM = Path(__file__).resolve().parents[1] / "fixtures" / "python" / "provider.py"
_START_LIMIT = 60.0

LINGER = 0.5
"""Seconds at least from `stop` to its end, during which it refuses."""


class Habits(TypedDict, total=False):
    """What the program's head says of them."""

    delay: float
    idle: float
    status: float
    warm_up: float


class PlainProvider:
    """One instance on one port; `start` again after `stop` or `kill`."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "orders",
        port: int | None = None,
        host: str = "127.0.0.1",
        inside: Sequence[str] = (),
        **habits: Unpack[Habits],
    ) -> None:
        """`name`: what it calls itself in its answers.

        `inside`: what its command line begins with, where it is to run in another network.
        """
        self.name = name
        self.port = port or free_port()
        self.host = host
        self.habits = habits
        """Of its next life."""
        self._inside = inside
        self._ids = folder / f"{name}-{self.port}.ids"
        self._log = folder / f"{name}-{self.port}.log"
        self._child: Child | None = None

    def __repr__(self) -> str:
        return f"<PlainProvider {self.name} {self.address} {self._child or 'not started'}>"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Returns when it listens."""
        program = [sys.executable, "-I", "-S", str(_PROGRAM), str(self.port), str(self._ids), self.name, self.host]
        habits = [f"{name}={value}" for name, value in self.habits.items()]
        child = self._child = Child([*self._inside, *program, *habits], log=self._log)

        async def decided() -> bool:
            return child.exit_code is not None or child.output() == "ready\n"

        await until(decided, within=_START_LIMIT, pause=0.01)
        if child.exit_code is not None:
            raise RuntimeError(f"{self!r} did not start:\n{child.tail()}")

    async def stop(self) -> None:
        """SIGTERM: refuses at once, finishes, is gone within a second."""
        await self._running().terminate(within=30.0)

    def kill(self) -> None:
        """SIGKILL."""
        self._running().kill()

    def freeze(self) -> None:
        """SIGSTOP: its kernel goes on accepting."""
        self._running().signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._running().signal(signal.SIGCONT)

    def executed(self) -> list[str]:
        """What it has carried out over all its lives, in order: `GET c1`, `POST c2` …"""
        return self._ids.read_text().splitlines() if self._ids.exists() else []

    def end(self) -> None:
        """Whatever became of it."""
        if self._child is not None:
            self._child.kill()

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self!r}")
        return self._child


@asynccontextmanager
async def plain_providers(
    folder: Path, count: int, *, name: str = "orders", **habits: Unpack[Habits]
) -> AsyncIterator[list[PlainProvider]]:
    """So many of them, listening; ended with the block."""
    made = [PlainProvider(folder, name=name, **habits) for _ in range(count)]
    try:
        await asyncio.gather(*(provider.start() for provider in made))
        yield made
    finally:
        for provider in made:
            provider.end()
