"""Whether a request costs more among many: instances, services; and what each of them takes of memory.

The peers go through the same with as many instances. Hundreds of instances are hundreds of connections, whoever holds
them, and what the kernel keeps for those is more than a processor's caches: what that costs is seen beside each other.
"""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.compare import TURN, measure
from tests.bench.contender import Contender, Round, contender
from tests.bench.ground import Ground
from tests.bench.load import wrk
from tests.bench.work import Work, hosts
from tests.peers.peer import Services, Terms

LARGEST = 5000
"""Instances of the service whose memory is compared."""

SIZES: Mapping[str, Sequence[tuple[int, int, int]]] = {
    "nginx": [(1, 1, 1), (1, 500, 1), (200, 1, 200)],
    "haproxy": [(1, 1, 1), (1, 500, 1), (200, 1, 200)],
    "envoy": [(1, 1, 1), (1, 500, 1)],
    "sidecar": [(1, 1, 1), (1, 50, 1), (1, 500, 1), (200, 1, 1), (200, 1, 200)],
}
"""Services, instances of each, and how many of the services are called, by the name of the proxy. Envoy has no 200: each of its
lists comes from a file, and a kernel lets a user watch 128 by default."""


@dataclass(slots=True)
class Size:
    """A proxy with so much behind it."""

    services: int
    instances: int
    called: int = 1
    """So many of the services, in turns."""
    rounds: list[Round] = field(default_factory=list)
    resident: int = 0
    """Bytes before the first request."""

    @property
    def cost(self) -> float:
        """Microseconds a request."""
        return statistics.median(one.cost for one in self.rounds)

    @property
    def kernel(self) -> float:
        """What of it is spent in the kernel."""
        return statistics.median(one.system for one in self.rounds)

    def to(self, least: "Size") -> float:
        """Its cost as so many times that of another one: the median over pairs of rounds."""
        pairs = zip(self.rounds, least.rounds, strict=True)
        return statistics.median(late.cost / early.cost for late, early in pairs)

    def __str__(self) -> str:
        return f"{self.services}-{self.instances}-{self.called}"

    def behind(self, ground: Ground) -> Services:
        return {f"service-{n}": ground.instances(self.instances, first=1 + n) for n in range(self.services)}

    def work(self) -> Work:
        """By name, be it the only one: making requests costs the load the same then."""
        return Work(f"size-{self}", "60 B answer", script=hosts(self.called))


async def grow(name: str, ground: Ground, seconds: int, folder: Path) -> list[Size]:
    """All sizes of a proxy run at once and have their rounds in turns, so many seconds of each size."""
    sizes = [Size(*each) for each in SIZES[name]]
    folder.mkdir()  # noqa: ASYNC240 - nothing else runs yet
    async with AsyncExitStack() as stack:
        running: list[tuple[Size, Contender]] = []
        for size in sizes:
            place, terms = folder / str(size), Terms(by_host=True)
            one = await stack.enter_async_context(contender(name, size.behind(ground), place, terms))
            size.resident = one.resident()
            running.append((size, one))
        for number in range(seconds // TURN + 1):
            for size, one in running:
                if number:
                    size.rounds.append(measure(one, size.work(), TURN, folder))
                else:
                    wrk(one.peer.port, size.work(), 1, folder)
    return sizes


async def largest(ground: Ground, folder: Path) -> Size:
    """A sidecar that is only weighed."""
    size = Size(1, LARGEST, called=0)
    async with contender("sidecar", size.behind(ground), folder) as one:
        size.resident = one.resident()
    return size
