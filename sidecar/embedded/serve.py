"""The embedded registry alone, as `nacos-sidecar registry` runs it."""

import asyncio
import signal
import sys

from sidecar.embedded.ports import joined
from sidecar.embedded.registry import PORT_OFFSET, EmbeddedRegistry


async def serve(host: str, port: int, port_offset: int = PORT_OFFSET) -> None:
    """Serves until SIGTERM or SIGINT and tells progress on stderr; raises OSError where a port is taken."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with EmbeddedRegistry(host, port, port_offset=port_offset) as registry:
        _tell(
            f"registry: HTTP on {registry.address}, gRPC on {joined(host, registry.port + port_offset)}, all in memory"
        )
        _tell(f"registry: faults at http://{registry.address}/faults; stop with Ctrl-C")
        await ended.wait()
        _tell(f"registry: stopping with {len(registry.connections)} clients connected")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
