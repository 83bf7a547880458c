"""Both faces together: what the application opens, tells of changes, and closes."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sidecar import clock
from sidecar.cluster.events import (
    EndpointAdded,
    EndpointRemoved,
    Event,
    HoldEnded,
    PushRefused,
    SnapshotApplied,
)
from sidecar.cluster.stats import ProcessStats
from sidecar.facade.grpc_server import GrpcFace
from sidecar.facade.http_nodes import HttpNodes
from sidecar.facade.http_server import HttpFace
from sidecar.facade.names import Named
from sidecar.facade.offers import Lists, Offers, Ours
from sidecar.facade.registry import Registry
from sidecar.facade.upstream import Upstreams

_CHANGES = (EndpointAdded, EndpointRemoved, HoldEnded, PushRefused, SnapshotApplied)
"""After any of these a list in force may be another one, or in doubt."""

_CHOICE = range(12_000, 31_000)
"""Where a free pair of ports is looked for: below the range the kernel takes for outgoing connections."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where it listens: HTTP on `port`, 0 = any that is free together with its counterpart; gRPC `offset` above."""

    host: str
    port: int
    offset: int


class Facade:
    """One address; what it tells and whom it stands for may change while it is open."""

    def __init__(self, address: Address, registry: Registry, *, stats: ProcessStats, now: Callable[[], float]) -> None:
        self.address = address
        self.offers = Offers()
        self._now = now
        self._upstreams = Upstreams(registry)
        self._grpc = GrpcFace(self._upstreams, self.offers, stats, clock.wall)
        self._http = HttpFace(HttpNodes(registry), self.offers, stats, clock.wall)
        self._port = 0

    def __repr__(self) -> str:
        return f"<Facade {self.bound} {self._http!r} {self._grpc!r}>"

    def __len__(self) -> int:
        """Connections of the app."""
        return len(self._http) + len(self._grpc)

    @property
    def bound(self) -> str:
        """The address of its HTTP face, once it is open."""
        return self._shown(self._port)

    @property
    def grpc_bound(self) -> str:
        """That of its gRPC face."""
        return self._shown(self._port + self.address.offset)

    async def open(self) -> None:
        """Binds both ports or none; raises OSError."""
        if self.address.port:
            await self._open(self.address.port)
            return
        for _ in range(100):
            try:
                await self._open(_CHOICE[secrets.randbelow(len(_CHOICE))])
            except OSError:
                continue
            return
        raise OSError(f"no two free ports {self.address.offset} apart")

    async def close(self, grace: float = 0.0) -> None:
        """Stops to accept; requests under way get `grace` seconds, then all that is open ends."""
        self._upstreams.close()
        await asyncio.gather(self._http.close(grace), self._grpc.close(grace))

    def stand_for(self, registry: Registry) -> None:
        """Other servers; who is connected to one that is none of them comes anew."""
        self._upstreams.registry = registry
        self._grpc.part_from_others(registry)
        self._http.nodes = HttpNodes(registry)
        self._http.lists.forget()

    def tell(self, ours: Mapping[Named, Sequence[Ours]], lists: Lists, emit: Callable[[Sequence[Event]], None]) -> None:
        """What the app is told from now on; those that are connected hear of it."""
        for offer in self.offers.replace(ours, lists, emit):
            self._grpc.heed(offer)

    def heed(self, events: Iterable[Event]) -> None:
        """Of all that happens, what changes lists in force."""
        for name in {event.service for event in events if isinstance(event, _CHANGES) and event.service}:
            offer = self.offers.of_service(name)
            if offer is not None:
                offer.changed_at = self._now()
                self._grpc.heed(offer)

    async def _open(self, port: int) -> None:
        grpc_port = port + self.address.offset
        if grpc_port > 65_535:
            raise OSError(f"port {grpc_port} does not exist")
        await self._http.open(self.address.host, port)
        try:
            await self._grpc.open(self.address.host, grpc_port)
        except OSError:
            await self._http.close(0.0)
            raise
        self._port = port

    def _shown(self, port: int) -> str:
        host = self.address.host
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
