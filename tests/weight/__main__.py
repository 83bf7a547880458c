"""Resident memory at idle of the sidecar beside Envoy: ten services of three instances each, in the same run.

Each start is a new process of both. Once it is ready it is left alone and read: `fresh`. Then it carries a few requests
for every service, is scraped, left alone again and read: `used`. The sidecar has its lists from an embedded registry in
a process of its own, Envoy from files; both serve the services on one port for all and on one for each, with metrics and
without an access log. `RSS` is what stands beside a pod's limit. `PSS` counts a page that several processes map by
share, so it is lower for a sidecar whose libraries the registry beside it maps too; alone in its pod it is the RSS.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers import envoy
from tests.peers.peer import Terms
from tests.support.http_client import request
from tests.support.memory import Kept, by_mapping, kept, read_anew, threads
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.until import until
from tests.weight.ground import Service, registry, services
from tests.weight.libraries import grown

_SIDECAR = Path(sys.executable).with_name("nacos-sidecar")
_REQUESTS = 10
"""For each service."""

_SHOWN = 10
"""Mappings in the report, the largest ones."""

_MIB = 1 << 20

_CONFIG = """\
version: 1
listen: 127.0.0.1:{shared}
admin: {{listen: "127.0.0.1:{admin}"}}
access_log: {{path: none}}
nacos: {{server_addresses: "{registry}", snapshot_dir: {folder}/lists}}
services:
"""


@dataclass(slots=True)
class Contender:
    """A proxy: how it is started, and what was measured of it. Seconds from its start until it was ready."""

    name: str
    command: Sequence[str]
    admin: int
    shared: int
    ready_path: str
    metrics_path: str
    seconds: list[float] = field(default_factory=list)
    fresh: list[Kept] = field(default_factory=list)
    used: list[Kept] = field(default_factory=list)
    threads: int = 0
    mappings: dict[str, int] = field(default_factory=dict)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 the sidecar is no heavier than Envoy, 2 not measured, 3 heavier."""
    parser = argparse.ArgumentParser(prog="python -m tests.weight", description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="of each, in turns (5)")
    parser.add_argument("--idle", type=float, default=5.0, help="seconds without requests before each look (5)")
    options = parser.parse_args(argv)
    try:
        read_anew([envoy.binary(), *_compiled()])
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"pip cannot bring Envoy {envoy.VERSION}: {error.stderr.decode()}")
        return 2
    contenders = asyncio.run(_compare(options))
    sys.stdout.write("".join(f"{line}\n" for line in _table(contenders)))
    return 0 if max(_ratios(contenders)) <= 1.0 else 3


def _compiled() -> Iterator[Path]:
    """All libraries of this environment."""
    return Path(sysconfig.get_path("platlib")).rglob("*.so*")


async def _compare(options: argparse.Namespace) -> tuple[Contender, Contender]:
    with tempfile.TemporaryDirectory(prefix="weight-") as name:
        folder = Path(name)
        async with services() as found, registry(found, folder) as address:
            contenders = _envoy(found, folder), _sidecar(found, folder, address)
            for _ in range(options.starts):
                await _weigh(contenders, found, folder, options.idle)
            return contenders


async def _weigh(
    contenders: tuple[Contender, Contender], found: tuple[Service, ...], folder: Path, idle: float
) -> None:
    """One start of both."""
    async with _started(contenders[0], folder) as first, _started(contenders[1], folder) as second:
        pids = first, second
        await asyncio.sleep(idle)
        for one, pid in zip(contenders, pids, strict=True):
            one.fresh.append(kept(pid))
        for one in contenders:
            await _use(one, found)
        await asyncio.sleep(idle)
        for one, pid in zip(contenders, pids, strict=True):
            one.used.append(kept(pid))
            one.threads, one.mappings = threads(pid), by_mapping(pid)


