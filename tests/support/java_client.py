"""The official Java client as a process that takes orders: see `tests/fixtures/java/client`.

    async with JavaClient("2.3.2", address, folder=tmp_path) as client:
        await client.order("subscribe orders")
        await client.told("list orders 127.0.0.1:8080")

50 to 90 MiB and 1 to 2 s to start.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.java import CLIENTS
from tests.support.until import PATIENCE

_JVM = ("-Xmx64m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class LineClient:
    """A client on a line: orders go in, and whatever it says is kept."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self.said: list[str] = []

    async def __aenter__(self) -> Self:
        await self.start()
        await self.told("ready")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Returns before it is ready."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self._folder,
        )
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def kill(self) -> None:
        """SIGKILL: the kernel closes its connections."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def order(self, command: str) -> str:
        """What it answers; raises RuntimeError where that failed."""
        answer = await self.attempt(command)
        if answer.startswith("failed "):
            raise RuntimeError(answer)
        return answer.removeprefix(f"ok {command} ")

    async def attempt(self, command: str) -> str:
        """`ok …` or `failed …`."""
        known = len(self.said)
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdin.drain()
        return await self.told(f"ok {command}", f"failed {command}", since=known)

    async def told(self, *beginnings: str, since: int = 0) -> str:
        """The first line that begins so, of those after the first `since`."""
        async with asyncio.timeout(PATIENCE), self._changed:
            while True:
                found = next((line for line in self.said[since:] if line.startswith(beginnings)), None)
                if found is not None:
                    return found
                if self._reading is not None and self._reading.done():
                    raise RuntimeError("it has ended:\n" + "\n".join(self.said[-60:]))
                await self._changed.wait()

    def lists(self, service: str) -> list[list[str]]:
        """Every list of a subscription so far."""
        start = f"list {service} "
        return [[a for a in line.removeprefix(start).split(",") if a] for line in self.said if line.startswith(start)]

    async def lists_at_last(self, service: str, *addresses: str) -> None:
        """Returns when the latest list is this one."""
        async with asyncio.timeout(PATIENCE), self._changed:
            while self.lists(service)[-1:] != [sorted(addresses)]:
                await self._changed.wait()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._changed:
                self.said.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()


class JavaClient(LineClient):
    """One of the versions in `CLIENTS`."""

    def __init__(
        self, version: str, registry: str, *, folder: Path, namespace: str = "", login: tuple[str, str] | None = None
    ) -> None:
        home = folder / f"java-{version}"
        home.mkdir(parents=True, exist_ok=True)
        options = (*_JVM, f"-Duser.home={home}", f"-DJM.LOG.PATH={home}", f"-DJM.SNAPSHOT.PATH={home}")
        super().__init__([*CLIENTS[version].command(*options), registry, namespace, *(login or ())], home)
