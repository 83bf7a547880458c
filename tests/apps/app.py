"""The two apps as processes: their JVM, their port, their start and their ends.

    async with Provider(B, registry, folder=tmp_path) as provider, Consumer(B, registry, folder=tmp_path) as consumer:
        get(f"http://127.0.0.1:{consumer.port}/feign/{id}")
        await provider.stop()       # SIGTERM: ends as the framework does it, and deregisters
        await provider.start()      # the same port
        assert f"GET {id}" in provider.executed()

175 MiB and 3 to 7 s to start the one, 180 to 350 MiB and 4 to 6 s the other, on a machine that is idle.
"""

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.apps.stacks import Balancer, Stack
from tests.support.java import JavaProgram
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.until import until

SERVICE = "service-provider"
"""The name that the provider registers under, and the consumer calls."""

_JVM = ("-Xmx256m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_PATIENT = ("--ribbon.ReadTimeout=8000",)
"""Feign on Ribbon gives up after one second otherwise, and then a machine that is merely busy makes calls fail."""

_ATTEMPTS = 3
_START_LIMIT = 240.0
"""Seconds for a very busy machine, on which a dozen of them start at once."""


class App:
    """One app on one port for its whole life; `start` again after `stop` or `kill`."""

    def __init__(
        self,
        program: JavaProgram,
        name: str,
        registry: str,
        *,
        folder: Path,
        host: str = "127.0.0.1",
        flags: Sequence[str] = (),
        before: Sequence[str] = (),
    ) -> None:
        """Registry and `flags` of the JVM come by the environment, as they do to an app that nobody may touch.

        `before`: what stands before the command line, to run it elsewhere or as somebody else.
        """
        self.name = name
        self.host = host
        self.port = free_port()
        self._program = program
        self._folder = folder
        self._jvm = (*_JVM, f"-Duser.home={folder}", f"-DJM.LOG.PATH={folder}")
        self._environment = {
            **os.environ,
            "SPRING_CLOUD_NACOS_DISCOVERY_SERVER_ADDR": registry,
            "JAVA_TOOL_OPTIONS": " ".join(flags),
        }
        self._before = before
        self._properties: Sequence[str] = (
            f"--server.port={self.port}",
            f"--spring.application.name={name}",
            f"--spring.cloud.nacos.discovery.ip={host}",
        )
        self._child: Child | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address} {self._child or 'not started'}>"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    async def start(self) -> None:
        """Returns when it says that it has started; it registers before that.

        On a busy machine Nacos may not answer its client in time, and the app ends; whatever started it tries again.
        """
        for _ in range(_ATTEMPTS):
            self._child = self._launch()
            if await self._comes_up(self._child):
                return
        raise RuntimeError(f"{self!r} did not start:\n{self._running().tail()}")

    async def stop(self) -> None:
        """SIGTERM, and until it has ended."""
        await self._running().terminate()

    async def kill(self) -> None:
        """SIGKILL: the kernel closes its connections, nobody deregisters it."""
        self._running().kill()

    def end(self) -> None:
        """At once, whether it has been started or not."""
        if self._child is not None:
            self._child.kill()

    def freeze(self) -> None:
        """It neither runs nor ends; its kernel still accepts connections."""
        self._running().signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().signal(signal.SIGCONT)

    def _launch(self) -> Child:
        return Child(
            [*self._before, *self._program.command(*self._jvm), *self._properties],
            log=self._folder / f"{self.name}-{self.port}.log",
            folder=self._folder,
            environment=self._environment,
        )

    async def _comes_up(self, child: Child) -> bool:
        """False when it ended instead."""

        async def decided() -> bool:
            return child.exit_code is not None or re.search(r" : Started \w+ in ", child.output()) is not None

        await until(decided, within=_START_LIMIT)
        return child.exit_code is None

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self!r}")
        return self._child


class Provider(App):
    """Answers `GET` and `POST /echo/ID`, and writes down whom it has answered."""

    def __init__(self, stack: Stack, registry: str, *, folder: Path, host: str = "127.0.0.1") -> None:
        super().__init__(stack.provider, SERVICE, registry, folder=folder, host=host)
        self._executed = folder / f"{SERVICE}-{self.port}.executed"
        self._properties = (*self._properties, f"--executed={self._executed}")
        self._always = self._properties

    def next_life(self, stack: Stack, properties: Sequence[str] = ()) -> None:
        """What it is from its next start on."""
        self._program = stack.provider
        self._properties = (*self._always, *properties)

    def executed(self) -> list[str]:
        """What it has carried out over all its lives, in order: `GET 1`, `POST 2` …"""
        return self._executed.read_text().splitlines() if self._executed.exists() else []


class Consumer(App):
    """Answers `GET` and `POST /feign/ID` and `/rest/ID` by calling a provider."""

    def __init__(
        self,
        stack: Stack,
        registry: str,
        *,
        folder: Path,
        host: str = "127.0.0.1",
        flags: Sequence[str] = (),
        before: Sequence[str] = (),
    ) -> None:
        name = "service-consumer"
        super().__init__(stack.consumer, name, registry, folder=folder, host=host, flags=flags, before=before)
        if stack.balancer is Balancer.RIBBON:
            self._properties = (*self._properties, *_PATIENT)
