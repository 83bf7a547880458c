"""Carries what one source learns to the clusters, the clusters' doubts back, and last-good lists to disk."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from sidecar import clock
from sidecar.app.remarks import Remarks
from sidecar.app.services import Service
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.events import Event, RegistryConnected, RegistryDisconnected, SnapshotApplied
from sidecar.cluster.instance import Push, Silence, Statement
from sidecar.discovery.questions import Enquiry
from sidecar.discovery.source import Connected, Disconnected, Identified, InstanceSource, Malformed, Update
from sidecar.tasks import spawn


class Feed:
    """One source and the services that live on it; the services may be replaced under their names by a reload."""

    def __init__(
        self,
        source: InstanceSource,
        names: Collection[str],
        services: Mapping[str, Service],
        *,
        emit: Callable[[Sequence[Event]], None],
        keep: Callable[[Service], None],
        now: Callable[[], float],
    ) -> None:
        self.names = frozenset(names)
        self.session: Connected | None = None
        self.since: float | None = None
        """Wall time of the last change between connected and not."""
        self.connected = asyncio.Event()
        """Set by the first session and never cleared: this source works at all."""
        self.heir: Feed | None = None
        """The feed that replaces this one; once that is connected, it alone speaks of the connection."""
        self._source = source
        self._services = services
        self._emit = emit
        self._keep = keep
        self._now = now
        self._doubted: frozenset[str] = frozenset()
        self._enquiries: Mapping[str, Enquiry] = {}
        self._remarks = Remarks()
        self._pump = spawn(self._run(), name="instance feed")

    def doubt(self, now: float) -> None:
        """Tells the source which lists are in doubt, and what it is to find out about them, when that has changed.

        And the operator, once, which services nobody seems to provide.
        """
        fed = self._fed()
        doubted = frozenset(one.name for one in fed if one.cluster.doubtful(now))
        if doubted != self._doubted:
            self._doubted = doubted
            self._source.doubt(doubted)
        enquiries = {one.name: _enquiry(one.cluster) for one in fed if one.cluster.guard.held}
        if enquiries != self._enquiries:
            self._enquiries = enquiries
            self._source.enquire(enquiries)
        for one in fed:
            self._remarks.look(one.cluster)

    def silence(self) -> None:
        """Nothing that it has still to say counts, from now on."""
        self._pump.cancel()

    async def close(self) -> None:
        """Lets go of the source; what it said stays in force."""
        self.silence()
        await asyncio.gather(self._pump, return_exceptions=True)
        await self._source.close()

    async def _run(self) -> None:
        async for update in self._source.updates():
            if self._is_over() and not isinstance(update, Disconnected):
                continue
            if isinstance(update, Push):
                await self._pushed(update)
            else:
                self._take(update, self._now())
            await asyncio.sleep(0)  # two hundred lists at once are taken one a turn: calls go on in between

    def _take(self, update: Update, now: float) -> None:
        match update:
            case Statement(service=name) | Silence(service=name) if self._speaks():
                if known := self._serving(name):
                    self._emit(known.cluster.hear(update, now))
            case Connected(epoch=epoch, server=server, version=version, others=others):
                self.session, self.since = update, clock.wall()
                self.connected.set()
                self._emit([RegistryConnected(server=server, epoch=epoch, version=version, second_node=others > 0)])
                for service in self._fed():
                    self._emit(service.cluster.registry_connected(now, epoch=epoch, second_node=others > 0))
            case Identified(epoch=epoch, version=version):
                if self.session is not None and self.session.epoch == epoch:
                    self.session = replace(self.session, version=version)
            case Disconnected(epoch=epoch, server=server, reason=reason):
                self.session, self.since = None, clock.wall()
                self._emit([RegistryDisconnected(server=server, epoch=epoch, reason=reason)])
                for service in self._fed() if self._speaks() else ():
                    self._emit(service.cluster.registry_disconnected(now))
            case Malformed(service=name, error=error):
                if known := self._serving(name):
                    self._remarks.unreadable(name, error)
                    self._emit(known.cluster.malformed(now))

    async def _pushed(self, push: Push) -> None:
        """All of it, before anything else that the source says: nothing overtakes a list."""
        service = self._serving(push.service)
        if service is None:
            return
        self._remarks.readable(push.service)
        if await put_in_force(push, service.cluster, emit=self._emit, now=self._now):
            self._keep(service)

    def _is_over(self) -> bool:
        """Its heir has had a session: what this one hears is older."""
        return self.heir is not None and self.heir.connected.is_set()

    def _speaks(self) -> bool:
        """Not before its first session (at a reload the feed before it still serves), nor after its heir's."""
        return self.connected.is_set() and (self.heir is None or self.heir.session is None)

    def _serving(self, name: str) -> Service | None:
        return self._services.get(name) if name in self.names else None

    def _fed(self) -> list[Service]:
        return [service for name, service in self._services.items() if name in self.names]


async def put_in_force(
    push: Push, cluster: Cluster, *, emit: Callable[[Sequence[Event]], None], now: Callable[[], float]
) -> bool:
    """Has the cluster take a list, a slice a turn of the loop; whether the list in force may be another one now."""
    events = cluster.take(push, now())
    emit(events)
    changed = cluster.behind or any(isinstance(event, SnapshotApplied) for event in events)
    while cluster.behind:
        await asyncio.sleep(0)
        emit(cluster.go_on(now()))
    return changed


def _enquiry(cluster: Cluster) -> Enquiry:
    """What is to be found out about what it holds."""
    held = (cluster.endpoints[address] for address in cluster.guard.held)
    return Enquiry(frozenset(one.instance.cluster for one in held), cluster.policy.protection.second_opinion)
