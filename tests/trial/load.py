"""An app that never slows down: calls leave at a fixed rate, whatever became of the calls before (open loop).

Every other call is a POST; each has an id of its own, which the providers write down. Connections are kept alive and
taken youngest first; a call that finds none free opens one, as the pool of an HTTP client does. At 300 calls a
second this costs some 3 % of a core, so that the rate holds on a machine where everything else runs too.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from sidecar.tasks import spawn

PATIENCE = 10.0
"""Seconds until the app gives a call up, unless it is said otherwise."""

CONNECT_PATIENCE = 5.0
"""Seconds until it gives a connection up that is not made."""

IDLE = 5.0
"""Seconds after which it closes a connection that it does not use; servers do so after 15 and more."""

Destination = Callable[[], int | None]
"""The port that the next call goes to; None: the app knows nobody."""

_TICK = 0.005
"""Seconds between looks for calls that are due; their moment is the schedule's, not the look's."""


@dataclass(slots=True)
class Call:
    """One call as the app saw it; times are the loop's."""

    method: str
    id: str
    due: float
    started: float
    ended: float = 0.0
    status: int = 0
    """0: no answer."""
    error: str = ""
    """The value of x-sidecar-error, or what happened to the app's own connection."""
    body: bytes = b""
    """Of the answer, complete."""

    @property
    def answered(self) -> bool:
        """An instance carried it out and said so."""
        return self.status == 200

    def wire(self) -> bytes:
        """The request."""
        if self.method == "GET":
            return f"GET /echo/{self.id} HTTP/1.1\r\nHost: order-service\r\n\r\n".encode()
        head = f"POST /echo HTTP/1.1\r\nHost: order-service\r\nx-request-id: {self.id}\r\n"
        body = f'{{"id":"{self.id}"}}'
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


Make = Callable[[int, float, float], Call]
"""The call of this number, from the moment it is due and the one at which it starts."""


def orders(prefix: str) -> Make:
    """What the app of the trial asks the order service for; `prefix` begins the ids."""
    return lambda number, due, started: Call(("GET", "POST")[number % 2], f"{prefix}{number}", due, started)


class Load:
    """`start`, later `stop`; `calls` are all that ended, in the order of their ends."""

    def __init__(
        self,
        to: int | Destination,
        *,
        rate: float,
        host: str = "127.0.0.1",
        patience: float = PATIENCE,
        make: Make | None = None,
    ) -> None:
        """`to`: a port of the host, or who chooses one for each call."""
        self.rate = rate
        self.patience = patience
        self.calls: list[Call] = []
        self._to: Destination = to if callable(to) else lambda: to
        self._host = host
        self._make = make or orders("c")
        self._loop = asyncio.get_running_loop()
        self._idle: defaultdict[int, list[_Connection]] = defaultdict(list)
        self._open: set[_Connection] = set()
        self._pending = 0
        self._sent = 0
        self._stopping = False
        self.seconds = 0.0
        """From the first call to the stop."""
        self._began = 0.0
        self._burst = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self, *, burst: float = 0.0) -> None:
        """Calls leave evenly, or those of `burst` seconds all at once."""
        self._burst = burst
        self._began = self._loop.time()
        self._task = spawn(self._offer(), name="load")

    async def stop(self) -> None:
        """Sends no more; returns when the last call has ended, after its patience at most."""
        self._stopping = True
        self.seconds = self._loop.time() - self._began
        if self._task is not None:
            await self._task
        while self._pending:  # noqa: ASYNC110 - nothing to set an event for but this one moment
            await asyncio.sleep(_TICK)
        for connection in self._open.copy():
            connection.close()

    async def _offer(self) -> None:
        while not self._stopping:
            while (due := self._due(self._sent)) <= self._loop.time():
                self._send(due)
            await asyncio.sleep(_TICK)

    def _due(self, number: int) -> float:
        """The moment of a call."""
        if self._burst:
            return self._began + number // round(self.rate * self._burst) * self._burst
        return self._began + number / self.rate

    def _send(self, due: float) -> None:
        call = self._make(self._sent, due, self._loop.time())
        self._sent += 1
        self._pending += 1
        port = self._to()
        if port is None:
            self.ended(call, 0, "nobody is known")
        elif (connection := self._free_one(port, call.started)) is not None:
            connection.carry(call)
        else:
            spawn(self._send_on_new(call, port), name="load connection")

    def _free_one(self, port: int, now: float) -> "_Connection | None":
        """The youngest; one that has been idle for long is closed, lest a call meet the other side's own idle close."""
        idle = self._idle[port]
        while idle and now - idle[0].free_since > IDLE:
            idle.pop(0).close()
        return idle.pop() if idle else None

    async def _send_on_new(self, call: Call, port: int) -> None:
        try:
            async with asyncio.timeout(min(CONNECT_PATIENCE, self.patience)):
                _, connection = await self._loop.create_connection(lambda: _Connection(self, port), self._host, port)
        except OSError as error:
            self.ended(call, 0, f"not connected: {type(error).__name__}")
        else:
            connection.carry(call)

    def opened(self, connection: "_Connection") -> None:
        self._open.add(connection)

    def lost(self, connection: "_Connection") -> None:
        self._open.discard(connection)
        if connection in (idle := self._idle[connection.port]):
            idle.remove(connection)

    def free(self, connection: "_Connection") -> None:
        connection.free_since = self._loop.time()
        self._idle[connection.port].append(connection)

    def ended(self, call: Call, status: int, error: str) -> None:
        self._pending -= 1
        call.ended, call.status, call.error = self._loop.time(), status, error
        self.calls.append(call)


@asynccontextmanager
async def loaded(port: int, *, rate: float, patience: float = PATIENCE) -> AsyncIterator[Load]:
    """Calls leave for as long as the block lasts; after it, all of them have ended."""
    load = Load(port, rate=rate, patience=patience)
    load.start()
    try:
        yield load
    finally:
        await load.stop()


class _Connection(asyncio.Protocol):
    """One call at a time."""

    def __init__(self, load: Load, port: int) -> None:
        self.port = port
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._call: Call | None = None
        self._buffer = b""
        self.free_since = 0.0
        self._limit: asyncio.TimerHandle | None = None

    def carry(self, call: Call) -> None:
        self._call = call
        if self._transport is None:
            self._end(0, "the app's connection was closed")
            return
        self._limit = asyncio.get_running_loop().call_later(self._load.patience, self._give_up)
        self._transport.write(call.wire())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none of its subclasses
        self._load.opened(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        status, fields = _parse(head)
        length = int(fields.get(b"content-length", b"0"))
        if len(body) < length:
            return
        self._buffer = body[length:]
        if self._call is not None:
            self._call.body = body[:length]
        self._end(status, fields.get(b"x-sidecar-error", b"").decode())
        if fields.get(b"connection", b"").lower() == b"close":
            self.close()
        else:
            self._load.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._load.lost(self)
        if self._call is not None:
            self._end(0, "cut" if self._buffer else "closed without an answer")

    def _give_up(self) -> None:
        self._end(0, f"no answer within {self._load.patience:.0f} s")
        if self._transport is not None:
            self._transport.abort()

    def _end(self, status: int, error: str) -> None:
        call, self._call = self._call, None
        if self._limit is not None:
            self._limit.cancel()
        if call is not None:
            self._load.ended(call, status, error)


def _parse(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Status, and the fields by their lower-case names."""
    status_line, *lines = head.split(b"\r\n")
    fields = (line.partition(b":") for line in lines)
    return int(status_line[9:12]), {name.lower(): value.strip() for name, _, value in fields}
