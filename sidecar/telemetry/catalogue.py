"""Every metric as data: name, type, words of its labels, what it means, and where its number stands.

Why: exposition, documentation and dashboards read the same rows, so none can name a metric that the others lack. A
label whose words are known is exported with all of them from the start, at 0: a counter that appears with its first
event hides that event from `rate()`.
"""

import itertools
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.instance import Origin
from sidecar.cluster.stats import ProcessStats, ServiceStats
from sidecar.errors import OUTCOMES
from sidecar.telemetry.family import Family, Kind
from sidecar.telemetry.machine import MACHINE


class Service:
    """One cluster at one scrape."""

    __slots__ = ("cluster", "now", "states", "stats", "verdicts")

    def __init__(self, cluster: Cluster, now: float) -> None:
        self.cluster = cluster
        self.stats: ServiceStats = cluster.stats
        self.now = now
        endpoints = cluster.endpoints.values()
        states = Counter([endpoint.state for endpoint in endpoints])
        self.states = {state.value: states[state] for state in reversed(State)}
        self.verdicts = Counter([endpoint.verdict(now) for endpoint in endpoints])


@dataclass(frozen=True, slots=True)
class Facts:
    """What only the application knows at the moment of a scrape; `now` is monotonic, `last_reload_at` wall time."""

    now: float
    registry_connected: bool | None
    """None when every service is static."""
    ready: bool
    draining: bool
    last_reload_ok: bool
    last_reload_at: float
    per_endpoint: bool = False
    max_endpoint_series: int = 1000


@dataclass(frozen=True, slots=True)
class Process:
    """The process at one scrape."""

    stats: ProcessStats
    facts: Facts
    build: tuple[str, str, str]
    """Version, Python, event loop."""


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

_RESCUED_BY = ("retry", "wait", "guard", "proof", "address")
_RETRIES = ("connect_failure", "reset", "proof", "status", "timeout", "stall")
_DENIED = (
    "num_retries",
    "budget",
    "deadline",
    "body_too_large",
    "non_idempotent",
    "no_other_endpoint",
    "response_started",
)
_RECONNECTS = (
    "open_failed",
    "query_failed",
    "unhealthy",
    "connection_changed",
    "stream_end",
    "list_mismatch",
    "reset_request",
    "max_age",
    "config",
)


_REQUESTS = (
    "Finished requests; code 0: the app left before a head; flags are - when clean, service is - when they are for none"
)

_TCP = "Finished tcp connections; service is - when they are for none"

_IN_FLIGHT = "Requests not finished yet"

_CONNECTIONS = "Open connections on the side of the app and on that of the instances; service is - for the app's to the shared listener"

_BYTES = "Bytes of bodies passed on"

_ATTEMPTS = "Attempts at endpoints by how they ended; a request makes one or more"


def _snapshot_age(service: Service) -> float | None:
    cluster = service.cluster
    if cluster.origin is Origin.STATIC or cluster.confirmed_at is None:
        return None
    return max(0.0, service.now - cluster.confirmed_at)


def _snapshot_source(service: Service) -> dict[str, int]:
    origin = service.cluster.origin
    return {} if origin is None else {origin.value: 1}


_FACADE_REQUESTS = tuple(itertools.product(("grpc", "http"), ("passed", "rewritten", "answered", "failed")))


def _facade_requests(process: Process) -> dict[tuple[str, str], int]:
    """Two labels whose words are known: each pair from the start."""
    return {pair: process.stats.facade_requests[pair] for pair in _FACADE_REQUESTS}


