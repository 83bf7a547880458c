"""Dials endpoints that nobody should meet first with a request: held, quarantined and new ones.

The cluster says whom and when; here is only the I/O: one connection at a time to an address, however many services
list it and whatever each of them wants it for, and never so many at once that a list of thousands becomes a storm of
connects. Services that ask for one address at the same time share one answer, if they mean the same by it: where TLS is
spoken, an instance is well when the handshake is.
"""

import asyncio
from typing import NamedTuple

from sidecar.cluster.endpoint import Endpoint
from sidecar.errors import FAILURES, Blame, Failure
from sidecar.proxy.connect import probe
from sidecar.proxy.trust import Trust

AT_ONCE = 64
"""Probes in flight in the whole process: with 1 s to a timeout still 64 unreachable endpoints a second."""


_SHORTAGE_PAUSE = 0.1
"""Seconds until a dial is tried again that our own lack of descriptors, ports or memory prevented."""


class _Asked(NamedTuple):
    """A probe that is under way, and how patient it is."""

    answer: asyncio.Future[Failure | None]
    within: float
    trust: Trust | None


class Prober:
    """Probes by connect, and by a handshake with those who speak TLS."""

    __slots__ = ("_asked", "_turn")

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._asked: dict[str, _Asked] = {}

    def __repr__(self) -> str:
        return f"<Prober {len(self._asked)} asked>"

    async def probe(self, endpoint: Endpoint, within: float, trust: Trust | None = None) -> Failure | None:
        """None when it can be connected within `within` seconds."""
        while (asked := self._asked.get(endpoint.address)) is not None:
            failure = await asyncio.shield(asked.answer)
            if asked.trust is trust and (failure is not FAILURES["connect_timeout"] or within <= asked.within):
                return failure
        asked = self._asked[endpoint.address] = _Asked(asyncio.get_running_loop().create_future(), within, trust)
        try:
            async with self._turn:
                failure = await _answer(endpoint, within, trust)
            asked.answer.set_result(failure)
        finally:
            del self._asked[endpoint.address]
            asked.answer.cancel()
        return failure


async def _answer(endpoint: Endpoint, within: float, trust: Trust | None) -> Failure | None:
    """What the endpoint has to say: our own shortage says nothing about it, and must not cost it its place."""
    wrap = None if trust is None else trust.towards(endpoint)
    while True:
        failure = await probe(endpoint.host, endpoint.port, within, wrap)
        if failure is None or failure.blame is not Blame.SIDECAR:
            return failure
        await asyncio.sleep(_SHORTAGE_PAUSE)
