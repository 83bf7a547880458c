"""The list that a subscriber gets, derived from what is published exactly as the Java server does it. Pure.

Rules: disabled instances are left out, weight 0 and unhealthy ones stay; where a
service has a protectThreshold and `healthy / total <= threshold`, every host is rewritten as healthy, the
unhealthy ones come back even under `healthy_only`, and the list says `reachProtectionThreshold`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sidecar.embedded.model import Instance, ServiceName
from sidecar.wire import dump

CACHE_MILLIS = 10_000
"""How long a 1.x client may use a list; 2.x clients ignore it."""


@dataclass(frozen=True)
class Listing:
    """One derived list; its JSON is made once, however many subscribers get it."""

    service: ServiceName
    hosts: tuple[Instance, ...]
    clusters: str = ""
    protected: bool = False

    @cached_property
    def _hosts_json(self) -> bytes:
        return dump([host_json(self.service, host) for host in self.hosts])

    def as_dict(self, ref_time: int) -> dict[str, Any]:
        """The `serviceInfo` object; `ref_time` is lastRefTime in milliseconds."""
        return {**self._head(ref_time), "hosts": [host_json(self.service, host) for host in self.hosts]}

    def as_json(self, ref_time: int) -> bytes:
        """The same as bytes, with the hosts from the cache: a push of 5 000 hosts costs one concatenation."""
        return b'%b,"hosts":%b}' % (dump(self._head(ref_time))[:-1], self._hosts_json)

    def _head(self, ref_time: int) -> dict[str, Any]:
        return {
            "name": self.service.name,
            "groupName": self.service.group,
            "clusters": self.clusters,
            "cacheMillis": CACHE_MILLIS,
            "lastRefTime": ref_time,
            "checksum": "",
            "allIps": False,
            "reachProtectionThreshold": self.protected,
            "valid": True,
        }


def derive(
    service: ServiceName,
    instances: Iterable[Instance],
    *,
    clusters: str = "",
    healthy_only: bool = False,
    threshold: float | None = None,
) -> Listing:
    """The list of `service` for one subscriber; `clusters` is a comma list, empty = all."""
    wanted = {cluster for cluster in clusters.split(",") if cluster}
    enabled = [i for i in instances if i.enabled and (not wanted or i.cluster in wanted)]
    healthy = [i for i in enabled if i.healthy]
    if threshold is not None and enabled and len(healthy) / len(enabled) <= max(threshold, 0.0):
        return Listing(service, tuple(replace(i, healthy=True) for i in enabled), clusters, protected=True)
    return Listing(service, tuple(healthy if healthy_only else enabled), clusters)


def host_json(service: ServiceName, host: Instance) -> dict[str, Any]:
    """One host as Jackson writes it on the Java server."""
    return {
        "instanceId": f"{host.ip}#{host.port}#{host.cluster}#{service.grouped}",
        "ip": host.ip,
        "port": host.port,
        "weight": host.weight,
        "healthy": host.healthy,
        "enabled": host.enabled,
        "ephemeral": host.ephemeral,
        "clusterName": host.cluster,
        "serviceName": service.grouped,
        "metadata": dict(host.metadata),
        "instanceHeartBeatInterval": 5000,
        "instanceHeartBeatTimeOut": 15000,
        "ipDeleteTimeout": 30000,
    }
