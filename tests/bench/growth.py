"""Whether a request costs more among many: instances, services; and what each of them takes of memory."""

import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.compare import measure
from tests.bench.contender import Contender, contender
from tests.bench.ground import Ground
from tests.bench.load import wrk
from tests.bench.work import Work, hosts
from tests.peers.peer import SERVICE, Services

LARGEST = 5000
"""Instances of the service whose memory is compared."""


@dataclass(slots=True)
class Size:
    """A sidecar with so much behind it, in microseconds a request and bytes."""

    services: int
    instances: int
    costs: list[float] = field(default_factory=list)
    resident: int = 0
    """Before the first request."""

    @property
    def cost(self) -> float:
        return statistics.median(self.costs)

    def behind(self, ground: Ground) -> Services:
        if self.services == 1:
            return {SERVICE: ground.instances(self.instances)}
        return {f"service-{n}": ground.instances(self.instances, first=1 + n) for n in range(self.services)}

    def work(self) -> Work:
        script = hosts(self.services) if self.services > 1 else ""
        return Work(f"size-{self.services}-{self.instances}", "60 B answer", script=script)


async def grow(ground: Ground, rounds: int, seconds: int, folder: Path) -> list[Size]:
    """All that are called run at once and have their rounds in turns; the largest one is only weighed."""
    sizes = [Size(1, 1), Size(1, 50), Size(1, 500), Size(200, 1)]
    async with AsyncExitStack() as stack:
        running: list[tuple[Size, Contender]] = []
        for size in sizes:
            place = folder / f"size-{size.services}-{size.instances}"
            one = await stack.enter_async_context(contender("sidecar", size.behind(ground), place))
            size.resident = one.resident()
            running.append((size, one))
        for number in range(rounds + 1):
            for size, one in running:
                if number:
                    size.costs.append(measure(one, size.work(), seconds, folder).cost)
                else:
                    wrk(one.peer.port, size.work(), 1, folder)
    largest = Size(1, LARGEST)
    async with contender("sidecar", largest.behind(ground), folder / "largest") as one:
        largest.resident = one.resident()
    return [*sizes, largest]
