"""A proxy under test, alone on its core, and what it uses there."""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.ground import Ground
from tests.bench.work import Setting, services
from tests.peers.peer import Peer, Services, Terms
from tests.peers.sidecar import SidecarPeer
from tests.peers.start import started
from tests.support import cpu
from tests.support.memory import kept

PROXY_CORE, OTHER_CORE = 0, 1


@dataclass(frozen=True, slots=True)
class Round:
    """One stretch of load. CPU in microseconds a request, in own code and in the kernel; times in seconds."""

    user: float
    system: float
    busy: float
    """Share of its core that the proxy used."""
    rate: float
    """Requests a second."""
    p50: float
    p99: float
    resident: int
    """Bytes of all its processes at the end of it."""

    @property
    def cost(self) -> float:
        return self.user + self.system


@dataclass(slots=True)
class Contender:
    """A running proxy, and what was measured of it, by the key of the row."""

    name: str
    peer: Peer
    rounds: dict[str, list[Round]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.peer.name} {self.peer.version}"

    def used(self) -> cpu.Used:
        """Seconds so far, of all processes and threads."""
        each = [cpu.used(pid) for pid in self.peer.pids]
        return cpu.Used(sum(one.user for one in each), sum(one.system for one in each))

    def resident(self) -> int:
        """Bytes at this moment."""
        return sum(kept(pid).resident for pid in self.peer.pids)


@asynccontextmanager
async def contender(name: str, behind: Services, folder: Path, terms: Terms | None = None) -> AsyncIterator[Contender]:
    """Serving, on the core of proxies; what it needs beside it stays where this process is."""
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    async with started(name, behind, folder, terms or Terms()) as peer:
        for pid in peer.pids:
            cpu.pin(pid, PROXY_CORE)
        if isinstance(peer, SidecarPeer):
            cpu.give_way(peer.registry.pid)
        yield Contender(name, peer)


@asynccontextmanager
async def contenders(
    names: Iterable[str], setting: Setting, ground: Ground, folder: Path
) -> AsyncIterator[list[Contender]]:
    """Each of them in front of the same instances."""
    behind, terms = services(setting, ground), Terms(relay=setting == "relay")
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(contender(name, behind, folder / setting, terms)) for name in names]


def own_core() -> None:
    """This process, and all that it starts from now on, leaves the core of proxies alone."""
    os.sched_setaffinity(0, {OTHER_CORE})