def _envoy(found: tuple[Service, ...], folder: Path) -> Contender:
    """Ten clusters, their lists in files, a listener for all and one for each."""
    admin, shared, terms = free_port(), free_port(), Terms()
    lists = {service.name: folder / f"{service.name}.json" for service in found}
    for service in found:
        envoy.write_list(lists[service.name], service.name, service.instances)
    hosts = [envoy.virtual_host(service.name, [service.name, f"{service.name}:*"], terms) for service in found]
    own = [
        envoy.listener(service.name, free_port(), [envoy.virtual_host(service.name, ["*"], terms)]) for service in found
    ]
    resources = {
        "clusters": [envoy.cluster(name, file, terms) for name, file in lists.items()],
        "listeners": [envoy.listener("shared", shared, hosts), *own],
    }
    command = envoy.command(admin, resources, folder)
    return Contender(f"Envoy {envoy.VERSION}", command, admin, shared, "/ready", "/stats/prometheus")


def _sidecar(found: tuple[Service, ...], folder: Path, address: str) -> Contender:
    admin, shared = free_port(), free_port()
    text = _CONFIG.format(admin=admin, shared=shared, registry=address, folder=folder)
    own = "".join(f"  - {{name: {one.name}, listen: '127.0.0.1:{free_port()}'}}\n" for one in found)
    file = folder / "sidecar.yaml"
    file.write_text(text + own)
    command = (str(_SIDECAR), "run", "--config", str(file))
    return Contender("nacos-sidecar", command, admin, shared, "/readyz", "/metrics")


@asynccontextmanager
async def _started(one: Contender, folder: Path) -> AsyncIterator[int]:
    """Its process id, once it is ready."""
    begun = time.perf_counter()
    child = Child(one.command, log=folder / "output.log")

    async def ready() -> bool:
        if child.exit_code is not None:
            raise RuntimeError(f"{one.name} ended:\n{child.tail()}")
        try:
            return (await request(one.admin, path=one.ready_path)).status == 200
        except OSError:
            return False

    try:
        await until(ready, pause=0.01)
        one.seconds.append(time.perf_counter() - begun)
        yield child.pid
    finally:
        child.kill()


async def _use(one: Contender, found: tuple[Service, ...]) -> None:
    """Some requests for each service, then a scrape, as if the proxy were in use."""
    for service in found * _REQUESTS:
        answer = await request(one.shared, path="/orders/7", headers={"Host": service.name})
        if answer.status != 200:
            raise RuntimeError(f"{one.name} answered {answer.status} for {service.name}")
    await request(one.admin, path=one.metrics_path)


def _ratios(contenders: Sequence[Contender]) -> tuple[float, float]:
    """Of the sidecar's RSS to Envoy's, fresh and used."""
    fresh = [_median(one.fresh).resident for one in contenders]
    used = [_median(one.used).resident for one in contenders]
    return fresh[1] / fresh[0], used[1] / used[0]


def _median(looks: Sequence[Kept]) -> Kept:
    return Kept(*(int(statistics.median(column)) for column in zip(*looks, strict=True)))


def _table(contenders: Sequence[Contender]) -> Iterator[str]:
    yield f"{'MiB, medians of starts':24}{'RSS':>8}{'least':>8}{'most':>8}{'PSS':>8}{'own':>8}"
    for state in ("fresh", "used"):
        for one in contenders:
            looks: list[Kept] = getattr(one, state)
            residents = [each.resident for each in looks]
            middle = _median(looks)
            sizes = (middle.resident, min(residents), max(residents), middle.proportional, middle.own)
            yield f"{f'{state}: {one.name}':24}" + "".join(f"{size / _MIB:8.1f}" for size in sizes)
    for one in contenders:
        yield f"{one.name}: ready in {statistics.median(one.seconds):.2f} s, {one.threads} threads"
    beside, sidecar = contenders
    fresh, used = _ratios(contenders)
    yield f"{sidecar.name} / {beside.name}, RSS: {fresh:.2f} fresh, {used:.2f} used"
    yield f"RSS of {sidecar.name}, by what is mapped:"
    largest = sorted(sidecar.mappings.items(), key=lambda item: -item[1])[:_SHOWN]
    yield from (f"  {name:60}{size / _MIB:8.1f}" for name, size in largest)
    yield f"RSS of {sidecar.name}, by what it imports:"
    parts = dict(grown())
    parts["at work"] = _median(sidecar.used).resident - sum(parts.values())
    yield from (f"  {name:60}{size / _MIB:8.1f}" for name, size in parts.items())


if __name__ == "__main__":
    sys.exit(main())
