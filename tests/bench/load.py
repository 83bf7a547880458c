"""Load in a closed loop, by wrk: the next request of a connection follows its answer. On the core of this process."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.work import Work
from tests.support.process import run

_COUNT = re.compile(r"(\d+) requests in ([\d.]+)(ms|s|m)")
_PERCENTILE = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m) ?$", re.MULTILINE)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}

_ONCE = b"GET /orders/7 HTTP/1.1\r\nHost: service-0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answered:
    """What wrk counted; times in seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    resident: int = 0
    """Bytes of the proxy while the connections were still open."""


class LoadError(Exception):
    """Not all was answered well, so nothing was measured."""


def wrk(port: int, work: Work, seconds: int, folder: Path, *, look: Callable[[], int] = lambda: 0) -> Answered:
    """Calls for so many seconds, then looks at the memory of the proxy; raises LoadError."""
    script = folder / f"{work.key}.lua"
    script.write_text(work.script)
    options = ["--threads", "1", "--connections", str(work.connections), "--duration", f"{seconds}s", "--latency"]
    if work.close:
        options += ["--header", "Connection: close"]
    if work.script:
        options += ["--script", str(script)]
    with _idle(port, work.idle):
        told = run("wrk", *options, "--timeout", "30s", f"http://127.0.0.1:{port}{work.path}").stdout
        return replace(read(told), resident=look())


def read(told: str) -> Answered:
    """The figures in the report of wrk; raises LoadError."""
    counted = _COUNT.search(told)
    if counted is None or "Non-2xx" in told or "Socket errors" in told or int(counted[1]) == 0:
        raise LoadError(told)
    p50, p99 = (float(number) * _SECONDS[unit] for _, number, unit in _PERCENTILE.findall(told))
    return Answered(int(counted[1]), float(counted[2]) * _SECONDS[counted[3]], p50, p99)


@contextmanager
def _idle(port: int, count: int) -> Iterator[None]:
    """So many connections that have each had an answer."""
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port))
            opened.append(connection)
            connection.sendall(_ONCE)
            if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
                raise LoadError("an idle connection had no answer before")
        yield
    finally:
        for connection in opened:
            connection.close()