PER_SERVICE: tuple[Family[Service], ...] = (
    Family(
        "sidecar_rescued_requests_total",
        _C,
        "Requests answered below 500 that would have failed without the sidecar, by what rescued them",
        lambda s: s.stats.rescued,
        ("by",),
        _RESCUED_BY,
    ),
    Family("sidecar_requests_total", _C, _REQUESTS, lambda s: s.stats.requests, ("code", "flags")),
    Family(
        "sidecar_requests_by_address_total",
        _C,
        "Requests, and tcp connections, that named the service by nothing but the ip:port of an instance",
        lambda s: s.stats.by_address,
    ),
    Family(
        "sidecar_remembered_addresses",
        _G,
        "Addresses of instances that left and that still name the service (address_memory)",
        lambda s: s.cluster.remembered,
    ),
    Family(
        "sidecar_tcp_connections_total",
        _C,
        _TCP,
        lambda s: s.stats.tcp_connections,
        ("flags",),
        ("-",),
    ),
    Family(
        "sidecar_request_duration_seconds",
        _H,
        "From the complete request head to the last byte of the answer",
        lambda s: s.stats.request_duration,
    ),
    Family(
        "sidecar_connect_duration_seconds",
        _H,
        "Successful connects to instances",
        lambda s: s.stats.connect_duration,
    ),
    Family("sidecar_requests_in_flight", _G, _IN_FLIGHT, lambda s: s.stats.requests_in_flight),
    Family(
        "sidecar_waiting_requests",
        _G,
        "Requests held because no endpoint is usable (wait_for_instance)",
        lambda s: s.stats.waiting,
    ),
    Family(
        "sidecar_waits_total",
        _C,
        "Ends of waits for a usable endpoint",
        lambda s: s.stats.waits,
        ("result",),
        ("served", "timeout", "overflow", "app_left"),
    ),
    Family(
        "sidecar_connections",
        _G,
        _CONNECTIONS,
        lambda s: {"app": s.stats.app_connections, "instance": s.stats.instance_connections},
        ("side",),
        ("app", "instance"),
    ),
    Family("sidecar_idle_connections", _G, "Pooled connections to instances", lambda s: s.stats.idle_connections),
    Family(
        "sidecar_bytes_total",
        _C,
        _BYTES,
        lambda s: {"to_instance": s.stats.bytes_to_instance, "to_app": s.stats.bytes_to_app},
        ("direction",),
        ("to_instance", "to_app"),
    ),
    Family(
        "sidecar_attempts_total",
        _C,
        _ATTEMPTS,
        lambda s: s.stats.attempts,
        ("outcome",),
        OUTCOMES,
    ),
    Family(
        "sidecar_retries_total",
        _C,
        "Attempts after the first, by why the one before was not enough",
        lambda s: s.stats.retries,
        ("reason",),
        _RETRIES,
    ),
    Family(
        "sidecar_retries_denied_total",
        _C,
        "Failures not tried again although retry_on names them, by what forbade it",
        lambda s: s.stats.retries_denied,
        ("reason",),
        _DENIED,
    ),
    Family(
        "sidecar_endpoints",
        _G,
        "Endpoints by state; the sum is all endpoints",
        lambda s: s.states,
        ("state",),
        tuple(state.value for state in reversed(State)),
    ),
    Family(
        "sidecar_quarantines_total",
        _C,
        "Entries into quarantine after a failed connect, first dials apart",
        lambda s: s.stats.quarantines,
    ),
    Family(
        "sidecar_ejections_total",
        _C,
        "Endpoints taken out because their answers were bad",
        lambda s: s.stats.ejections,
        ("reason",),
        ("consecutive_5xx", "gateway_failure", "success_rate"),
    ),
    Family(
        "sidecar_ejections_suppressed_total",
        _C,
        "Ejections that were due and not done, because they would have helped nobody",
        lambda s: s.stats.ejections_suppressed,
        ("reason",),
        ("max_ejected", "peers_fail_too"),
    ),
    Family(
        "sidecar_panic_mode",
        _G,
        "1 while ejected endpoints are used for want of others",
        lambda s: int(s.cluster.panic),
    ),
    Family(
        "sidecar_probes_total",
        _C,
        "Probes of held and quarantined endpoints",
        lambda s: s.stats.probes,
        ("result",),
        ("ok", "refused", "timeout", "tls", "unreachable"),
    ),
    Family("sidecar_registry_zombies", _G, "Instances listed as healthy that refuse", lambda s: s.verdicts["zombie"]),
    Family("sidecar_registry_ghosts", _G, "Instances that answer but are not listed", lambda s: s.verdicts["ghost"]),
    Family(
        "sidecar_registry_pushes_total",
        _C,
        "Lists of instances that arrived, pushed or queried, by what became of them",
        lambda s: s.stats.pushes,
        ("result",),
        ("applied", "unchanged", "empty_refused", "shrink_refused", "stale", "malformed"),
    ),
    Family(
        "sidecar_registry_snapshot_age_seconds",
        _G,
        "Since the registry last confirmed the list; absent for a static one",
        _snapshot_age,
    ),
    Family(
        "sidecar_registry_snapshot_source",
        _G,
        "1 for where the list in force came from",
        _snapshot_source,
        ("source",),
        tuple(origin.value for origin in Origin),
    ),
    Family(
        "sidecar_registry_protection_active",
        _G,
        "1 while the registry lists less than is in force: something is held",
        lambda s: int(bool(s.cluster.guard.held)),
    ),
    Family(
        "sidecar_registry_holds_ended_total",
        _C,
        "Endpoints no longer held, by why",
        lambda s: s.stats.holds_ended,
        ("by",),
        ("restored", "gone", "confirmed", "expired", "obeyed"),
    ),
    Family(
        "sidecar_facade_lists_total",
        _C,
        "Lists that the app got through the façade: as the registry said them, with instances added that it had left out, "
        "naming the sidecar, or made by us",
        lambda s: s.stats.facade_lists,
        ("result",),
        ("passed", "withheld", "replaced", "answered"),
    ),
)
"""Label `service` comes first in each."""

