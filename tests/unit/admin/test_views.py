"""What operators and scripts read, compared whole."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from sidecar.admin import views
from sidecar.admin.health import Latch
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import State
from sidecar.cluster.events import SHOWN, Event, PushArrived, PushRefused
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Discovery, ServicePolicy
from sidecar.errors import FAILURES

INFO = views.ServerInfo(
    version="1.0.0",
    state="LIVE",
    started_at=1769850000.0,
    uptime_s=3600.1234,
    pid=1,
    python="3.11.7",
    loop="uvloop",
    config=views.ConfigInfo(path="sidecar.yaml", sha256="9f", loaded_at=1769850000.0),
    listeners=(views.ListenerInfo("orders", "127.0.0.1:0", "127.0.0.1:15101"),),
    registry=views.RegistryInfo(connected=True, server="10.0.0.9:8848", version="2.5.1", since=1769850000.4),
)
NOON = 1769853600.123
"""2026-01-31T10:00:00.123Z, which is 100.0 on the monotonic clock of these tests."""


def _moment(now: float = 100.0, info: views.ServerInfo = INFO) -> views.Moment:
    return views.Moment(now, NOON + now - 100.0, info)


def _listed(*ports: int) -> tuple[Instance, ...]:
    return tuple(Instance("10.0.0.1", port) for port in ports)


@pytest.fixture
def orders() -> Cluster:
    policy = ServicePolicy(
        name="orders", listen="127.0.0.1:0", hosts=("orders",), discovery=Discovery(service="order-service")
    )
    cluster = Cluster(policy, rng=random.Random(1), now=90.0)
    cluster.apply(Push("orders", _listed(8080, 8081), Origin.NACOS, epoch=1, sequence=1), now=100.0)
    return cluster


def _clusters(*clusters: Cluster, moment: views.Moment | None = None) -> list[views.Document]:
    text = "".join(views.clusters_json(clusters, moment or _moment()))
    read: list[views.Document] = json.loads(text)["clusters"]
    return read


def _held(orders: Cluster) -> None:
    orders.apply(Push("orders", (), Origin.NACOS, epoch=1, sequence=2), now=100.0)


def test_a_service_is_shown_as_the_contract_says(orders: Cluster) -> None:
    """Every key of a quiet service and of its first endpoint."""
    [cluster] = _clusters(orders, moment=_moment(101.2))
    endpoints = cluster.pop("endpoints")
    assert cluster == {
        "name": "orders",
        "protocol": "http1",
        "listen": "127.0.0.1:15101",
        "hosts": ["orders"],
        "ready": True,
        "panic": False,
        "waiting": 0,
        "discovery": {
            "kind": "nacos",
            "service": "order-service",
            "group": "DEFAULT_GROUP",
            "origin": "nacos",
            "connected": True,
            "snapshot_age_s": 1.2,
        },
        "protection": {"active": False, "why": None, "since": None, "until": None, "held": 0},
        "by_address": {"requests": 0, "remembered": 0},
    }
    assert endpoints[0] == {
        "address": "10.0.0.1:8080",
        "state": "available",
        "listed": True,
        "until": None,
        "registry": {"healthy": True, "enabled": True, "weight": 1.0, "cluster": "DEFAULT", "metadata": {}},
        "in_flight": 0,
        "connections": {"active": 0, "idle": 0},
        "requests": 0,
        "failures": 0,
        "consecutive_failures": 0,
        "ejections": 0,
        "verdict": None,
        "evidence": None,
        "last_failure": None,
    }
    assert [endpoint["address"] for endpoint in endpoints] == ["10.0.0.1:8080", "10.0.0.1:8081"]


def test_a_hold_says_why_since_when_and_how_long(orders: Cluster) -> None:
    """After a false empty list both endpoints are held, for ten minutes at most."""
    _held(orders)
    [cluster] = _clusters(orders)
    assert cluster["protection"] == {
        "active": True,
        "why": "empty",
        "since": "2026-01-31T10:00:00.123Z",
        "until": "2026-01-31T10:10:00.123Z",
        "held": 2,
    }
    [first, _] = cluster["endpoints"]
    assert (first["state"], first["listed"], first["until"]) == ("held", False, "2026-01-31T10:10:00.123Z")


def test_a_ghost_is_shown_with_since_when_and_by_what(orders: Cluster) -> None:
    """Missing since ten o'clock, and a probe three seconds later found it there."""
    _held(orders)
    orders.probes_due(100.0)
    orders.probed(next(iter(orders.endpoints.values())), None, 103.0)
    [cluster] = _clusters(orders, moment=_moment(104.0))
    ghost, unproven = cluster["endpoints"]
    assert ghost["verdict"] == "ghost"
    assert ghost["evidence"] == {"since": "2026-01-31T10:00:00.123Z", "shown_by": "probe", "dials": 0}
    assert (unproven["verdict"], unproven["evidence"]) == (None, None)


