"""Every path's answer, without HTTP."""

import asyncio
import json
import random
from collections.abc import Mapping
from typing import Any

import pytest

from sidecar.admin import views
from sidecar.admin.handling import Answer, Asked
from sidecar.admin.routes import ROUTES, find
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.events import PanicEntered, PanicLeft
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import ServicePolicy
from tests.support.admin_backend import ScriptedBackend


def _cluster(name: str) -> Cluster:
    cluster = Cluster(ServicePolicy(name=name), rng=random.Random(1), now=0.0)
    cluster.apply(Push(name, (Instance("10.0.0.1", 80),), Origin.NACOS), now=0.0)
    return cluster


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend(_cluster("orders"), _cluster("stock"))


def _ask(backend: ScriptedBackend, path: str, method: str = "GET", **query: str) -> Answer:
    return asyncio.run(_answer(backend, path, method, query))


async def _answer(backend: ScriptedBackend, path: str, method: str, query: Mapping[str, str]) -> Answer:
    found = find(path)
    assert found is not None
    route, parts = found
    return await route.handle(backend, Asked(method, query, parts=parts))


def _text(answer: Answer) -> str:
    return "".join(piece if isinstance(piece, str) else piece.decode() for piece in answer.pieces)


def _json(answer: Answer) -> Any:
    assert answer.content_type == "application/json"
    return json.loads(_text(answer))


@pytest.mark.parametrize(("lag", "status", "body"), [(0.0, 200, "ok"), (7.2, 503, "lag 7.2s")])
def test_health_is_the_loop(backend: ScriptedBackend, lag: float, status: int, body: str) -> None:
    """Nothing but the event loop counts: no registry, no instance."""
    backend.lag = lag
    answer = _ask(backend, "/healthz")
    assert (answer.status, _text(answer)) == (status, body)


def test_readiness_is_a_word_lines_or_json(backend: ScriptedBackend) -> None:
    """The status is the same in all three forms."""
    assert (_ask(backend, "/readyz").status, _text(_ask(backend, "/readyz"))) == (200, "ready")
    backend.closed = ["service/orders"]
    assert _text(_ask(backend, "/readyz")) == "not ready"
    assert _text(_ask(backend, "/readyz", verbose="")).splitlines() == [
        "[+] config",
        "[-] service/orders: no instance list yet",
    ]
    answer = _ask(backend, "/readyz", verbose="", format="json")
    assert (answer.status, _json(answer)["ready"]) == (503, False)


def test_clusters_come_as_lines_or_json_all_or_one(backend: ScriptedBackend) -> None:
    """`service` chooses; a name that is not there chooses nothing."""
    assert {line.split("::")[0] for line in _text(_ask(backend, "/clusters")).splitlines()} == {"orders", "stock"}
    [only] = _json(_ask(backend, "/clusters", service="stock", format="json"))["clusters"]
    assert only["name"] == "stock"
    assert _json(_ask(backend, "/clusters", service="nobody", format="json")) == {"clusters": []}
    assert _text(_ask(backend, "/clusters", service="nobody")) == ""


def test_events_are_filtered(backend: ScriptedBackend) -> None:
    """By number, count, service and kind; a hundred when nothing is said."""
    for n in range(150):
        backend.timeline.append(PanicEntered(service=f"s{n % 2}"), wall=0.0, mono=0.0)
    backend.timeline.append(PanicLeft(service="s0"), wall=0.0, mono=0.0)

    def numbers(**query: str) -> list[int]:
        return [event["seq"] for event in _json(_ask(backend, "/events", **query))["events"]]

    assert numbers() == list(range(52, 152))
    assert numbers(n="2") == [150, 151]
    assert numbers(since="150", n="9") == [150, 151]
    assert numbers(kind="panic_left") == [151]
    assert numbers(service="s1", n="1") == [150]


