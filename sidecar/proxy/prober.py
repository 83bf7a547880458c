"""Dials endpoints that nobody should meet first with a request: held, quarantined and new ones.

The cluster says whom and when; here is only the I/O: one probe an endpoint at a time, and never so many at once
that a list of thousands becomes a storm of connects.
"""

import asyncio

from sidecar.cluster.endpoint import Endpoint
from sidecar.errors import Failure
from sidecar.proxy.connect import probe

AT_ONCE = 64
"""Probes in flight in the whole process: with 1 s to a timeout still 64 unreachable endpoints a second."""


class Prober:
    """Probes by plain connect."""

    __slots__ = ("_asked", "_turn")

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._asked: dict[Endpoint, asyncio.Future[Failure | None]] = {}

    def __repr__(self) -> str:
        return f"<Prober {len(self._asked)} asked>"

    async def probe(self, endpoint: Endpoint, within: float) -> Failure | None:
        """None when it can be connected within `within` seconds; who asks twice shares one answer."""
        asked = self._asked.get(endpoint)
        if asked is not None:
            return await asyncio.shield(asked)
        answer = self._asked[endpoint] = asyncio.get_running_loop().create_future()
        try:
            async with self._turn:
                failure = await probe(endpoint.host, endpoint.port, within)
            answer.set_result(failure)
        finally:
            del self._asked[endpoint]
            answer.cancel()
        return failure
