"""What a push of five thousand instances, a scrape of two hundred services, or a reload does to the calls of its second.

Calls come at a fixed rate to one service meanwhile. Each event is set against the quiet second before it.
"""

import asyncio
import os
import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tests.bench.compare import RATE
from tests.bench.contender import Contender, contender
from tests.bench.ground import Ground
from tests.bench.open_loop import at, offered
from tests.peers.envoy import EnvoyPeer
from tests.peers.nginx import NginxPeer
from tests.peers.peer import Services
from tests.peers.sidecar import SidecarPeer
from tests.support import cpu
from tests.support.http_client import request

LARGE = 5000
MANY = 200
FEWER = 100
"""Services of Envoy: it needs an inotify instance for each, and a user has 128 of them."""

_APART = 2.0
"""Seconds between two events: a quiet one before each, and its own."""

_CATALOGUE = "catalogue"

Event = Callable[[int], Awaitable[None]]
"""Makes it happen once; the number is new each time."""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """By one kind of event, seconds: the p99 of quiet seconds, and what each event added to that."""

    quiet: float
    added: list[float]


def behind(ground: Ground, count: int) -> Services:
    """One service that is called, one of `LARGE`, and others until there are so many."""
    others = {f"other-{number}": ground.instances(1, first=6000 + number) for number in range(count - 2)}
    return {"busy": ground.instances(3), _CATALOGUE: ground.instances(LARGE, first=4), **others}


async def disturb(name: str, ground: Ground, repeats: int, folder: Path) -> Mapping[str, Disturbed]:
    """By the name of the event, those that this proxy knows."""
    services = behind(ground, FEWER if name == "envoy" else MANY)
    found: dict[str, Disturbed] = {}
    async with contender(name, services, folder) as one:
        for kind, event in _events(one, services).items():
            found[kind] = await _disturbed(one, event, repeats)
        if isinstance(one.peer, SidecarPeer):
            await _check(one.peer, repeats)
    return found


async def _disturbed(one: Contender, event: Event, repeats: int) -> Disturbed:
    await event(-1)
    await asyncio.sleep(_APART)
    moments: list[float] = []
    async with offered(one.peer.port, rate=RATE, seconds=1.5 + _APART * repeats) as calls:
        with cpu.giving_way(os.getpid()):  # the load must not wait for what makes the event
            begin = perf_counter() + 1.5
            for number in range(repeats):
                await asyncio.sleep(begin + _APART * number - perf_counter())
                moments.append(perf_counter())
                await event(number)
    quiet = [at(calls.between(moment - 1.0, moment), 0.99) for moment in moments]
    after = [at(calls.between(moment, moment + 1.0), 0.99) for moment in moments]
    return Disturbed(statistics.median(quiet), [late - early for early, late in zip(quiet, after, strict=True)])


def _events(one: Contender, services: Services) -> Mapping[str, Event]:
    peer = one.peer
    port, path = peer.scrape

    async def scrape(_: int) -> None:
        _checked((await request(port, path=path)).status)

    if isinstance(peer, SidecarPeer):
        return {"push": _push_to_sidecar(peer, services), "scrape": scrape, "reload": _reload_sidecar(peer)}
    if isinstance(peer, EnvoyPeer):

        async def push(number: int) -> None:
            await peer.use(services[_CATALOGUE][: LARGE - 1 - number % 2], _CATALOGUE)

        return {"push": push, "scrape": scrape}
    if isinstance(peer, NginxPeer):

        async def reload(_: int) -> None:
            await peer.use(services["busy"], "busy")

        return {"reload": reload}
    return {}


def _push_to_sidecar(peer: SidecarPeer, services: Services) -> Event:
    async def push(number: int) -> None:
        await peer.registry.edit(_CATALOGUE, services[_CATALOGUE][0], weight=2.0 + number)

    return push


def _reload_sidecar(peer: SidecarPeer) -> Event:
    text = peer.process.config.read_text()

    async def reload(number: int) -> None:
        peer.process.config.write_text(f"{text}drain: {{timeout: {60 + number}s}}\n")
        _checked((await peer.process.admin("/reload", method="POST")).status)

    return reload


async def _check(peer: SidecarPeer, repeats: int) -> None:
    """All of it did happen."""
    pushes = await peer.process.metric(f'sidecar_registry_pushes_total{{service="{_CATALOGUE}",result="applied"}}')
    reloads = await peer.process.metric('sidecar_config_reloads_total{result="applied"}')
    if pushes < repeats or reloads < repeats:
        raise RuntimeError(f"{pushes} pushes and {reloads} reloads, not {repeats} of each")


def _checked(status: int) -> None:
    if status != 200:
        raise RuntimeError(f"answered {status}")
