"""Every path of the admin port in one table: what it answers, to which methods, and what it asks of the application.

Handlers know nothing of HTTP beyond status, content type and query; the server does the rest.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sidecar.admin import views
from sidecar.admin.health import Latch, complaint, is_ready
from sidecar.admin.tables import table
from sidecar.clock import monotonic, wall
from sidecar.cluster.cluster import Cluster

TEXT, JSON = "text/plain; charset=utf-8", "application/json"
LEVELS = ("debug", "info", "warning", "error")


class Backend(Protocol):
    """What the application offers to the admin port."""

    def clusters(self) -> Sequence[Cluster]:
        """In the order of the YAML."""
        ...

    def latches(self) -> Sequence[Latch]:
        """As they stand."""
        ...

    def loop_lag(self) -> float:
        """Seconds by which the event loop is late."""
        ...

    def server_info(self) -> views.ServerInfo:
        """The process."""
        ...

    def config_dump(self) -> views.ConfigDump:
        """The configuration in force, secrets masked."""
        ...

    def events(self, *, newest: int, since: int | None, service: str | None, kind: str | None) -> views.Selection:
        """The newest events that match, from number `since` on."""
        ...

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Body and content type of a scrape."""
        ...

    def log_level(self) -> str:
        """One of `LEVELS`."""
        ...

    def set_log_level(self, level: str) -> None:
        """Until the next reload."""
        ...

    async def reload(self) -> views.Reloaded:
        """Reads the file again; all or nothing."""
        ...

    def drain(self) -> bool:
        """Readiness off, serving goes on; False once the process is stopping."""
        ...

    def undrain(self) -> bool:
        """Readiness on again; False once the process is stopping."""
        ...

    def quit(self) -> None:
        """The same as SIGTERM, soon."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as handlers see it; a key of the query without a value has an empty one."""

    method: str
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """`pieces` make up the body; the event loop may run between them."""

    pieces: Iterable[str | bytes]
    status: int = 200
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


def text(body: str, status: int = 200) -> Answer:
    """A short answer for people."""
    return Answer((body,), status)


def wrong_method(methods: Sequence[str]) -> Answer:
    """405 with what would have been right."""
    allowed = ", ".join(methods)
    return Answer((f"only {allowed}",), 405, headers={"allow": allowed})


