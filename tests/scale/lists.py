"""A registry in a process of its own, and the lists that it is told to hold: thousands of instances in one step.

It is told by words over a port, so that a list of five thousand changes at once and is pushed once, as after an
operator's change of a whole service. Every instance has an address of its own in 127.0.0.0/8.
"""

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence

from sidecar.embedded.registry import EmbeddedRegistry

METADATA = {"version": "1.4.2", "zone": "eu-1a", "preserved.register.source": "SPRING_CLOUD"}
"""What a Spring Cloud app says of itself."""


def addresses(first: int, count: int) -> Iterator[str]:
    """Those of the instances from number `first` on: 62 500 fit into each second byte."""
    for number in range(first, first + count):
        yield f"127.{1 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"


class Lists:
    """Does as it is told, one line a command: `put SERVICE FIRST COUNT PORT WEIGHT`, `take SERVICE FIRST COUNT PORT`."""

    def __init__(self, registry: EmbeddedRegistry) -> None:
        self._registry = registry

    def do(self, line: str) -> None:
        """Raises ValueError for what is no command."""
        match line.split():
            case "put", service, first, count, port, weight:
                for ip in addresses(int(first), int(count)):
                    self._registry.register(service, ip, int(port), weight=float(weight), metadata=METADATA)
            case "take", service, first, count, port:
                for ip in addresses(int(first), int(count)):
                    self._registry.deregister(service, ip, int(port))
            case _:
                raise ValueError(f"no command: {line!r}")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One line, one answer: `done`."""
        with contextlib.closing(writer):
            while line := await reader.readline():
                self.do(line.decode())
                writer.write(b"done\n")


async def tell(port: int, *lines: str) -> None:
    """Has the registry behind that port do it; returns when it is done, which is before it is pushed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        for line in lines:
            writer.write(f"{line}\n".encode())
            if not await reader.readline():
                raise RuntimeError(f"the registry did not do: {line}")


async def _main(registry_port: int, lists_port: int) -> None:
    async with EmbeddedRegistry(port=registry_port) as registry:
        server = await asyncio.start_server(Lists(registry).serve, "127.0.0.1", lists_port)
        await server.serve_forever()


def main(argv: Sequence[str]) -> None:
    """`python -m tests.scale.lists REGISTRY_PORT LISTS_PORT`."""
    asyncio.run(_main(int(argv[0]), int(argv[1])))


if __name__ == "__main__":
    main(sys.argv[1:])