def test_a_zombie_is_shown_with_its_first_refusal_and_how_often_it_was_dialled(orders: Cluster) -> None:
    """Refused by a call at two seconds past, and by two probes since: ten seconds later that makes a zombie."""
    endpoint = next(iter(orders.endpoints.values()))
    for at in (102.0, 105.0, 108.0):
        orders.probed(endpoint, FAILURES["refused"], at)
    [cluster] = _clusters(orders, moment=_moment(111.9))
    assert cluster["endpoints"][0]["verdict"] is None
    [cluster] = _clusters(orders, moment=_moment(112.0))
    zombie = cluster["endpoints"][0]
    assert zombie["verdict"] == "zombie"
    assert zombie["evidence"] == {"since": "2026-01-31T10:00:02.123Z", "shown_by": "refused", "dials": 3}


def test_an_order_to_hold_shows_its_end(orders: Cluster) -> None:
    """Also while nothing is held yet; a hold that ends later by itself is shown with that."""
    orders.hold(900, 100.0)
    [cluster] = _clusters(orders)
    assert cluster["protection"] == {
        "active": False,
        "why": None,
        "since": None,
        "until": "2026-01-31T10:15:00.123Z",
        "held": 0,
    }
    assert json.loads(views.protection_json(orders, _moment())) == cluster["protection"]
    _held(orders)
    [cluster] = _clusters(orders)
    assert (cluster["protection"]["why"], cluster["protection"]["until"]) == ("empty", "2026-01-31T10:15:00.123Z")


def test_one_endpoint_is_shown_as_among_all(orders: Cluster) -> None:
    """Its end included when it is out by hand; an address without one has no state."""
    orders.eject("10.0.0.1:8080", 300, 100.0)
    shown = json.loads(views.endpoint_json(orders, "10.0.0.1:8080", _moment()))
    assert shown == _clusters(orders)[0]["endpoints"][0]
    assert (shown["state"], shown["until"]) == ("disabled", "2026-01-31T10:05:00.123Z")
    assert json.loads(views.endpoint_json(orders, "10.0.0.9:1", _moment())) == {"address": "10.0.0.9:1", "state": None}


def test_a_refused_endpoint_shows_its_failure_and_its_next_probe(orders: Cluster) -> None:
    """Quarantine is shown with the reason and with when it is tried again."""
    endpoint = orders.pick(100.0)
    assert endpoint is not None
    orders.report_failure(endpoint, FAILURES["refused"], 100.0)
    [cluster] = _clusters(orders)
    [shown] = [shown for shown in cluster["endpoints"] if shown["address"] == endpoint.address]
    assert (shown["state"], shown["failures"]) == ("quarantined", 1)
    assert shown["last_failure"] == {"at": "2026-01-31T10:00:00.123Z", "outcome": "refused"}
    assert shown["until"] > "2026-01-31T10:00:00.123Z"


