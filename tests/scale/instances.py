"""The instances that all lists name: one process that answers at one port of every loopback address."""

import asyncio
import sys
from collections.abc import Sequence
from typing import cast

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


class _Instance(asyncio.Protocol):
    """Answers each whole request; what is sent here has no body but one that comes with its head."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER)


async def _main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Instance, "0.0.0.0", port, backlog=4096)
    await server.serve_forever()


def main(argv: Sequence[str]) -> None:
    """`python -m tests.scale.instances PORT`."""
    asyncio.run(_main(int(argv[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
