"""What the registry's client library does with a list of thousands, on which we do not rely: all of it in one piece."""

import statistics
import time
from typing import Any

import sidecar.discovery.nacos  # noqa: F401 - brings the library in the way we use it
from sidecar.embedded.wire import dump
from tests.scale.lists import METADATA, addresses


def decoding(instances: int, *, times: int = 5) -> float:
    """CPU milliseconds from the bytes of a push to the library's objects; the median."""
    from v2.nacos.transport.grpc_util import GrpcUtils  # noqa: PLC0415 - after the import above
    from v2.nacos.transport.grpcauto.nacos_grpc_service_pb2 import Metadata, Payload  # noqa: PLC0415

    payload = Payload(metadata=Metadata(type="NotifySubscriberRequest"))
    payload.body.value = dump({"requestId": "1", "module": "naming", "serviceInfo": _list(instances)})
    took = []
    for _ in range(times):
        began = time.thread_time()
        GrpcUtils.parse(payload)
        took.append((time.thread_time() - began) * 1000)
    return statistics.median(took)


def _list(instances: int) -> dict[str, Any]:
    return {
        "name": "catalogue",
        "groupName": "DEFAULT_GROUP",
        "clusters": "",
        "cacheMillis": 10000,
        "hosts": [_host(ip) for ip in addresses(0, instances)],
        "lastRefTime": 1795344422465,
        "checksum": "",
        "allIps": False,
        "reachProtectionThreshold": False,
    }


def _host(ip: str) -> dict[str, Any]:
    return {
        "instanceId": f"{ip}#8080#DEFAULT#DEFAULT_GROUP@@catalogue",
        "ip": ip,
        "port": 8080,
        "weight": 1.0,
        "healthy": True,
        "enabled": True,
        "ephemeral": True,
        "clusterName": "DEFAULT",
        "serviceName": "DEFAULT_GROUP@@catalogue",
        "metadata": METADATA,
    }
