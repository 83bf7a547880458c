"""Hosts as we write them: for instances whose own text is not known, and for the sidecar in their place. Pure."""

import json
import re
from collections.abc import Iterable, Mapping

from sidecar.cluster.instance import Instance
from sidecar.cluster.policy import NO_METADATA
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
    named: Named,
    address: tuple[str, int],
    instances: Iterable[Instance],
    clusters: Iterable[str],
    certain: Mapping[str, str] = NO_METADATA,
) -> str:
    """One listener of the sidecar as a host of a service: once in each of the clusters, or in DEFAULT.

    Its metadata is what all instances behind it agree on, as far as it may hold of the sidecar, too; `certain` is what
    every instance has that may ever stand there.
    """
    ip, port = address
    common = _common(instances, certain)
    metadata = {key: value for key, value in common.items() if not _ABOUT_THE_INSTANCE.fullmatch(key)}
    return ",".join(
        _text(named, ip=ip, port=port, weight=1.0, healthy=True, cluster=cluster, metadata=metadata)
        for cluster in sorted(clusters) or (DEFAULT_CLUSTER,)
    )


def speaks_dubbo(named: Named, instances: Iterable[Instance]) -> bool:
    """Whether its consumers read more than an address out of a list: URLs, and ports in metadata."""
    if _DUBBO_KEY.match(named.name):
        return True
    return any(key.startswith("dubbo.") for metadata in _different(instances) for key in metadata)


def _different(instances: Iterable[Instance]) -> Iterable[Mapping[str, str]]:
    """The metadata that there is: mostly one object for all."""
    return {id(one.metadata): one.metadata for one in instances}.values()


def _common(instances: Iterable[Instance], certain: Mapping[str, str]) -> Mapping[str, str]:
    """The entries that all have with the same value; the certain ones where there is nobody."""
    found: Mapping[str, str] | None = None
    for metadata in _different(instances):
        if found is None:
            found = metadata
        else:
            found = {key: value for key, value in found.items() if metadata.get(key) == value}
    return certain if found is None else found


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