PER_ENDPOINT: tuple[Family[Endpoint], ...] = (
    Family(
        "sidecar_endpoint_requests_total", _C, "Attempts at this endpoint (per_endpoint_metrics)", lambda e: e.requests
    ),
    Family(
        "sidecar_endpoint_failures_total",
        _C,
        "Attempts at this endpoint that failed (per_endpoint_metrics)",
        lambda e: e.failures,
    ),
    Family(
        "sidecar_endpoint_requests_in_flight",
        _G,
        "Requests at this endpoint not finished yet (per_endpoint_metrics)",
        lambda e: e.in_flight,
    ),
)
"""Labels `service` and `endpoint`; only with `admin.per_endpoint_metrics`."""

LEFT_OUT: Family[int] = Family(
    "sidecar_endpoint_series_truncated",
    _G,
    "Endpoints left out of the sidecar_endpoint_* families over max_endpoint_series",
    lambda endpoints: endpoints,
)
"""Beside `PER_ENDPOINT`, without a label."""

PROCESS: tuple[Family[Process], ...] = (
    Family(
        "sidecar_registry_connected",
        _G,
        "1 while a registry session is up and its last health check was good; absent when every service is static",
        lambda p: None if p.facts.registry_connected is None else int(p.facts.registry_connected),
    ),
    Family(
        "sidecar_registry_reconnects_total",
        _C,
        "Registry sessions thrown away, by why",
        lambda p: p.stats.reconnects,
        ("reason",),
        _RECONNECTS,
    ),
    Family(
        "sidecar_registry_queries_total",
        _C,
        "Queries for lists of instances",
        lambda p: p.stats.queries,
        ("result",),
        ("ok", "error", "timeout"),
    ),
    Family(
        "sidecar_registry_tasks_cancelled_total",
        _C,
        "Tasks that the registry client library left behind and that were ended by force",
        lambda p: p.stats.tasks_cancelled,
    ),
    Family(
        "sidecar_snapshot_write_errors_total",
        _C,
        "Last-good lists that could not be written to disk",
        lambda p: p.stats.snapshot_write_errors,
    ),
    Family(
        "sidecar_access_log_dropped_total",
        _C,
        "Access log lines lost to a slow reader",
        lambda p: p.stats.access_log_dropped,
    ),
    Family(
        "sidecar_facade_connections",
        _G,
        "Open connections of the app to the façade",
        lambda p: p.stats.facade_connections,
        ("protocol",),
        ("grpc", "http"),
    ),
    Family(
        "sidecar_facade_requests_total",
        _C,
        "Requests of the app to the façade, by grpc and http: passed on untouched (passed), with a list that is ours "
        "(rewritten), without the registry (answered), or failed for want of it (failed)",
        _facade_requests,
        ("protocol", "result"),
    ),
    Family(
        "sidecar_config_reloads_total",
        _C,
        "Reloads of the configuration",
        lambda p: p.stats.reloads,
        ("result",),
        ("applied", "unchanged", "rejected"),
    ),
    Family(
        "sidecar_config_last_reload_successful",
        _G,
        "0 while the file on disk was refused and an older configuration is in force",
        lambda p: int(p.facts.last_reload_ok),
    ),
    Family(
        "sidecar_config_last_reload_success_timestamp_seconds",
        _G,
        "Unix time when the configuration in force was loaded",
        lambda p: p.facts.last_reload_at,
    ),
    Family("sidecar_ready", _G, "1 while /readyz answers 200", lambda p: int(p.facts.ready)),
    Family("sidecar_draining", _G, "1 while the state is DRAINING", lambda p: int(p.facts.draining)),
    Family(
        "sidecar_event_loop_lag_seconds",
        _H,
        "How late the event loop ran, sampled every 500 ms",
        lambda p: p.stats.loop_lag,
    ),
    Family(
        "sidecar_build_info", _G, "What is running; always 1", lambda p: {p.build: 1}, ("version", "python", "loop")
    ),
)
"""No label of the subject."""

