"""From the client library's words to ours: one list, field by field. Pure.

Traps that end here: a host with a port that nobody can dial (-1 stands for "do not call me" in some frameworks) is
no instance, nor is one whose "ip" is neither an address nor a name; weights come as any float; the cluster may be missing; the server may put the group into the name.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

    @property
    def ip(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def weight(self) -> float: ...
    @property
    def healthy(self) -> bool: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def clusterName(self) -> str: ...  # noqa: N802 - the wire's own names
    @property
    def metadata(self) -> dict[Any, Any]: ...


class ServiceInfo(Protocol):
    """One list, as the library gives it."""

    name: str
    groupName: str  # noqa: N815 - as above
    hosts: Iterable[Host]
    reachProtectionThreshold: bool  # noqa: N815 - as above


def listing(info: ServiceInfo) -> Listing:
    """The list in our words; the order is kept, duplicates too."""
    return Listing(_instances(info.hosts), protect=info.reachProtectionThreshold)


@dataclass(frozen=True, slots=True)
class _JsonHost:
    """One entry of a list as it came over HTTP; what is missing is what servers take it for."""

    ip: str
    port: int
    weight: float
    healthy: bool
    enabled: bool
    clusterName: str  # noqa: N815 - as above
    metadata: dict[Any, Any]


def from_json(hosts: Any, *, protect: bool) -> Listing:
    """The list that a JSON value holds; raises TypeError, ValueError or KeyError where it holds none."""
    if not isinstance(hosts, list):
        raise TypeError(f"hosts is {type(hosts).__name__}")
    return Listing(_instances(_json_host(host) for host in hosts), protect=protect)


def _json_host(host: Any) -> _JsonHost:
    ip, metadata = host["ip"], host.get("metadata") or {}
    if not isinstance(ip, str) or not isinstance(metadata, dict):
        raise TypeError(f"ip {ip!r}, metadata {type(metadata).__name__}")
    return _JsonHost(
        ip=ip,
        port=int(host["port"]),
        weight=float(host.get("weight", 1.0)),
        healthy=host.get("healthy", True) is not False,
        enabled=host.get("enabled", True) is not False,
        clusterName=str(host.get("clusterName") or ""),
        metadata=metadata,
    )


def key(name: str, group: str) -> ServiceKey:
    """Whom a list is about; servers may write `group@@name` into the name."""
    return ServiceKey(name.rpartition("@@")[2], group)


def _instances(hosts: Iterable[Host]) -> tuple[Instance, ...]:
    return tuple(_instance(host) for host in hosts if _HOST.fullmatch(host.ip) and 0 < host.port <= 65535)


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