Handler = Callable[[Backend, Asked], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint; its first path without the slash is its name in `admin.allow_remote`, an alias's too."""

    paths: tuple[str, ...]
    methods: tuple[str, ...]
    handle: Handler
    does: str

    @property
    def names(self) -> tuple[str, ...]:
        """What opens it to remote peers."""
        return tuple(path.removeprefix("/") for path in self.paths)

    def takes(self, method: str) -> bool:
        """HEAD goes wherever GET goes."""
        return ("GET" if method == "HEAD" else method) in self.methods


async def _healthz(backend: Backend, _: Asked) -> Answer:
    late = complaint(backend.loop_lag())
    return text(late, 503) if late else text("ok")


async def _readyz(backend: Backend, asked: Asked) -> Answer:
    latches = backend.latches()
    ready = is_ready(latches)
    status = 200 if ready else 503
    if asked.query.get("format") == "json":
        return Answer((views.latches_json(latches, ready=ready),), status, JSON)
    if "verbose" in asked.query:
        return text(views.latches_text(latches), status)
    return text("ready" if ready else "not ready", status)


async def _metrics(backend: Backend, asked: Asked) -> Answer:
    body, content_type = await backend.metrics(asked.accept)
    return Answer((body,), content_type=content_type)


async def _clusters(backend: Backend, asked: Asked) -> Answer:
    only = asked.query.get("service")
    chosen = [cluster for cluster in backend.clusters() if only is None or cluster.name == only]
    if asked.query.get("format") == "json":
        moment = views.Moment(monotonic(), wall(), backend.server_info())
        return Answer(views.clusters_json(chosen, moment), content_type=JSON)
    return Answer(views.clusters_text(chosen))


async def _events(backend: Backend, asked: Asked) -> Answer:
    newest, since = asked.query.get("n", "100"), asked.query.get("since")
    for name, number in (("n", newest), ("since", since)):
        if number is not None and not (number.isascii() and number.isdigit()):
            return text(f"{name}: expected a whole number, got {number!r}", 400)
    selection = backend.events(
        newest=int(newest),
        since=None if since is None else int(since),
        service=asked.query.get("service"),
        kind=asked.query.get("kind"),
    )
    return Answer(views.events_json(selection), content_type=JSON)


async def _config_dump(backend: Backend, _: Asked) -> Answer:
    return Answer((views.config_dump_json(backend.config_dump()),), content_type=JSON)


async def _server_info(backend: Backend, _: Asked) -> Answer:
    return Answer((views.server_info_json(backend.server_info()),), content_type=JSON)


async def _help(_: Backend, __: Asked) -> Answer:
    return text(table((" ".join(route.paths), " ".join(route.methods), route.does) for route in ROUTES))


async def _logging(backend: Backend, asked: Asked) -> Answer:
    level = asked.query.get("level")
    if asked.method == "POST":
        if level not in LEVELS:
            return text(f"level: expected one of {', '.join(LEVELS)}, got {level!r}", 400)
        backend.set_log_level(level)
    elif level is not None:
        return wrong_method(("POST",))
    return Answer((f'{{"level":"{backend.log_level()}"}}\n',), content_type=JSON)


async def _reload(backend: Backend, _: Asked) -> Answer:
    reloaded = await backend.reload()
    status = {views.Result.INVALID: 400, views.Result.UNBOUND: 409}.get(reloaded.result, 200)
    return Answer((views.reload_json(reloaded),), status, JSON)


async def _drain(backend: Backend, _: Asked) -> Answer:
    return _state("DRAINING") if backend.drain() else _STOPPING


async def _undrain(backend: Backend, _: Asked) -> Answer:
    return _state("LIVE") if backend.undrain() else _STOPPING


async def _quit(backend: Backend, _: Asked) -> Answer:
    backend.quit()
    return text("stopping")


_STOPPING = text("the process is stopping", 409)


def _state(state: str) -> Answer:
    return Answer((f'{{"state":"{state}"}}\n',), content_type=JSON)


_GET, _POST = ("GET", "HEAD"), ("POST",)

ROUTES: tuple[Route, ...] = (
    Route(("/healthz", "/live"), _GET, _healthz, "ok while the event loop runs"),
    Route(
        ("/readyz", "/ready"), _GET, _readyz, "whether every latch is open; ?verbose lists them, also with &format=json"
    ),
    Route(("/metrics", "/stats/prometheus"), _GET, _metrics, "Prometheus text, or OpenMetrics by Accept"),
    Route(("/clusters",), _GET, _clusters, "services and endpoints; ?format=json, ?service=NAME"),
    Route(("/events",), _GET, _events, "the newest ?n=100 events; ?since=SEQ, ?service=NAME, ?kind=KIND"),
    Route(("/config_dump",), _GET, _config_dump, "the configuration in force, secrets masked"),
    Route(("/server_info",), _GET, _server_info, "version, state, listeners, registry"),
    Route(("/help",), _GET, _help, "this table"),
    Route(
        ("/logging",),
        (*_GET, *_POST),
        _logging,
        "the level of the event log; POST ?level=LEVEL changes it until the next reload",
    ),
    Route(("/reload",), _POST, _reload, "reads the configuration again, all or nothing"),
    Route(("/drain",), _POST, _drain, "readiness off; serving goes on"),
    Route(("/undrain",), _POST, _undrain, "readiness on"),
    Route(("/quitquitquit",), _POST, _quit, "drains and ends the process, as SIGTERM does"),
)

BY_PATH: Mapping[str, Route] = {path: route for route in ROUTES for path in route.paths}