UNROUTED: tuple[Family[Process], ...] = (
    Family("sidecar_requests_total", _C, _REQUESTS, lambda p: p.stats.unrouted.requests, ("code", "flags")),
    Family(
        "sidecar_tcp_connections_total", _C, _TCP, lambda p: p.stats.unrouted.tcp_connections, ("flags",), ("-", "NR")
    ),
    Family("sidecar_requests_in_flight", _G, _IN_FLIGHT, lambda p: p.stats.unrouted.requests_in_flight),
    Family(
        "sidecar_connections",
        _G,
        _CONNECTIONS,
        lambda p: {"app": p.stats.unrouted.app_connections, "instance": p.stats.unrouted.instance_connections},
        ("side",),
        ("app", "instance"),
    ),
    Family(
        "sidecar_bytes_total",
        _C,
        _BYTES,
        lambda p: {"to_instance": p.stats.unrouted.bytes_to_instance, "to_app": p.stats.unrouted.bytes_to_app},
        ("direction",),
        ("to_instance", "to_app"),
    ),
    Family("sidecar_attempts_total", _C, _ATTEMPTS, lambda p: p.stats.unrouted.attempts, ("outcome",), OUTCOMES),
)
"""The rest of these families, with `-` for the service: what is refused, or sent on (`unmatched: forward`, `transparent`)."""


def reference() -> str:
    """The catalogue as a page of the documentation."""
    rows = [
        *(_row(family, "service") for family in PER_SERVICE),
        *(_row(family) for family in PROCESS),
        *(_row(family, "service", "endpoint") for family in PER_ENDPOINT),
        _row(LEFT_OUT),
        *(_row(family) for family in MACHINE),
    ]
    return "\n".join(
        ("# Metrics", "", _INTRODUCTION, "", "| metric | type | labels | meaning |", "|---|---|---|---|", *rows, "")
    )


_INTRODUCTION = (
    "`GET /metrics` on the admin port, as Prometheus text or OpenMetrics. Made from `sidecar/telemetry/catalogue.py` "
    "by `python -m sidecar.telemetry.catalogue`; where words of a label are listed, each is exported from the start, at 0."
)


def _row(family: Family[Any], *subject: str) -> str:
    words = f" = {', '.join(family.known)}" if family.known else ""
    labels = ", ".join((*subject, *family.labels)) + words
    return f"| `{family.name}` | {family.kind.value} | {labels or 'none'} | {family.help} |"


if __name__ == "__main__":
    sys.stdout.write(reference())
