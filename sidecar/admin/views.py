"""What the admin port shows: state to JSON and text, and the values that the application hands over for it. Pure.

Documents that grow with the number of endpoints or events come as pieces, so that the server can let the event
loop breathe between them. Times are RFC 3339 UTC with milliseconds, durations float seconds.
"""

import enum
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from sidecar.admin.health import Latch
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.events import Event, HoldEnded, PushArrived
from sidecar.cluster.notation import written
from sidecar.cluster.verdict import evidence

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ConfigInfo:
    """The configuration in force; `loaded_at` is wall time."""

    path: str
    sha256: str
    loaded_at: float
    last_reload_ok: bool = True


@dataclass(frozen=True, slots=True)
class ListenerInfo:
    """One listener: `shared`, `admin` or a service's name."""

    name: str
    configured: str
    bound: str


@dataclass(frozen=True, slots=True)
class RegistryInfo:
    """The registry session; `since` is wall time of the last change between connected and not."""

    connected: bool
    server: str | None = None
    version: str | None = None
    since: float | None = None


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The process. `state` is INITIALIZING, LIVE or DRAINING; `registry` is None when every service is static."""

    version: str
    state: str
    started_at: float
    uptime_s: float
    pid: int
    python: str
    loop: str
    config: ConfigInfo
    listeners: tuple[ListenerInfo, ...]
    registry: RegistryInfo | None


@dataclass(frozen=True, slots=True)
class Override:
    """A key whose value comes from elsewhere than the file: `source` is flag or env, `name` that of it."""

    key: str
    source: str
    name: str


@dataclass(frozen=True, slots=True)
class ConfigDump:
    """The effective configuration as plain values, secrets already masked."""

    config: Mapping[str, Any]
    source: ConfigInfo
    overrides: tuple[Override, ...] = ()


class Change(Protocol):
    """One difference between two configurations."""

    @property
    def op(self) -> str:
        """Add, change or drop."""
        ...

    @property
    def path(self) -> str:
        """The key."""
        ...


class Problem(Protocol):
    """One thing wrong with a configuration."""

    def as_json(self) -> dict[str, Any]:
        """`file`, `line`, `column`, `path`, `level`, `message`; null where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Unbound:
    """The problem of an address that cannot be bound: the file is not to blame, only the machine knows."""

    path: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """As other problems."""
        return {
            "file": None,
            "line": None,
            "column": None,
            "path": self.path,
            "level": "error",
            "message": self.message,
        }


class Result(enum.Enum):
    """How a reload ended; the last two keep the old configuration."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    INVALID = "rejected: the file is not valid"
    UNBOUND = "rejected: an address cannot be bound"


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The outcome of a reload."""

    result: Result
    sha256: str = ""
    changes: Sequence[Change] = ()
    problems: Sequence[Problem] = ()


class Entry(Protocol):
    """One event of the timeline."""

    @property
    def seq(self) -> int: ...
    @property
    def wall(self) -> float: ...
    @property
    def mono(self) -> float: ...
    @property
    def event(self) -> Event: ...


