"""CPU per request of the sidecar beside nginx: the same core, the same load, the same backend, in turns.

Proxy on one core, backend (nginx, 60 bytes an answer) and load (wrk, keep-alive, closed loop) on the other. What is
compared is user and system time a request, so that other work on the machine disturbs it less than a rate. The
sidecar runs with metrics and without an access log, as nginx does.

With `--ways` the sidecar is compared with itself: its shared listener by `Host`, and by the address of an instance, as
a JVM asks that takes it for a proxy.
"""

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers.nginx import Nginx, NginxPeer, backend
from tests.peers.peer import Terms
from tests.support import cpu
from tests.support.needs import find
from tests.support.process import run
from tests.support.sidecar_process import running

PROXY_CORE, OTHER_CORE = 0, 1

_CONFIG = """\
version: 1
listen: 127.0.0.1:0
admin: {{listen: "127.0.0.1:0"}}
access_log: {{path: none}}
services:
  - name: orders
    listen: 127.0.0.1:0
    discovery: {{static: ["127.0.0.1:{backend}"]}}
"""

_BY_ADDRESS = """\
local head = "GET http://127.0.0.1:{backend}/orders/7 HTTP/1.1\\r\\nHost: 127.0.0.1:{backend}\\r\\n"
request = function() return head .. "Proxy-Connection: keep-alive\\r\\n\\r\\n" end
"""
_BY_HOST = """\
request = function() return "GET /orders/7 HTTP/1.1\\r\\nHost: orders\\r\\nConnection: keep-alive\\r\\n\\r\\n" end
"""
"""What wrk is to send, where that is not a plain request to the port."""


@dataclass(frozen=True, slots=True)
class Round:
    """One stretch of load: microseconds of CPU a request, in own code and in the kernel, and requests a second."""

    user: float
    system: float
    rate: float


@dataclass(slots=True)
class Contender:
    """A running proxy, and what was measured of it."""

    name: str
    port: int
    pid: int
    options: tuple[str, ...] = ()
    """Of wrk."""
    rounds: list[Round] = field(default_factory=list)

    @property
    def costs(self) -> list[float]:
        """Of each round."""
        return [one.user + one.system for one in self.rounds]


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 measured, 2 not."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each, in turns (5)")
    parser.add_argument("--seconds", type=int, default=4, help="a round (4)")
    parser.add_argument("--connections", type=int, default=32, help="kept open by the load (32)")
    parser.add_argument("--ways", action="store_true", help="the sidecar by Host and by address, instead of nginx")
    options = parser.parse_args(argv)
    missing = [tool for tool in ("wrk", "nginx") if find(tool) is None]
    if missing or len(cpu.cores()) < 2:
        sys.stderr.write(f"this machine lacks {', '.join(missing) or 'a second core'}\n")
        return 2
    asyncio.run(_compare(options))
    return 0


async def _compare(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with _contenders(Path(folder), ways=options.ways) as contenders:
            for number in range(options.rounds + 1):  # the first one warms up
                for one in contenders:
                    measured = _measure(one, options)
                    if number:
                        one.rounds.append(measured)
            sys.stdout.write(_table(contenders))


@asynccontextmanager
async def _contenders(folder: Path, *, ways: bool) -> AsyncIterator[tuple[Contender, ...]]:
    with cpu.pinned(OTHER_CORE):
        behind = backend(folder / "backend")
    with cpu.pinned(PROXY_CORE):
        beside = NginxPeer([f"127.0.0.1:{behind.port}"], folder / "nginx", Terms())
    try:
        await behind.ready()
        await beside.ready()
        async with _sidecar(behind, folder) as (own, by_host, by_address):
            yield (by_host, by_address) if ways else (Contender("nginx", beside.port, beside.pids[0]), own)
    finally:
        await beside.close()
        await behind.close()


@asynccontextmanager
async def _sidecar(behind: Nginx, folder: Path) -> AsyncIterator[tuple[Contender, ...]]:
    """One process, by its three ways in."""
    home = folder / "sidecar"
    await asyncio.to_thread(home.mkdir)
    for name, text in (("host", _BY_HOST), ("address", _BY_ADDRESS.format(backend=behind.port))):
        await asyncio.to_thread((home / f"{name}.lua").write_text, text)
    async with AsyncExitStack() as stack:
        with cpu.pinned(PROXY_CORE):
            process = await stack.enter_async_context(running(home, _CONFIG.format(backend=behind.port)))
        await process.ready()
        shared, pid = await process.bound("shared"), process.child.pid
        yield (
            Contender("sidecar", await process.bound("orders"), pid),
            Contender("by Host", shared, pid, ("--script", str(home / "host.lua"))),
            Contender("by address", shared, pid, ("--script", str(home / "address.lua"))),
        )


def _measure(contender: Contender, options: argparse.Namespace) -> Round:
    before = cpu.used(contender.pid)
    with cpu.pinned(OTHER_CORE):  # waits here: a look at the clock by this process would disturb what it measures
        load = run(
            *("wrk", "--threads", "1", "--connections", str(options.connections), "--duration", f"{options.seconds}s"),
            *contender.options,
            f"http://127.0.0.1:{contender.port}/orders/7",
        )
    after = cpu.used(contender.pid)
    answered = re.search(r"(\d+) requests in", load.stdout)
    if answered is None or "Non-2xx" in load.stdout or "Socket errors" in load.stdout:
        raise RuntimeError(f"{contender.name}: {load.stdout}")
    count = int(answered[1])
    user, system = ((late - early) / count * 1e6 for early, late in zip(before, after, strict=True))
    return Round(user, system, count / options.seconds)


def _table(contenders: Sequence[Contender]) -> str:
    lines = [f"{'':10}{'µs CPU a request':>18}{'least':>8}{'most':>8}{'in kernel':>11}{'requests/s':>12}"]
    for one in contenders:
        system, rate = (
            statistics.median(column) for column in zip(*((each.system, each.rate) for each in one.rounds), strict=True)
        )
        cost, least, most = statistics.median(one.costs), min(one.costs), max(one.costs)
        lines.append(f"{one.name:10}{cost:18.1f}{least:8.1f}{most:8.1f}{system:11.1f}{rate:12.0f}")
    first, second = contenders
    ratios = [late / early for early, late in zip(first.costs, second.costs, strict=True)]
    lines.append(
        f"{second.name} / {first.name}: {statistics.median(ratios):.2f} (median of {len(ratios)} rounds in turns)"
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
