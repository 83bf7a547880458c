"""Lists that are malformed or untrue: a `serviceInfo` object in, the forced one out. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from sidecar.embedded.faults import ForcedList, Shape

ServiceInfo = dict[str, Any]


def forced(info: ServiceInfo, fault: ForcedList) -> ServiceInfo:
    """`info` as `fault` wants it; the argument stays as it is."""
    return _SHAPES[fault.shape](info, fault)


def _hosts(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[ServiceInfo, ForcedList], ServiceInfo]:
    return lambda info, _: {**info, "hosts": [change(host) for host in info["hosts"]]}


def _large(info: ServiceInfo, fault: ForcedList) -> ServiceInfo:
    template = info["hosts"][0] if info["hosts"] else {"weight": 1.0, "healthy": True, "enabled": True, "metadata": {}}
    hosts = [{**template, "ip": f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", "port": 80} for n in range(fault.hosts)]
    return {**info, "hosts": hosts}


_SHAPES: Mapping[Shape, Callable[[ServiceInfo, ForcedList], ServiceInfo]] = {
    Shape.EMPTY: lambda info, _: {**info, "hosts": []},
    Shape.PARTIAL: lambda info, fault: {**info, "hosts": info["hosts"][: fault.keep]},
    Shape.HOSTS_NULL: lambda info, _: {**info, "hosts": None},
    Shape.METADATA_NULL: _hosts(lambda host: {**host, "metadata": None}),
    Shape.NO_INSTANCE_ID: _hosts(lambda host: {k: v for k, v in host.items() if k != "instanceId"}),
    Shape.UNKNOWN_FIELDS: lambda info, fault: {
        **_hosts(lambda host: {**host, "futureField": [1]})(info, fault),
        "futureField": {"nested": True},
    },
    Shape.LARGE: _large,
    Shape.WRONG_GROUP: lambda info, _: {**info, "groupName": "OTHER_GROUP"},
}
