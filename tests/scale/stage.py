"""What stands around the sidecar while it is measured: instances, a registry, a relay that counts, each on its own."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.scale.lists import tell
from tests.scale.relay import Relay, relay
from tests.scale.size import BIG, BUSY, Size
from tests.scale.watched import Look, ask
from tests.support.http_client import Answer, request
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.until import until

_NACOS = (0, 1000)
"""Distances of the two ports of a registry."""

_CONFIG = """\
version: 1
listen: 127.0.0.1:{shared}
admin: {{listen: "127.0.0.1:{admin}"}}
access_log: {{path: none}}
nacos: {{server_addresses: "127.0.0.1:{registry}", snapshot_dir: {folder}/last-good}}
services:
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """Instances and registry; lists are changed by `put` and `take`."""

    folder: Path
    size: Size
    instances: int
    """The port that every instance has."""
    registry: Relay
    direct: int
    """The registry's own port, past the relay."""
    lists: int
    """The port where the registry is told what to list."""

    async def put_called(self) -> None:
        """Lists the service that is called."""
        await self.put(BUSY, self.size.first_called, self.size.called)

    async def put_small(self) -> None:
        """Lists the further services."""
        for number, service in enumerate(self.size.small):
            await self.put(service, self.size.first_of(number), self.size.each)

    async def put_big(self, *, weight: float = 1.0) -> None:
        """Lists all instances of the large one."""
        await self.put(BIG, 0, self.size.many, weight=weight)

    async def requests(self) -> Counter[str]:
        """How many of each type the registry has had over gRPC."""
        return Counter(json.loads((await request(self.direct, path="/observed")).body)["requests"])

    async def put(self, service: str, first: int, count: int, *, weight: float = 1.0) -> None:
        """Lists these instances, or gives those that it lists another weight."""
        await tell(self.lists, f"put {service} {first} {count} {self.instances} {weight}")

    async def take(self, service: str, first: int, count: int) -> None:
        """Lists them no more."""
        await tell(self.lists, f"take {service} {first} {count} {self.instances}")


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One process; `watch` is None where nobody looks into its loop."""

    child: Child
    shared: int
    admin: int
    watch: int | None

    async def look(self, word: str = "look", service: str = BIG) -> Look:
        """See `watched`."""
        if self.watch is None:
            raise RuntimeError("this sidecar is not watched")
        return await ask(self.watch, word, service)

    async def ask(self, path: str, *, method: str = "GET") -> Answer:
        """Of the admin port."""
        return await request(self.admin, method, path)

    async def metrics(self) -> dict[str, float]:
        """Families without their labels, summed up."""
        found: dict[str, float] = {}
        for line in (await self.ask("/metrics")).body.decode().splitlines():
            if not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                name = series.partition("{")[0]
                found[name] = found.get(name, 0.0) + float(value)
        return found


@asynccontextmanager
async def ground(folder: Path, size: Size) -> AsyncIterator[Ground]:
    """Everything but a sidecar."""
    instances, lists = free_port(), free_port()
    registry, front = free_port(_NACOS), free_port(_NACOS)
    commands = (
        ("tests.scale.instances", instances),
        ("tests.scale.lists", registry, lists),
    )
    async with AsyncExitStack() as stack:
        for module, *ports in commands:
            child = Child([sys.executable, "-m", module, *map(str, ports)], log=folder / f"{module}.log")
            stack.push_async_callback(child.terminate)
        for port in (instances, lists, registry):
            await until(_answers(port))
        front_door = await stack.enter_async_context(relay(front, registry))
        yield Ground(folder, size, instances, front_door, registry, lists)


@asynccontextmanager
async def sidecar(around: Ground, services: Sequence[str], *, watched: bool = False) -> AsyncIterator[Sidecar]:
    """Runs from here on, which does not mean that it has a list."""
    shared, admin, watch = free_port(), free_port(), free_port()
    text = _CONFIG.format(shared=shared, admin=admin, registry=around.registry.port, folder=around.folder / f"{admin}")
    file = around.folder / f"{admin}.yaml"
    file.write_text(text + "".join(f"  - {{name: {name}}}\n" for name in services))
    module = ("tests.scale.watched", str(watch)) if watched else ("sidecar",)
    child = Child([sys.executable, "-m", *module, "run", "-c", str(file)], log=around.folder / f"{admin}.log")
    try:
        yield Sidecar(child, shared, admin, watch if watched else None)
    finally:
        child.kill()


async def listed(one: Sidecar, count: int) -> None:
    """Returns when it is ready and so many endpoints, of all services together, are in force."""

    async def all_there() -> bool:
        if one.child.exit_code is not None:
            raise RuntimeError(f"the sidecar ended:\n{one.child.tail()}")
        try:
            found = await one.metrics()
        except OSError:
            return False
        return found.get("sidecar_ready") == 1.0 and found.get("sidecar_endpoints", 0.0) == count

    await until(all_there, pause=0.5)


def _answers(port: int) -> Callable[[], Awaitable[bool]]:
    async def connects() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return connects
