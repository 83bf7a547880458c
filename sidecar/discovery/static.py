"""Instances written in the YAML: `ip:port` as they are, names resolved again and again.

A name that does not resolve keeps the addresses it had; a service of which nothing ever resolved gets no list at
all, never an empty one. Every round is told, changed or not, because the guard counts answers. A round comes every
30 s, each second while the list is in doubt, and with a back-off from 1 s while a name never resolved. A name that
begins to fail is told of once, and so is its return.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.discovery.questions import Enquiry
from sidecar.discovery.source import SEQUENCES, Update
from sidecar.tasks import spawn

ROUND = 30.0
DOUBT_INTERVAL = 1.0
RESOLVE_TIMEOUT = 5.0

_log = logging.getLogger("sidecar")


class StaticSource:
    """Lists of `services`: by their names in the YAML, `ip:port`, `name:port` or `[ipv6]:port` each."""

    def __init__(self, services: Mapping[str, Sequence[str]]) -> None:
        self._services = {name: _Addresses(name, texts) for name, texts in services.items()}
        self._updates: asyncio.Queue[Update | None] = asyncio.Queue()
        self._watching: list[asyncio.Task[Any]] = []

    async def updates(self) -> AsyncIterator[Update]:
        """Begins with the first iteration; ends after `close`."""
        self._watching = [
            spawn(self._watch(name, addresses), name=f"resolve {name}") for name, addresses in self._services.items()
        ]
        while (update := await self._updates.get()) is not None:
            yield update

    def doubt(self, services: Collection[str]) -> None:
        """Their names are resolved each second until the next call."""
        for name, addresses in self._services.items():
            addresses.doubted = name in services
            if addresses.doubted:
                addresses.woken.set()

    def enquire(self, enquiries: Mapping[str, Enquiry]) -> None:
        """There is nobody to ask."""

    async def close(self) -> None:
        """Ends iteration."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        self._updates.put_nowait(None)

    async def _watch(self, name: str, addresses: "_Addresses") -> None:
        while True:
            addresses.woken.clear()
            await addresses.resolve()
            if instances := addresses.instances():
                self._updates.put_nowait(Push(name, instances, Origin.STATIC, sequence=next(SEQUENCES)))
            if not addresses.names:
                return
            await addresses.rest()


class _Addresses:
    """What one service's texts stand for."""

    __slots__ = ("_failing", "_known", "_retry", "_service", "doubted", "names", "woken")

    def __init__(self, service: str, texts: Sequence[str]) -> None:
        self._service = service
        self._failing: set[str] = set()
        self._known: dict[tuple[str, int], tuple[Instance, ...]] = {}
        self.names: list[tuple[str, int]] = []
        for text in texts:
            host, port = _split(text)
            if _is_literal(host):
                self._known[host, port] = (Instance(host, port),)
            else:
                self._known[host, port] = ()
                self.names.append((host, port))
        self._retry = 1.0
        self.doubted = False
        self.woken = asyncio.Event()

    def instances(self) -> tuple[Instance, ...]:
        """All that is known, in the order of the YAML, each address once."""
        found = (instance for instances in self._known.values() for instance in instances)
        return tuple({instance.address: instance for instance in found}.values())

    async def resolve(self) -> None:
        """Asks for every name; those that fail keep what they had."""
        await asyncio.gather(*(self._resolve(host, port) for host, port in self.names))

    async def rest(self) -> None:
        """Until the next round is due; a doubt that comes meanwhile cuts it to a second."""
        if self.doubted:
            await asyncio.sleep(DOUBT_INTERVAL)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._until_next()):
                await self.woken.wait()

    def _until_next(self) -> float:
        if all(self._known.values()):
            return ROUND
        self._retry, due = min(self._retry * 2, ROUND), self._retry
        return due

    async def _resolve(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            self._failed(host, port, f"no answer within {RESOLVE_TIMEOUT:g} s")
        except OSError as error:
            self._failed(host, port, error.strerror or str(error))
        except UnicodeError:
            self._failed(host, port, "no name that DNS can have")
        else:
            self._known[host, port] = tuple(Instance(str(address[0]), port, name=host) for *_, address in found)
            if host in self._failing:
                self._failing.remove(host)
                _log.info("%s: %s resolves again", self._service, host)

    def _failed(self, host: str, port: int, why: str) -> None:
        if host not in self._failing:
            self._failing.add(host)
            kept = "the addresses it had stay in use" if self._known[host, port] else "it has no instances"
            _log.warning("%s: %s cannot be resolved: %s; %s, and it is tried again", self._service, host, why, kept)


def _split(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _is_literal(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False