def test_a_static_service_has_no_registry() -> None:
    """Nothing is said of a registry that was never asked, and nothing is disconnected."""
    policy = ServicePolicy(name="db", discovery=Discovery(static=("10.0.0.1:3306",)))
    cluster = Cluster(policy, rng=random.Random(1), now=0.0)
    cluster.apply(Push("db", _listed(3306), Origin.STATIC), now=0.0)
    [shown] = _clusters(cluster, moment=_moment(info=replace(INFO, registry=None)))
    assert shown["listen"] is None
    assert shown["discovery"] == {
        "kind": "static",
        "service": "db",
        "group": "DEFAULT_GROUP",
        "origin": "static",
        "connected": True,
        "snapshot_age_s": None,
    }
    assert shown["endpoints"][0]["registry"] is None


def test_a_service_without_a_list_is_shown_too(orders: Cluster) -> None:
    """Not ready, no origin, no age; and it stands between its neighbours."""
    empty = Cluster(ServicePolicy(name="empty"), rng=random.Random(1), now=0.0)
    [_, shown, _] = _clusters(orders, empty, orders)
    assert (shown["ready"], shown["endpoints"]) == (False, [])
    assert (shown["discovery"]["origin"], shown["discovery"]["snapshot_age_s"]) == (None, None)


def test_pieces_and_document_are_the_same(orders: Cluster) -> None:
    """The event state_dump carries what /clusters shows."""
    assert views.clusters_document([orders], _moment()) == {"clusters": _clusters(orders)}


def test_lines_have_the_keys_of_the_contract(orders: Cluster) -> None:
    """One line a value, in a fixed order, the health flags in Envoy's words."""
    _held(orders)
    lines = "".join(views.clusters_text([orders])).splitlines()
    assert lines[:8] == [
        f"orders::10.0.0.1:8080::{rest}"
        for rest in (
            "state::held",
            "weight::1",
            "cx_active::0",
            "cx_idle::0",
            "rq_active::0",
            "rq_total::0",
            "rq_error::0",
            "health_flags::/pending_dynamic_removal",
        )
    ]
    assert len(lines) == 16


def test_every_state_has_a_health_flag() -> None:
    """A new state cannot be forgotten."""
    assert set(views.HEALTH_FLAGS) == set(State)


@dataclass(frozen=True)
class Entry:
    seq: int
    wall: float
    mono: float
    event: Event


@dataclass(frozen=True)
class Selection:
    entries: tuple[Entry, ...]
    next: int
    dropped: int


def test_events_are_shown_as_the_contract_says() -> None:
    """Number, both clocks, whom it concerns, the facts and a sentence."""
    event = PushRefused(service="orders", why="empty", kept=2, offered=0)
    selection = Selection((Entry(12, NOON, 3600.1234, event), Entry(13, NOON, 3600.2, event)), 14, 3)
    document = json.loads("".join(views.events_json(selection)))
    assert document["events"][0] == {
        "seq": 12,
        "at": "2026-01-31T10:00:00.123Z",
        "mono_s": 3600.123,
        "kind": "push_refused",
        "service": "orders",
        "endpoint": None,
        "detail": {"why": "empty", "kept": 2, "offered": 0},
        "text": event.text,
    }
    assert (len(document["events"]), document["next"], document["dropped"]) == (2, 14, 3)
    assert json.loads("".join(views.events_json(Selection((), 1, 0))))["events"] == []


@pytest.mark.parametrize("length", [0, 1, views.SLICE, views.SLICE + 1, 3 * views.SLICE])
def test_a_long_list_is_shown_whole_and_in_slices(length: int) -> None:
    """No piece has more than a slice of it, and together they are what one dump would be."""
    listed = tuple(Instance("10.0.0.1", 1 + n, metadata={"n": '"instances": []'}) for n in range(length))
    event = PushArrived(
        service="orders", origin="nacos", via="push", epoch=1, offered=length, result="applied", instances=listed
    )
    pieces = list(views.events_json(Selection((Entry(1, 0.0, 0.0, event),), 2, 0)))
    (shown,) = json.loads("".join(pieces))["events"]
    assert shown["detail"] == json.loads(json.dumps(event.detail))
    assert shown["text"] == event.text
    assert max(piece.count("metadata=") for piece in pieces) <= views.SLICE + SHOWN


