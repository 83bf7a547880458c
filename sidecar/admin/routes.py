"""Every path of the admin port in one table: what it answers, to which methods, and what it asks of the application.

The four by which an operator intervenes are in `intervention`.
"""

from collections.abc import Mapping

from sidecar.admin import intervention, views
from sidecar.admin.handling import HTML, JSON, Answer, Asked, Backend, Route, document, text, wrong_method
from sidecar.admin.health import complaint, is_ready
from sidecar.admin.page import HEADERS, page
from sidecar.admin.tables import table
from sidecar.clock import monotonic, wall

LEVELS = ("debug", "info", "warning", "error")


async def _index(backend: Backend, _: Asked) -> Answer:
    moment = views.Moment(monotonic(), wall(), backend.server_info())
    return Answer(page(backend.clusters(), backend.latches(), moment), content_type=HTML, headers=HEADERS)


_DIGITS = 15
"""Of a number in a query: more than any count of ours has, few enough to be read at no cost."""


async def _healthz(backend: Backend, _: Asked) -> Answer:
    late = complaint(backend.loop_lag())
    return text(late, 503) if late else text("ok")


async def _readyz(backend: Backend, asked: Asked) -> Answer:
    latches = backend.latches()
    ready = is_ready(latches)
    status = 200 if ready else 503
    if asked.query.get("format") == "json":
        return document(views.latches_json(latches, ready=ready), status)
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
        if number is not None and not (number.isascii() and number.isdigit() and len(number) <= _DIGITS):
            return text(f"{name}: expected a whole number, got {number!r}", 400)
    selection = backend.events(
        newest=int(newest),
        since=None if since is None else int(since),
        service=asked.query.get("service"),
        kind=asked.query.get("kind"),
    )
    return Answer(views.events_json(selection), content_type=JSON)


async def _config_dump(backend: Backend, _: Asked) -> Answer:
    return document(views.config_dump_json(backend.config_dump()))


async def _server_info(backend: Backend, _: Asked) -> Answer:
    return document(views.server_info_json(backend.server_info()))


async def _help(_: Backend, __: Asked) -> Answer:
    return text(table((" ".join(route.paths), " ".join(route.methods), route.does) for route in ROUTES))


async def _logging(backend: Backend, asked: Asked) -> Answer:
    level = asked.query.get("level")
    if asked.method == "POST":
        if level not in LEVELS:
            got = "nothing" if level is None else repr(level)
            return text(f"level: expected one of {', '.join(LEVELS)}, got {got}", 400)
        backend.set_log_level(level)
    elif level is not None:
        return wrong_method(("POST",))
    return document(f'{{"level":"{backend.log_level()}"}}\n')


async def _reload(backend: Backend, _: Asked) -> Answer:
    reloaded = await backend.reload()
    status = {views.Result.INVALID: 400, views.Result.UNBOUND: 409}.get(reloaded.result, 200)
    return document(views.reload_json(reloaded), status)


async def _drain(backend: Backend, _: Asked) -> Answer:
    return _state("DRAINING") if backend.drain() else _STOPPING


async def _undrain(backend: Backend, _: Asked) -> Answer:
    return _state("LIVE") if backend.undrain() else _STOPPING


async def _quit(backend: Backend, _: Asked) -> Answer:
    backend.quit()
    return text("stopping")


_STOPPING = text("the process is stopping", 409)


def _state(state: str) -> Answer:
    return document(f'{{"state":"{state}"}}\n')


_GET, _POST = ("GET", "HEAD"), ("POST",)

ROUTES: tuple[Route, ...] = (
    Route(("/",), _GET, _index, "this sidecar as a page for people"),
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
    Route(
        ("/services/{service}/obey",),
        _POST,
        intervention.obey,
        "drop now: believes the registry's list, lets go of what is held",
    ),
    Route(
        ("/services/{service}/hold",),
        _POST,
        intervention.hold,
        "hold now: nothing in use is removed for ?ttl=10m, at most 24h",
    ),
    Route(
        ("/services/{service}/endpoints/{endpoint}/eject",),
        _POST,
        intervention.eject,
        "no calls to this ip:port for ?ttl=5m, at most 24h",
    ),
    Route(
        ("/services/{service}/endpoints/{endpoint}/restore",),
        _POST,
        intervention.restore,
        "lifts eject, quarantine and ejection of this ip:port",
    ),
)

_BY_PATH: Mapping[str, Route] = {path: route for route in ROUTES for path in route.paths}


def find(path: str) -> tuple[Route, Mapping[str, str]] | None:
    """The route of a path, and what stands in the places of its parts."""
    if (route := _BY_PATH.get(path)) is not None:
        return route, {}
    return next(((route, parts) for route in ROUTES if (parts := route.match(path)) is not None), None)
