"""The same load twice, at a fixed rate that no slow answer holds back (open loop), with keep-alive connections.

The direct caller does what a legacy framework does: it asks the registry for the list, keeps it for 30 s, and
takes the addresses in turn. The other one calls a fixed address: the sidecar's.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import aiohttp

from sidecar.clock import monotonic
from sidecar.demo.verdict import Tally
from sidecar.tasks import spawn

CACHE_SECONDS = 30.0
"""Ribbon refreshes its server list this often; Spring Cloud LoadBalancer caches for 35 s."""

_TIMEOUT = aiohttp.ClientTimeout(sock_connect=2.0, total=10.0)
"""A patient Java client: connect 2 s, answer 10 s."""


class Route(Protocol):
    """Where the next call goes."""

    async def base(self) -> str:
        """`http://host:port`; raises LookupError when there is nowhere to go."""
        ...


class Fixed:
    """One address for ever: the sidecar's."""

    def __init__(self, base: str) -> None:
        self._base = base

    async def base(self) -> str:
        """The address."""
        return self._base


class CachedList:
    """The registry's list, kept for 30 s and taken in turn, as frameworks of the Ribbon era do."""

    def __init__(self, session: aiohttp.ClientSession, registry: str, service: str) -> None:
        self._session = session
        self._url = f"http://{registry}/nacos/v1/ns/instance/list"
        self._service = service
        self._addresses: list[str] = []
        self._fetched_at = float("-inf")
        self._turn = 0

    async def base(self) -> str:
        """The next address of the list as it was up to 30 s ago."""
        if monotonic() - self._fetched_at > CACHE_SECONDS:
            self._fetched_at = monotonic()
            async with self._session.get(self._url, params={"serviceName": self._service}) as answer:
                hosts = (await answer.json())["hosts"]
            self._addresses = [f"http://{host['ip']}:{host['port']}" for host in hosts]
        if not self._addresses:
            raise LookupError("empty list")
        self._turn += 1
        return self._addresses[self._turn % len(self._addresses)]


class Caller:
    """Half GET, half POST, each with an id of its own; every call is counted, by the reason when it failed."""

    def __init__(self, tally: Tally, session: aiohttp.ClientSession, route: Route, *, prefix: str) -> None:
        self.tally = tally
        self._session = session
        self._route = route
        self._prefix = prefix
        self._running: set[asyncio.Task[None]] = set()
        self._sent = 0

    async def offer(self, *, rate: int, seconds: float, on_tick: Callable[[], None]) -> None:
        """Sends `rate` calls a second for `seconds`, then waits for the last answers."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
            if loop.time() > start + seconds:
                break  # the machine is too slow for the rate: the verdict will say so
            task = spawn(self._call(), name=f"{self.tally.name} call")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            on_tick()
        await asyncio.gather(*self._running)

    async def _call(self) -> None:
        self._sent += 1
        request_id = f"{self._prefix}{self._sent}"
        started = monotonic()
        try:
            base = await self._route.base()
            status = await (self._get(base, request_id) if self._sent % 2 else self._post(base, request_id))
        except (aiohttp.ClientError, TimeoutError, LookupError) as error:
            self.tally.fail(_reason(error))
        else:
            if status == 200:
                self.tally.succeed(monotonic() - started)
            else:
                self.tally.fail(f"status {status}")

    async def _get(self, base: str, request_id: str) -> int:
        async with self._session.get(f"{base}/echo/{request_id}") as answer:
            await answer.read()
            return answer.status

    async def _post(self, base: str, request_id: str) -> int:
        headers = {"x-request-id": request_id}
        async with self._session.post(f"{base}/echo", json={"id": request_id}, headers=headers) as answer:
            await answer.read()
            return answer.status


def client_session() -> aiohttp.ClientSession:
    """A keep-alive pool as a Java client has it."""
    return aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60))


def _reason(error: Exception) -> str:
    match error:
        case LookupError():
            return "empty list"
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorError():
            return "refused"
        case _:
            return "connection lost"
