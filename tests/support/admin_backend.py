"""An application behind the admin port, made of plain attributes."""

from collections.abc import Sequence

from sidecar.admin import views
from sidecar.admin.handling import Deed
from sidecar.admin.health import Latch
from sidecar.clock import monotonic
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.events import Event
from sidecar.telemetry.timeline import Timeline


class ScriptedBackend:
    """Answers what it was told to, and notes what it was asked to do."""

    def __init__(self, *clusters: Cluster) -> None:
        self.listed = list(clusters)
        self.closed: list[str] = []
        """Names of latches that are shut."""
        self.lag = 0.0
        self.timeline = Timeline()
        self.page = b"sidecar_ready 1\n"
        self.level = "info"
        self.reloaded = views.Reloaded(views.Result.UNCHANGED, sha256="ab")
        self.stopping = False
        self.done: list[str] = []
        self.told: list[Event] = []

    def clusters(self) -> Sequence[Cluster]:
        return self.listed

    def latches(self) -> Sequence[Latch]:
        shut = tuple(Latch(name, open=False, why="no instance list yet") for name in self.closed)
        return (Latch("config", open=True), *shut)

    def loop_lag(self) -> float:
        return self.lag

    def server_info(self) -> views.ServerInfo:
        config = views.ConfigInfo(path="sidecar.yaml", sha256="ab", loaded_at=0.0)
        return views.ServerInfo("1.0.0", "LIVE", 0.0, 1.0, 1, "3.11.7", "uvloop", config, (), None)

    def config_dump(self) -> views.ConfigDump:
        return views.ConfigDump({"version": 1}, self.server_info().config)

    def events(self, *, newest: int, since: int | None, service: str | None, kind: str | None) -> views.Selection:
        return self.timeline.select(newest=newest, since=since, service=service, kind=kind)

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        return self.page, f"text/plain; asked={accept!r}"

    def log_level(self) -> str:
        return self.level

    def set_log_level(self, level: str) -> None:
        self.level = level

    async def reload(self) -> views.Reloaded:
        self.done.append("reload")
        return self.reloaded

    def intervene(self, cluster: Cluster, deed: Deed) -> Sequence[Event]:
        events = deed(cluster, monotonic())
        self.told.extend(events)
        return events

    def drain(self) -> bool:
        self.done.append("drain")
        return not self.stopping

    def undrain(self) -> bool:
        self.done.append("undrain")
        return not self.stopping

    def quit(self) -> None:
        self.done.append("quit")
