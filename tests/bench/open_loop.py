"""Calls at a fixed rate, whatever became of those before (open loop), in a process of its own: percentiles wrk cannot give.

A closed loop waits with its next request for an answer that is late, so that a pause hides the calls it would have met. Here a
call's time runs from the moment at which it was due. `select` waits to the microsecond, event loops to the millisecond.
"""

import gc
import json
import select
import socket
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ctypes import CDLL
from time import perf_counter

from tests.bench.ground import BODY
from tests.bench.load import LoadError

_READY_MADE = 64
"""Connections opened, and used once, before the first call is due."""

_PENDING = 800
"""Calls without an answer at which the load gives up: `select` takes no more than 1 024."""

_PATIENCE = 10.0
_PR_SET_TIMERSLACK = 29

Call = tuple[float, float]
"""When it was due, by the clock of all processes, and how long it took from then; seconds."""


def offer(port: int, rate: float, seconds: float, host: str) -> list[Call]:
    """Calls on time; raises LoadError when one is answered badly or not at all."""
    CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
    gc.disable()
    request = f"GET /orders/7 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    idle = [_connection(port, request) for _ in range(_READY_MADE)]
    waiting: dict[socket.socket, float] = {}
    calls: list[Call] = []
    begin, sent, wanted = perf_counter() + 0.2, 0, int(rate * seconds)
    while len(calls) < wanted:
        now = perf_counter()
        while sent < wanted and (due := begin + sent / rate) <= now:
            waiting[_sent(request, idle, port)] = due
            sent += 1
        until_next = max(0.0, begin + sent / rate - perf_counter()) if sent < wanted else _PATIENCE
        answered, _, _ = select.select(list(waiting), [], [], until_next)
        if len(waiting) > _PENDING or (sent == wanted and not answered):
            raise LoadError(f"{len(waiting)} calls without an answer")
        now = perf_counter()
        for connection in answered:
            due, answer = waiting.pop(connection), _received(connection)
            if not answer:  # closed in our face, as by a reload: as an HTTP client would, once more, and time runs on
                waiting[_sent(request, [], port)] = due
                continue
            _check(answer)
            calls.append((due, now - due))
            idle.append(connection)
    return calls


def _sent(request: bytes, idle: list[socket.socket], port: int) -> socket.socket:
    """The connection that it went out on."""
    while idle:
        connection = idle.pop()
        try:
            connection.send(request)
        except OSError:
            continue
        return connection
    connection = _connection(port, request)
    connection.send(request)
    return connection


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b""


def _connection(port: int, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.send(request)
    _check(connection.recv(65536))
    return connection


def _check(answer: bytes) -> None:
    """So small an answer comes in one piece."""
    if not (answer.startswith(b"HTTP/1.1 200") and answer.endswith(BODY)):
        raise LoadError(f"answered {answer[:200]!r}")


class Offered:
    """The calls of a process that ran beside this one."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def between(self, begin: float, end: float) -> list[float]:
        """How long those took that were due in this time, in order of length."""
        return sorted(took for due, took in self.calls if begin <= due < end)


@asynccontextmanager
async def offered(port: int, *, rate: float, seconds: float, host: str = "busy") -> AsyncIterator[Offered]:
    """Calls leave beside whatever the block does; they are all there when it has ended."""
    command = (sys.executable, "-m", "tests.bench.open_loop", str(port), str(rate), str(seconds), host)
    process = await create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    found = Offered()
    yield found
    told, complaint = await process.communicate()
    if process.returncode:
        raise LoadError(complaint.decode())
    found.calls += [(due, took) for due, took in json.loads(told)]


def at(ordered: list[float], share: float) -> float:
    """A percentile of sorted numbers."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(offer(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4])))
