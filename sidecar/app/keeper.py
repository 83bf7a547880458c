"""Keeps the lists in force on disk, so that the next start does not depend on the registry.

A write that fails costs nothing but the copy: serving goes on, an event tells it once, a counter every time.
"""

from collections.abc import Callable, Sequence

from sidecar.app.services import Service
from sidecar.cluster.events import Event, SnapshotWriteFailed
from sidecar.cluster.instance import Origin
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.last_good import REFRESH, LastGood
from sidecar.tasks import spawn


class Keeper:
    """Writes after each change, and again now and then: the age of a file counts from its last write."""

    def __init__(
        self,
        files: LastGood,
        emit: Callable[[Sequence[Event]], None],
        stats: ProcessStats,
        *,
        now: Callable[[], float],
    ) -> None:
        self._now = now
        self._files = files
        self._emit = emit
        self._stats = stats
        self._busy: set[str] = set()
        self._again: dict[str, Service] = {}
        """Those with changes that came during a write; a reload may have put another one under the name."""
        self._failing = False
        self._refreshed_at = float("-inf")

    def keep(self, service: Service) -> None:
        """Writes the list in force soon; changes that come while it is being written are written together after."""
        if service.name in self._busy:
            self._again[service.name] = service
            return
        self._busy.add(service.name)
        spawn(self._save(service), name=f"last-good list of {service.name}")

    def refresh(self, services: Sequence[Service], now: float) -> None:
        """Called now and then; writes unchanged lists again before they look old."""
        if now - self._refreshed_at >= REFRESH:
            self._refreshed_at = now
            for service in services:
                if service.cluster.origin is Origin.NACOS:
                    self.keep(service)

    async def _save(self, service: Service) -> None:
        try:
            written: Service | None = service
            while written is not None:
                await self._write(written)
                written = self._again.pop(service.name, None)
        finally:
            self._busy.discard(service.name)

    async def _write(self, service: Service) -> None:
        cluster = service.cluster
        try:
            age = 0.0 if cluster.confirmed_at is None else self._now() - cluster.confirmed_at
            await self._files.save(cluster.name, cluster.policy.discovery, cluster.in_force(), age=age)
        except OSError as error:
            self._stats.snapshot_write_errors += 1
            if not self._failing:
                self._emit([SnapshotWriteFailed(service=service.name, error=str(error))])
            self._failing = True
        else:
            self._failing = False
