"""`nacos-sidecar run` with a watch on its event loop: how long each turn takes.

While the watch is on, the loop never sleeps: a callback asks to be called again in the next turn, and takes the time
that lies between. In CPU seconds of this one thread that is what the turn itself needed, whatever else the machine does;
in wall seconds it is what a call had to wait. Nothing of the product is changed but that it is watched.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from unittest.mock import patch

from sidecar import cli
from sidecar.app.sidecar import Sidecar
from sidecar.cluster.endpoint import State


@dataclass(frozen=True, slots=True)
class Look:
    """What the watch has seen since it began, and where the lists of one service stand now."""

    turns: int
    cpu_ms: float
    """The longest turn, in CPU time of this thread,"""
    wall_ms: float
    """and on the wall."""
    endpoints: int = 0
    held: int = 0
    lists: int = 0
    """How many have been put in force."""
    behind: bool = False
    """The last of them is not, or not completely."""


class Turns:
    """Of one loop, from now on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.count = 0
        self.cpu = self.wall = 0.0
        """Seconds of the longest, in CPU time of this thread and on the wall."""
        self._loop = loop
        self._on = False
        self._cpu_at = self._wall_at = 0.0
        self.switch(on=True)

    def switch(self, *, on: bool) -> None:
        """Off costs nothing."""
        if on and not self._on:
            self._cpu_at, self._wall_at = time.thread_time(), time.perf_counter()
            self._loop.call_soon(self._turn)
        self._on = on

    def begin(self) -> None:
        """Forgets what was found so far."""
        self.count, self.cpu, self.wall = 0, 0.0, 0.0

    def _turn(self) -> None:
        cpu, wall = time.thread_time(), time.perf_counter()
        self.count += 1
        self.cpu, self.wall = max(self.cpu, cpu - self._cpu_at), max(self.wall, wall - self._wall_at)
        self._cpu_at, self._wall_at = cpu, wall
        if self._on:
            self._loop.call_soon(self._turn)


class Watch:
    """Of one sidecar's loop."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self._turns = Turns(sidecar.loop)

    def look(self, name: str) -> Look:
        """What was found so far, and the service of this name."""
        service = self._sidecar.services[name]
        states = service.cluster.states()
        return Look(
            turns=self._turns.count,
            cpu_ms=self._turns.cpu * 1000,
            wall_ms=self._turns.wall * 1000,
            endpoints=states.total(),
            held=states[State.HELD],
            lists=service.cluster.stats.pushes["applied"] + service.cluster.stats.pushes["shrink_refused"],
            behind=service.cluster.behind,
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One line, `on`, `off`, `begin` or `look` and the name of a service; one line of JSON."""
        word, name = (await reader.readline()).decode().split()
        writer.write(json.dumps(asdict(self.look(name))).encode() + b"\n")
        if word == "begin":
            self._turns.begin()
        elif word != "look":
            self._turns.switch(on=word == "on")
        writer.close()


async def ask(port: int, word: str, service: str) -> Look:
    """What the watch behind that port has seen since it was asked last."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{word} {service}\n".encode())
    found = Look(**json.loads(await reader.readline()))
    writer.close()
    return found


def main(argv: Sequence[str]) -> int:
    """`python -m tests.scale.watched PORT run -c FILE …`."""
    port, *arguments = argv
    start = Sidecar.start

    async def watched(sidecar: Sidecar) -> None:
        watch = Watch(sidecar)
        await start(sidecar)
        await asyncio.start_server(watch.serve, "127.0.0.1", int(port))

    with patch.object(Sidecar, "start", watched):
        return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