def test_the_process_is_shown_as_the_contract_says() -> None:
    """Every key of /server_info, times as people read them."""
    assert json.loads(views.server_info_json(INFO)) == {
        "version": "1.0.0",
        "state": "LIVE",
        "started_at": "2026-01-31T09:00:00.000Z",
        "uptime_s": 3600.123,
        "pid": 1,
        "python": "3.11.7",
        "loop": "uvloop",
        "config": {
            "path": "sidecar.yaml",
            "sha256": "9f",
            "loaded_at": "2026-01-31T09:00:00.000Z",
            "last_reload_ok": True,
        },
        "listeners": [{"name": "orders", "configured": "127.0.0.1:0", "bound": "127.0.0.1:15101"}],
        "registry": {
            "connected": True,
            "server": "10.0.0.9:8848",
            "version": "2.5.1",
            "since": "2026-01-31T09:00:00.400Z",
        },
    }
    assert json.loads(views.server_info_json(replace(INFO, registry=None)))["registry"] is None


def test_the_configuration_is_shown_with_where_it_came_from() -> None:
    """File, hash, and each key that something else overrides."""
    dump = views.ConfigDump({"version": 1}, INFO.config, (views.Override("logging.level", "env", "SIDECAR_LOG_LEVEL"),))
    assert json.loads(views.config_dump_json(dump)) == {
        "config": {"version": 1},
        "source": {"path": "sidecar.yaml", "sha256": "9f", "loaded_at": "2026-01-31T09:00:00.000Z"},
        "overrides": [{"key": "logging.level", "from": "env", "name": "SIDECAR_LOG_LEVEL"}],
    }


@dataclass(frozen=True)
class Change:
    op: str
    path: str


def test_a_reload_says_what_changed_or_what_was_wrong() -> None:
    """Changes with the new hash, or the problems as `check` reports them."""
    applied = views.Reloaded(views.Result.APPLIED, sha256="ab", changes=[Change("add", "services.a")])
    assert json.loads(views.reload_json(applied)) == {
        "result": "applied",
        "sha256": "ab",
        "changes": [{"op": "add", "path": "services.a"}],
    }
    for result in (views.Result.INVALID, views.Result.UNBOUND):
        assert json.loads(views.reload_json(views.Reloaded(result, problems=[views.Unbound("listen", "in use")]))) == {
            "result": "rejected",
            "problems": [
                {"file": None, "line": None, "column": None, "path": "listen", "level": "error", "message": "in use"}
            ],
        }


LATCHES = (Latch("listeners", open=True), Latch("service/orders", open=False, why="no instance list yet"))


def test_latches_are_lines_or_json() -> None:
    """Plus for open, minus and the reason for closed."""
    assert views.latches_text(LATCHES) == "[+] listeners\n[-] service/orders: no instance list yet\n"
    assert json.loads(views.latches_json(LATCHES, ready=False)) == {
        "ready": False,
        "latches": [
            {"name": "listeners", "open": True, "why": None},
            {"name": "service/orders", "open": False, "why": "no instance list yet"},
        ],
    }


@pytest.mark.parametrize(
    ("wall", "shown"),
    [(0.0, "1970-01-01T00:00:00.000Z"), (NOON, "2026-01-31T10:00:00.123Z"), (0.9999, "1970-01-01T00:00:01.000Z")],
)
def test_times_have_milliseconds(wall: float, shown: str) -> None:
    """Rounded, not cut: a float of .123 must not read .122."""
    assert views.stamp(wall) == shown


@pytest.mark.parametrize(
    "render", [views.server_info_json, lambda _: views.reload_json(views.Reloaded(views.Result.UNCHANGED))]
)
def test_documents_end_with_a_line_end(render: Callable[[views.ServerInfo], str]) -> None:
    """A terminal's prompt comes on a line of its own."""
    assert render(INFO).endswith("}\n")
