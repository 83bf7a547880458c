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

_LATE = 3.0
"""Seconds after which a call that could not be sent in time is given up. A stall of the machine is made up for;
what stays behind for longer shows that the machine is too busy for the rate."""

_TIMEOUT = aiohttp.ClientTimeout(sock_connect=2.0, total=5.0)
"""Longer than the 1 s that Ribbon allows for each, so that a slow machine fails nobody."""


class Route(Protocol):
    """Where the next call goes."""

    async def base(self) -> str:
        """`http://host:port`; raises LookupError when there is nowhere to go."""
        ...


class Fixed:
    """One address for ever: the sidecar's."""

    def __init__(self, address: str) -> None:
        self._base = f"http://{address}"

    async def base(self) -> str:
        """The address."""
        return self._base


class CachedList:
    """The registry's list, kept for 30 s and taken in turn, as frameworks of the Ribbon era do."""

    def __init__(self, session: aiohttp.ClientSession, registry: str, service: str) -> None:
        self._session = session
        self._url = f"http://{registry}/nacos/v1/ns/instance/list"
        self._service = service
        self._bases: list[str] = []
        self._fetched_at = float("-inf")
        self._turn = 0

    async def refresh(self) -> None:
        """Asks for the list; calls that go on meanwhile use the old one."""
        self._fetched_at = monotonic()
        async with self._session.get(self._url, params={"serviceName": self._service}) as answer:
            hosts = (await answer.json())["hosts"]
        self._bases = [f"http://{host['ip']}:{host['port']}" for host in hosts]

    async def base(self) -> str:
        """The next address of the list as it was up to 30 s ago."""
        if monotonic() - self._fetched_at > CACHE_SECONDS:
            await self.refresh()
        if not self._bases:
            raise LookupError("the list is empty")
        self._turn += 1
        return self._bases[self._turn % len(self._bases)]


class Caller:
    """Half GET, half POST, each with an id of its own; every call is counted, by the reason when it failed."""

    def __init__(self, tally: Tally, session: aiohttp.ClientSession, route: Route, *, prefix: str) -> None:
        self._tally = tally
        self._session = session
        self._route = route
        self._prefix = prefix
        self._running: set[asyncio.Task[None]] = set()

    async def offer(self, *, rate: int, over: Callable[[float], bool]) -> None:
        """Sends `rate` calls a second, then waits for the last answers.

        `over` is asked before each call, with the seconds after the start at which it is due.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        while not over(due := self._tally.offered / rate):
            await asyncio.sleep(max(0.0, start + due - loop.time()))
            self._tally.offered += 1
            if loop.time() - start - due < _LATE:
                self._send(self._tally.offered)
        await asyncio.gather(*self._running)

    def _send(self, number: int) -> None:
        task = spawn(self._call(number), name=f"{self._tally.name}: call {number}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _call(self, number: int) -> None:
        request_id = f"{self._prefix}{number}"
        started = monotonic()
        try:
            base = await self._route.base()
            status = await (self._get(base, request_id) if number % 2 else self._post(base, request_id))
        except (aiohttp.ClientError, TimeoutError, LookupError) as error:
            self._tally.fail(_reason(error))
        else:
            if status == 200:
                self._tally.succeed(monotonic() - started)
            else:
                self._tally.fail(f"status {status}")

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