class Selection(Protocol):
    """A part of the timeline."""

    @property
    def entries(self) -> Sequence[Entry]: ...
    @property
    def next(self) -> int: ...
    @property
    def dropped(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on both clocks, and the process at that moment."""

    now: float
    wall: float
    info: ServerInfo

    def at(self, then: float | None) -> str | None:
        """A monotonic time as people read it."""
        return None if then is None else stamp(self.wall - (self.now - then))


def stamp(wall: float) -> str:
    """Seconds since the epoch as RFC 3339 UTC with milliseconds."""
    moment = datetime.fromtimestamp(round(wall, 3), UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


# --- clusters


def clusters_json(clusters: Sequence[Cluster], moment: Moment) -> Iterator[str]:
    """The body of /clusters?format=json, a piece an endpoint."""
    yield '{"clusters": ['
    for number, cluster in enumerate(clusters):
        yield f'{", " if number else ""}{_dumped(_cluster(cluster, moment))[:-1]}, "endpoints": ['
        for place, endpoint in enumerate(list(cluster.endpoints.values())):
            yield f"{', ' if place else ''}{_dumped(_endpoint(cluster, endpoint, moment))}"
        yield "]}"
    yield "]}\n"


def clusters_document(clusters: Sequence[Cluster], moment: Moment) -> Document:
    """The same in one piece, for the event `state_dump`."""
    return {
        "clusters": [
            _cluster(cluster, moment)
            | {"endpoints": [_endpoint(cluster, endpoint, moment) for endpoint in cluster.endpoints.values()]}
            for cluster in clusters
        ]
    }


def protection_json(cluster: Cluster, moment: Moment) -> str:
    """What is held of a service, as in /clusters."""
    return f"{_dumped(_protection(cluster, moment))}\n"


def endpoint_json(cluster: Cluster, address: str, moment: Moment) -> str:
    """One endpoint as in /clusters; with no state when there is none at this address any more."""
    endpoint = cluster.endpoints.get(address)
    gone = {"address": address, "state": None}
    return f"{_dumped(gone if endpoint is None else _endpoint(cluster, endpoint, moment))}\n"


def dropped_json(events: Iterable[Event]) -> str:
    """Whom obeying the registry let go of."""
    dropped = sorted(event.endpoint or "" for event in events if isinstance(event, HoldEnded))
    return f"{_dumped({'dropped': dropped})}\n"


def clusters_text(clusters: Sequence[Cluster]) -> Iterator[str]:
    """`service::ip:port::key::value` lines, a piece an endpoint."""
    for cluster in clusters:
        for endpoint in list(cluster.endpoints.values()):
            start = f"{cluster.name}::{endpoint.address}::"
            yield "".join([f"{start}{key}::{value}\n" for key, value in _line_values(endpoint).items()])


def _cluster(cluster: Cluster, moment: Moment) -> Document:
    policy, discovery, registry = cluster.policy, cluster.policy.discovery, moment.info.registry
    bound = {listener.name: listener.bound for listener in moment.info.listeners}
    static, confirmed = bool(discovery.static), cluster.confirmed_at
    return {
        "name": cluster.name,
        "protocol": policy.protocol.value,
        "listen": None if policy.listen is None else bound.get(cluster.name, policy.listen),
        "hosts": list(policy.hosts),
        "ready": cluster.has_list,
        "panic": cluster.panic,
        "waiting": cluster.waiting,
        "discovery": {
            "kind": "static" if static else "nacos",
            "service": discovery.service or cluster.name,
            "group": discovery.group,
            "origin": cluster.origin.value if cluster.origin else None,
            "connected": static or (registry is not None and registry.connected),
            "snapshot_age_s": None if static or confirmed is None else round(moment.now - confirmed, 3),
        },
        "protection": _protection(cluster, moment),
        "by_address": {"requests": cluster.stats.by_address, "remembered": cluster.remembered},
    }


def _protection(cluster: Cluster, moment: Moment) -> Document:
    guard = cluster.guard
    ends = [until for hold in guard.held.values() if (until := guard.until(hold, moment.now)) is not None]
    if moment.now < guard.ordered_until:
        ends.append(guard.ordered_until)
    return {
        "active": bool(guard.held),
        "why": guard.doubt.value if guard.held else None,
        "since": moment.at(guard.since),
        "until": moment.at(max(ends, default=None)),
        "held": len(guard.held),
    }


def _endpoint(cluster: Cluster, endpoint: Endpoint, moment: Moment) -> Document:
    failure = endpoint.last_failure
    return {
        "address": endpoint.address,
        "state": endpoint.state.value,
        "listed": endpoint.listed,
        "until": moment.at(_until(cluster, endpoint, moment.now)),
        "registry": None if cluster.policy.discovery.static else _registry(endpoint),
        "in_flight": endpoint.in_flight,
        "connections": {"active": endpoint.connections_active, "idle": endpoint.connections_idle},
        "requests": endpoint.requests,
        "failures": endpoint.failures,
        "consecutive_failures": endpoint.consecutive_failures,
        "ejections": endpoint.ejections,
        "verdict": (verdict := endpoint.verdict(moment.now)),
        "evidence": _evidence(endpoint, verdict, moment),
        "last_failure": None if failure is None else {"at": moment.at(failure.at), "outcome": failure.reason},
    }


def _evidence(endpoint: Endpoint, verdict: str | None, moment: Moment) -> Document | None:
    found = evidence(endpoint, verdict)
    if found is None:
        return None
    return {"since": moment.at(found.since), "shown_by": found.shown_by, "dials": found.dials}


def _until(cluster: Cluster, endpoint: Endpoint, now: float) -> float | None:
    """When time alone will end the endpoint's state; a hold's end is the guard's to tell."""
    if endpoint.state is State.HELD and endpoint.hold is not None:
        return cluster.guard.until(endpoint.hold, now)
    return endpoint.until()


def _registry(endpoint: Endpoint) -> Document:
    instance = endpoint.instance
    return {
        "healthy": instance.healthy,
        "enabled": instance.enabled,
        "weight": instance.weight,
        "cluster": instance.cluster,
        "metadata": dict(instance.metadata),
    }


_PENDING_REMOVAL = "/pending_dynamic_removal"

HEALTH_FLAGS: Mapping[State, str] = {
    State.AVAILABLE: "healthy",
    State.PROBATION: "healthy",
    State.EJECTED: "/failed_outlier_check",
    State.QUARANTINED: "/failed_active_hc",
    State.UNHEALTHY: "/failed_eds_health",
    State.DISABLED: "/failed_eds_health",
    State.HELD: _PENDING_REMOVAL,
    State.LEAVING: _PENDING_REMOVAL,
    State.STALLED: _PENDING_REMOVAL,
    State.DRAINING: _PENDING_REMOVAL,
}
"""Envoy's words for our states."""


def _line_values(endpoint: Endpoint) -> Document:
    return {
        "state": endpoint.state.value,
        "weight": f"{endpoint.instance.weight:g}",
        "cx_active": endpoint.connections_active,
        "cx_idle": endpoint.connections_idle,
        "rq_active": endpoint.in_flight,
        "rq_total": endpoint.requests,
        "rq_error": endpoint.failures,
        "health_flags": HEALTH_FLAGS[endpoint.state],
    }


# --- the rest


def events_json(selection: Selection) -> Iterator[str]:
    """The body of /events, a piece an event; several where it has a long list."""
    yield '{"events": ['
    for place, entry in enumerate(selection.entries):
        if place:
            yield ", "
        yield from _event(entry)
    yield f'], "next": {selection.next}, "dropped": {selection.dropped}}}\n'


def _event(entry: Entry) -> Iterator[str]:
    event = entry.event
    if isinstance(event, PushArrived) and len(listed := event.instances or ()) > SLICE:
        document = _dumped(_event_document(entry, replace(event, instances=()).detail))
        before, opening, after = document.partition('"instances": []')
        yield f"{before}{opening[:-1]}"
        for start in range(0, len(listed), SLICE):
            part = ", ".join([_dumped(written(one)) for one in listed[start : start + SLICE]])
            yield f"{', ' if start else ''}{part}"
        yield f"]{after}"
    else:
        yield _dumped(_event_document(entry, event.detail))


def _event_document(entry: Entry, detail: Document) -> Document:
    event = entry.event
    return {
        "seq": entry.seq,
        "at": stamp(entry.wall),
        "mono_s": round(entry.mono, 3),
        "kind": event.kind,
        "service": event.service,
        "endpoint": event.endpoint,
        "detail": detail,
        "text": event.text,
    }


SLICE = 250
"""Instances of a list that are written in one go: 2 ms with their metadata."""


def server_info_json(info: ServerInfo) -> str:
    """The body of /server_info."""
    document = asdict(info)
    document["started_at"] = stamp(info.started_at)
    document["uptime_s"] = round(info.uptime_s, 3)
    document["config"]["loaded_at"] = stamp(info.config.loaded_at)
    if info.registry is not None and info.registry.since is not None:
        document["registry"]["since"] = stamp(info.registry.since)
    return f"{_dumped(document)}\n"


def config_dump_json(dump: ConfigDump) -> str:
    """The body of /config_dump."""
    source = dump.source
    document = {
        "config": dump.config,
        "source": {"path": source.path, "sha256": source.sha256, "loaded_at": stamp(source.loaded_at)},
        "overrides": [{"key": o.key, "from": o.source, "name": o.name} for o in dump.overrides],
    }
    return f"{_dumped(document)}\n"


def reload_json(reloaded: Reloaded) -> str:
    """The body of /reload."""
    if reloaded.result in {Result.INVALID, Result.UNBOUND}:
        problems = [problem.as_json() for problem in reloaded.problems]
        return f"{_dumped({'result': 'rejected', 'problems': problems})}\n"
    changes = [{"op": change.op, "path": change.path} for change in reloaded.changes]
    return f"{_dumped({'result': reloaded.result.value, 'sha256': reloaded.sha256, 'changes': changes})}\n"


def latches_text(latches: Iterable[Latch]) -> str:
    """A line a latch: `[+] listeners`, `[-] service/orders: no instance list yet`."""
    return "".join([f"[{'+' if x.open else '-'}] {x.name}{'' if x.open else f': {x.why}'}\n" for x in latches])


def latches_json(latches: Iterable[Latch], *, ready: bool) -> str:
    """The same as JSON."""
    listed = [{"name": latch.name, "open": latch.open, "why": latch.why} for latch in latches]
    return f"{_dumped({'ready': ready, 'latches': listed})}\n"


def _dumped(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, default=str)
