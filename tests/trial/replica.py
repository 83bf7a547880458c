"""A provider and its registration: what an orchestrator, a crash or a bad night does to it."""

from pathlib import Path
from typing import Protocol, Unpack

from tests.support.java_provider import JavaProvider
from tests.support.plain_provider import Habits, PlainProvider
from tests.trial.enrolment import Enrolment
from tests.trial.ground import Ground


class Replica(Protocol):
    """One instance of the service, on one port for its whole life."""

    @property
    def address(self) -> str:
        """`ip:port`."""

    async def start(self) -> None:
        """Listens, then registers."""

    async def stop(self) -> None:
        """Gracefully: deregisters, finishes what it began, closes; returns when it is gone."""

    async def kill(self) -> None:
        """SIGKILL: the kernel closes its connections, that to the registry among them.

        It is gone before anything else can happen in this process.
        """

    async def end(self) -> None:
        """Whatever became of it."""

    def executed(self) -> list[str]:
        """What it has carried out over all its lives, in order: `GET d1`, `POST s2` …"""


class PlainReplica:
    """A cheap process, and a registration that is kept for it."""

    def __init__(self, ground: Ground, service: str, folder: Path, **habits: Unpack[Habits]) -> None:
        self._provider = PlainProvider(folder, name=service, **habits)
        self._enrolment = Enrolment(ground.http_port, service, self.port)

    @property
    def port(self) -> int:
        return self._provider.port

    @property
    def address(self) -> str:
        return self._provider.address

    async def start(self) -> None:
        await self.listen()
        self.register()

    async def stop(self) -> None:
        """It refuses as soon as the registry has heard of it."""
        await self._enrolment.leave()
        await self.terminate()

    async def kill(self) -> None:
        self._provider.kill()
        await self._enrolment.vanish()

    async def end(self) -> None:
        await self._enrolment.vanish()
        self._provider.end()

    def executed(self) -> list[str]:
        return self._provider.executed()

    # Halves of these, and worse

    async def listen(self) -> None:
        await self._provider.start()

    def register(self) -> None:
        self._enrolment.begin()

    async def terminate(self) -> None:
        """SIGTERM alone: it refuses, finishes and is gone, and stays registered."""
        await self._provider.stop()

    def freeze(self) -> None:
        """SIGSTOP: its kernel goes on accepting."""
        self._provider.freeze()

    def thaw(self) -> None:
        self._provider.thaw()

    def becomes(self, **habits: Unpack[Habits]) -> None:
        """Other habits from its next life on."""
        self._provider.habits.update(habits)


class OfficialReplica:
    """A JVM behind the official client of Nacos; it serves on for a second after deregistering."""

    def __init__(self, ground: Ground, service: str, folder: Path, **habits: Unpack[Habits]) -> None:
        self._provider = JavaProvider(ground.address, service, folder=folder, delay=habits.get("delay", 0.0))
        self.address = self._provider.address

    async def start(self) -> None:
        await self._provider.start()

    async def stop(self) -> None:
        if code := await self._provider.stop():
            raise RuntimeError(f"{self._provider!r} did not end cleanly: {code}")

    async def kill(self) -> None:
        await self._provider.kill()

    async def end(self) -> None:
        await self._provider.kill()

    def executed(self) -> list[str]:
        return self._provider.executed()
