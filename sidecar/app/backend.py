"""What the admin port may see of a running sidecar, and do with it."""

import os
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sidecar import __version__, clock
from sidecar.admin import views
from sidecar.admin.handling import Deed
from sidecar.admin.health import Latch, is_ready
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.events import Event, StateDump
from sidecar.config.effective import effective
from sidecar.telemetry.catalogue import Facts
from sidecar.telemetry.exposition import Exposition

if TYPE_CHECKING:
    from sidecar.app.sidecar import Sidecar


class AppBackend:
    """Implements `admin.handling.Backend`."""

    def __init__(self, sidecar: "Sidecar") -> None:
        self._sidecar = sidecar
        self._exposition = Exposition(sidecar.stats, version=__version__, loop=sidecar.loop_name)

    def clusters(self) -> Sequence[Cluster]:
        """In the order of the YAML."""
        return [service.cluster for service in self._sidecar.services.values()]

    def latches(self) -> Sequence[Latch]:
        """As they stand."""
        return self._sidecar.latches()

    def loop_lag(self) -> float:
        """Seconds by which the event loop is late."""
        return self._sidecar.lag.lag

    def server_info(self) -> views.ServerInfo:
        """The process, as of now."""
        sidecar = self._sidecar
        return views.ServerInfo(
            version=__version__,
            state=self._state(),
            started_at=sidecar.started_at,
            uptime_s=round(sidecar.uptime, 3),
            pid=os.getpid(),
            python=platform.python_version(),
            loop=sidecar.loop_name,
            config=self._source(),
            listeners=(
                *(views.ListenerInfo(one.name, one.configured, one.bound or "") for one in sidecar.listeners),
                *sidecar.facades.listeners(),
                views.ListenerInfo("admin", str(sidecar.loaded.config.admin.listen), sidecar.admin_bound),
            ),
            registry=self._registry(),
        )

    def config_dump(self) -> views.ConfigDump:
        """The configuration in force, secrets masked."""
        loaded = self._sidecar.loaded
        return views.ConfigDump(
            config=effective(loaded.config),
            source=self._source(),
            overrides=tuple(views.Override(one.key, one.origin.kind, one.origin.name) for one in loaded.overrides),
        )

    def events(self, *, newest: int, since: int | None, service: str | None, kind: str | None) -> views.Selection:
        """A part of the timeline."""
        return self._sidecar.journal.timeline.select(newest=newest, since=since, service=service, kind=kind)

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Body and content type of a scrape."""
        sidecar, admin = self._sidecar, self._sidecar.loaded.config.admin
        facts = Facts(
            now=sidecar.loop.time(),
            registry_connected=sidecar.feeds.session is not None if sidecar.feeds.has_registry else None,
            ready=is_ready(sidecar.latches()),
            draining=sidecar.draining,
            last_reload_ok=sidecar.reloader.last_ok,
            last_reload_at=sidecar.loaded_at,
            per_endpoint=admin.per_endpoint_metrics,
            max_endpoint_series=admin.max_endpoint_series,
        )
        return await self._exposition.render(accept, self.clusters(), facts)

    def log_level(self) -> str:
        """The event log's."""
        return self._sidecar.logs.events.level

    def set_log_level(self, level: str) -> None:
        """Until the next reload."""
        self._sidecar.logs.events.level = level

    async def reload(self) -> views.Reloaded:
        """Reads the file again; all or nothing."""
        return await self._sidecar.reloader.reload(self._sidecar)

    def intervene(self, cluster: Cluster, deed: Deed) -> Sequence[Event]:
        """Does this to a cluster, tells of it, and lets the data path know at once."""
        now = self._sidecar.loop.time()
        events = deed(cluster, now)
        self._sidecar.emit(events)
        service = self._sidecar.services.get(cluster.name)
        if service is not None and service.cluster is cluster:
            self._sidecar.services.drive(service, now)
        return events

    def drain(self) -> bool:
        """Readiness off; False once the process is stopping."""
        return self._sidecar.set_out_of_service(out=True)

    def undrain(self) -> bool:
        """Readiness on again; False once the process is stopping."""
        return self._sidecar.set_out_of_service(out=False)

    def quit(self) -> None:
        """The same as SIGTERM, once this turn of the loop is over."""
        self._sidecar.loop.call_soon(self._sidecar.begin_stop, "quitquitquit")

    def dump_state(self) -> None:
        """Event `state_dump` with what /clusters shows."""
        moment = views.Moment(now=self._sidecar.loop.time(), wall=clock.wall(), info=self.server_info())
        self._sidecar.emit([StateDump(state=views.clusters_document(self.clusters(), moment))])

    def _state(self) -> str:
        if self._sidecar.draining:
            return "DRAINING"
        return "LIVE" if self._sidecar.ready.is_set() else "INITIALIZING"

    def _source(self) -> views.ConfigInfo:
        sidecar = self._sidecar
        return views.ConfigInfo(
            str(sidecar.loaded.path), sidecar.loaded.sha256, sidecar.loaded_at, sidecar.reloader.last_ok
        )

    def _registry(self) -> views.RegistryInfo | None:
        feeds = self._sidecar.feeds
        if not feeds.has_registry:
            return None
        session = feeds.session
        return views.RegistryInfo(
            connected=session is not None,
            server=session.server if session else None,
            version=session.version if session else None,
            since=feeds.session_since,
        )
