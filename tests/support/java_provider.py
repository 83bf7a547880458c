"""A provider that registers with the official Java client and answers HTTP: see `tests/fixtures/java/provider`.

    async with JavaProvider(server.address, "order-service", folder=tmp_path) as provider:
        call(provider.address)
        await provider.stop()       # deregisters, lingers, finishes what is in flight
        await provider.start()      # the same port

93 MiB and 1 to 2 s to start. Its answers are those of every provider in these tests: `GET /echo/{id}` and `POST /echo`
with the field `x-request-id`.
"""

import re
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.support.java import PROVIDER
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.until import until

_JVM = ("-Xmx64m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dsun.net.httpserver.nodelay=true")


class JavaProvider:
    """One instance of a service, on one port for its whole life; `start` again after `stop` or `kill`."""

    def __init__(
        self,
        registry: str,
        service: str,
        *,
        folder: Path,
        group: str = "DEFAULT_GROUP",
        on_term: Literal["leave", "die"] = "leave",
        linger: float = 1.0,
        delay: float = 0.0,
    ) -> None:
        """`linger` and `delay` in seconds: how long it serves after deregistering, and thinks before each answer."""
        self.port = free_port()
        self._ids = folder / f"{service}-{self.port}.ids"
        self._log = folder / f"{service}-{self.port}.log"
        self._folder = folder
        self._options = {
            "registry": registry,
            "service": service,
            "group": group,
            "port": str(self.port),
            "ids": str(self._ids),
            "on-term": on_term,
            "linger": str(round(linger * 1000)),
            "delay": str(round(delay * 1000)),
        }
        self._child: Child | None = None

    def __repr__(self) -> str:
        return f"<JavaProvider {self.address} {self._child or 'not started'}>"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Returns when the registry has accepted its registration."""
        child = self._child = Child(self._command(), log=self._log, folder=self._folder)

        async def decided() -> bool:
            return child.exit_code is not None or re.search(r"^ready port=", child.output(), re.MULTILINE) is not None

        await until(decided)
        if child.exit_code is not None:
            raise RuntimeError(f"{self!r} did not start:\n{child.tail()}")

    async def stop(self) -> int:
        """SIGTERM, and until it has ended; its exit code."""
        return await self._running().terminate()

    async def kill(self) -> None:
        """SIGKILL: the kernel closes its connections, nobody deregisters it."""
        self._running().kill()

    def executed(self) -> list[str]:
        """What it has carried out over all its lives, in order: `GET 1`, `POST 2` …"""
        return self._ids.read_text().splitlines() if self._ids.exists() else []

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self!r}")
        return self._child

    def _command(self) -> list[str]:
        options = [text for name, value in self._options.items() for text in (f"--{name}", value)]
        home = f"-Duser.home={self._folder}"
        return [*PROVIDER.command(*_JVM, home, f"-DJM.LOG.PATH={self._folder}"), *options]
