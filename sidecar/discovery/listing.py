"""From the client library's words to ours: one list, field by field. Pure.

Traps that end here: a host with a port that nobody can dial (-1 stands for "do not call me" in some frameworks) is
no instance, nor is one whose "ip" is neither an address nor a name; weights come as any float; the cluster may be missing; the server may put the group into the name.
"""

import math
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from sidecar.cluster.instance import Instance
from sidecar.cluster.policy import NO_METADATA
from sidecar.discovery.session import Listing, ServiceKey

HEAVIEST = 10_000.0
"""Nacos itself clips weights here."""


_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?"
)
"""An address or a plain name. Anyone may register anything, and the text ends up in heads, logs and labels."""


class Host(Protocol):
    """One entry of a list, as the library gives it after it has checked the types."""

    ip: str
    port: int
    weight: float
    healthy: bool
    enabled: bool
    clusterName: str  # noqa: N815 - the wire's own names
    metadata: dict[Any, Any]


class ServiceInfo(Protocol):
    """One list, as the library gives it."""

    name: str
    groupName: str  # noqa: N815 - as above
    hosts: Iterable[Host]
    reachProtectionThreshold: bool  # noqa: N815 - as above


def listing(info: ServiceInfo) -> Listing:
    """The list in our words; the order is kept, duplicates too."""
    instances = tuple(_instance(host) for host in info.hosts if _HOST.fullmatch(host.ip) and 0 < host.port <= 65535)
    return Listing(instances, protect=info.reachProtectionThreshold)


def key(name: str, group: str) -> ServiceKey:
    """Whom a list is about; servers may write `group@@name` into the name."""
    return ServiceKey(name.rpartition("@@")[2], group)


def _instance(host: Host) -> Instance:
    return Instance(
        host=host.ip,
        port=host.port,
        weight=_weight(host.weight),
        healthy=host.healthy,
        enabled=host.enabled,
        cluster=host.clusterName or "DEFAULT",
        metadata=_metadata(host.metadata),
    )


def _weight(weight: float) -> float:
    return 0.0 if math.isnan(weight) else min(max(weight, 0.0), HEAVIEST)


def _metadata(metadata: dict[Any, Any]) -> Mapping[str, str]:
    if not metadata:
        return NO_METADATA
    return MappingProxyType({str(name): str(value) for name, value in metadata.items()})
