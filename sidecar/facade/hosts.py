"""Hosts as we write them: for instances whose own text is not known, and for the sidecar in their place. Pure."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from sidecar.cluster.instance import Instance
from sidecar.facade.names import Named

DEFAULT_CLUSTER = "DEFAULT"

_ABOUT_THE_INSTANCE = re.compile(
    r"secure|.*(?:^|[._-])ports?|.*[A-Za-z]Port|preserved\..*|dubbo\..*|nacos\..*", re.DOTALL
)
"""Keys of metadata that do not hold of the sidecar: it speaks plainly, on one port, and does not beat."""

_DUBBO_KEY = re.compile(r"(?:providers|consumers|routers|configurators):")


def host_text(instance: Instance, named: Named) -> str:
    """An instance as a registry writes it, as far as we know it."""
    return _text(
        named,
        ip=instance.host,
        port=instance.port,
        weight=instance.weight,
        healthy=instance.healthy,
        cluster=instance.cluster,
        metadata=instance.metadata,
    )


def sidecar_text(
    named: Named, addresses: Sequence[tuple[str, int]], instances: Iterable[Instance], clusters: Iterable[str]
) -> str:
    """The sidecar's listeners as hosts of a service: each once in every one of the clusters, or in DEFAULT.

    Metadata is what all instances agree on, as far as it may hold of the sidecar, too.
    """
    metadata = _common(instances)
    return ",".join(
        _text(named, ip=ip, port=port, weight=1.0, healthy=True, cluster=cluster, metadata=metadata)
        for cluster in sorted(clusters) or (DEFAULT_CLUSTER,)
        for ip, port in addresses
    )


def speaks_dubbo(named: Named, instances: Iterable[Instance]) -> bool:
    """Whether its consumers read more than an address out of a list: URLs, and ports in metadata."""
    if _DUBBO_KEY.match(named.name):
        return True
    return any(key.startswith("dubbo.") for metadata in _different(instances) for key in metadata)


def _different(instances: Iterable[Instance]) -> Iterable[Mapping[str, str]]:
    """The metadata that there is: mostly one object for all."""
    return {id(one.metadata): one.metadata for one in instances}.values()


def _common(instances: Iterable[Instance]) -> dict[str, str]:
    """The entries that all have with the same value."""
    found: dict[str, str] | None = None
    for metadata in _different(instances):
        if found is None:
            found = {key: value for key, value in metadata.items() if not _ABOUT_THE_INSTANCE.fullmatch(key)}
        else:
            found = {key: value for key, value in found.items() if metadata.get(key) == value}
    return found or {}


def _text(
    named: Named, *, ip: str, port: int, weight: float, healthy: bool, cluster: str, metadata: Mapping[str, str]
) -> str:
    host = {
        "instanceId": f"{ip}#{port}#{cluster}#{named.grouped}",
        "ip": ip,
        "port": port,
        "weight": weight,
        "healthy": healthy,
        "enabled": True,
        "ephemeral": True,
        "clusterName": cluster,
        "serviceName": named.grouped,
        "metadata": dict(metadata),
    }
    return json.dumps(host, ensure_ascii=False, separators=(",", ":"))