@pytest.mark.parametrize("query", [{"n": "x"}, {"n": "-1"}, {"n": "²"}, {"since": ""}])
def test_a_number_that_is_none_is_named(backend: ScriptedBackend, query: dict[str, str]) -> None:
    """400, with the parameter and what it was."""
    answer = _ask(backend, "/events", **query)
    assert answer.status == 400
    assert _text(answer) == f"{next(iter(query))}: expected a whole number, got {next(iter(query.values()))!r}"


def test_the_level_is_shown_and_changed(backend: ScriptedBackend) -> None:
    """POST with a known level changes it; GET with one does not, and says how."""
    assert _json(_ask(backend, "/logging")) == {"level": "info"}
    assert _json(_ask(backend, "/logging", "POST", level="debug")) == {"level": "debug"}
    wrong = _ask(backend, "/logging", level="error")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    unknown = _ask(backend, "/logging", "POST", level="loud")
    assert (unknown.status, _text(unknown)) == (400, "level: expected one of debug, info, warning, error, got 'loud'")
    assert backend.level == "debug"


@pytest.mark.parametrize(
    ("result", "status", "word"),
    [
        (views.Result.APPLIED, 200, "applied"),
        (views.Result.UNCHANGED, 200, "unchanged"),
        (views.Result.INVALID, 400, "rejected"),
        (views.Result.UNBOUND, 409, "rejected"),
    ],
)
def test_a_reload_tells_its_result_by_status_too(
    backend: ScriptedBackend, result: views.Result, status: int, word: str
) -> None:
    """Scripts need not read the body."""
    backend.reloaded = views.Reloaded(result)
    answer = _ask(backend, "/reload", "POST")
    assert (answer.status, _json(answer)["result"]) == (status, word)
    assert backend.done == ["reload"]


def test_draining_goes_both_ways_until_the_process_stops(backend: ScriptedBackend) -> None:
    """While it stops, neither is possible any more."""
    assert _json(_ask(backend, "/drain", "POST")) == {"state": "DRAINING"}
    assert _json(_ask(backend, "/undrain", "POST")) == {"state": "LIVE"}
    backend.stopping = True
    assert [_ask(backend, path, "POST").status for path in ("/drain", "/undrain")] == [409, 409]


def test_quitting_is_asked_for_and_answered(backend: ScriptedBackend) -> None:
    """The answer does not wait for the end."""
    assert _ask(backend, "/quitquitquit", "POST").status == 200
    assert backend.done == ["quit"]


def test_the_process_and_its_configuration_are_documents(backend: ScriptedBackend) -> None:
    """Both are JSON."""
    assert _json(_ask(backend, "/server_info"))["state"] == "LIVE"
    assert _json(_ask(backend, "/config_dump"))["config"] == {"version": 1}


def test_help_names_every_path(backend: ScriptedBackend) -> None:
    """A line a route, with its aliases and methods."""
    page = _text(_ask(backend, "/help"))
    assert len(page.splitlines()) == len(ROUTES)
    assert all(path in page for route in ROUTES for path in route.paths)


def test_a_path_with_parts_is_found_with_what_stands_there() -> None:
    """A service and an ip:port; what lacks one or has more is no path of ours."""
    found = find("/services/order.s-1/endpoints/[::1]:80/eject")
    assert found is not None
    assert found[1] == {"service": "order.s-1", "endpoint": "[::1]:80"}
    for path in ("/services//obey", "/services/a/b/obey", "/services/obey", "/services/a/obey/", "/nowhere"):
        assert find(path) is None


def test_only_changes_need_post() -> None:
    """What GET reaches changes nothing; HEAD goes wherever GET goes."""
    changing = {route.paths[0] for route in ROUTES if not route.takes("GET")}
    services = {f"/services/{{service}}/{rest}" for rest in ("obey", "hold")}
    endpoints = {f"/services/{{service}}/endpoints/{{endpoint}}/{rest}" for rest in ("eject", "restore")}
    assert changing == {"/reload", "/drain", "/undrain", "/quitquitquit"} | services | endpoints
    assert all(route.takes("HEAD") == route.takes("GET") for route in ROUTES)
    assert [route.paths[0] for route in ROUTES if route.takes("GET") and route.takes("POST")] == ["/logging"]
