"""What a real Nacos node needs to answer as many questions as a fleet asks."""

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sidecar import clock
from sidecar.discovery.access import Access
from sidecar.discovery.nacos import NacosSession
from sidecar.discovery.options import NacosOptions
from sidecar.discovery.session import Listing, ServiceKey, Trouble
from sidecar.tasks import spawn
from tests.support.cpu import used
from tests.support.nacos_server import NacosServer, Version
from tests.support.wire_provider import providing_many

VERSION: Version = "3.1.0"

T = TypeVar("T")

_SESSIONS = 8
_WARM = 10.0
"""Seconds of questions before they count: Java compiles what it does often."""


@dataclass(frozen=True, slots=True)
class Node:
    """CPU in percent of a core."""

    version: str
    asked: float
    """Queries a second,"""
    rest: float
    busy: float

    @property
    def each_ms(self) -> float:
        """CPU milliseconds of one query."""
        return (self.busy - self.rest) / 100 / self.asked * 1000


class _Deaf:
    """Owns a session, and hears nothing of what it says by itself."""

    def pushed(self, key: ServiceKey, listing: Listing) -> None:
        pass

    def unreadable(self, key: ServiceKey, error: str) -> None:
        pass

    def troubled(self, trouble: Trouble) -> None:
        pass


async def measure(services: Sequence[str], each: int, *, rate: float, seconds: float) -> Node:
    """A node with these services is asked `rate` times a second over a few connections."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(NacosServer(VERSION))
        for number, service in enumerate(services):
            addresses = [f"127.1.{number}.{last}" for last in range(1, each + 1)]
            await stack.enter_async_context(providing_many(server, service, addresses))
        options = NacosOptions(server_addresses=(server.address,), request_timeout=10.0)
        keys = [ServiceKey(service, "DEFAULT_GROUP") for service in services]
        sessions = [await _opened(stack, options, keys) for _ in range(_SESSIONS)]
        await asyncio.sleep(1.0)
        rest, _ = await _cpu(server, asyncio.sleep(seconds))
        await _ask(sessions, keys, rate, _WARM)
        busy, asked = await _cpu(server, _ask(sessions, keys, rate, seconds))
        return Node(VERSION, asked, rest, busy)


async def _opened(stack: contextlib.AsyncExitStack, options: NacosOptions, keys: Sequence[ServiceKey]) -> NacosSession:
    rng = clock.system_rng()
    session = NacosSession(options.servers[0], options, _Deaf(), Access(options, rng=rng))
    stack.push_async_callback(session.close)
    await session.open()
    for key in keys:
        await session.subscribe(key)
    return session


async def _ask(sessions: Sequence[NacosSession], keys: Sequence[ServiceKey], rate: float, seconds: float) -> float:
    """Each question at its moment, whatever becomes of the ones before; how many a second there were."""
    loop = asyncio.get_running_loop()
    began, asked = loop.time(), 0
    whom = itertools.cycle(itertools.product(keys, sessions))
    asking = set()
    while (now := loop.time()) < began + seconds:
        while asked < (now - began) * rate:
            key, session = next(whom)
            asking.add(spawn(session.query(key), name="question"))
            asked += 1
        await asyncio.sleep(0.005)
    await asyncio.gather(*asking)
    return asked / (loop.time() - began)


async def _cpu(server: NacosServer, meanwhile: Coroutine[Any, Any, T]) -> tuple[float, T]:
    """Percent of a core that it used meanwhile, and what came of that."""
    loop = asyncio.get_running_loop()
    began, before = loop.time(), sum(used(server.pid))
    result = await meanwhile
    return (sum(used(server.pid)) - before) / (loop.time() - began) * 100, result
