"""What the registry's client library does with a list of thousands, on which we do not rely: all of it in one piece."""

import statistics
import time
from collections.abc import Coroutine
from typing import Any
from unittest.mock import AsyncMock, patch

import sidecar.discovery.nacos  # noqa: F401 - brings the library in the way we use it
from sidecar.wire import dump
from tests.scale.lists import METADATA, addresses


def taking(instances: int, *, times: int = 5) -> float:
    """CPU milliseconds from the bytes of a push that changes every weight to the library's callbacks; the median.

    It decodes, compares, and puts the list in words for its log and its file, of which nothing is written here.
    """
    from v2.nacos.common.client_config import ClientConfig  # noqa: PLC0415 - after the import above
    from v2.nacos.naming.cache import service_info_cache  # noqa: PLC0415
    from v2.nacos.transport.grpc_util import GrpcUtils  # noqa: PLC0415
    from v2.nacos.transport.grpcauto.nacos_grpc_service_pb2 import Metadata, Payload  # noqa: PLC0415

    config = ClientConfig(server_addresses="127.0.0.1:8848")
    config.load_cache_at_start = False
    cache = service_info_cache.ServiceInfoCache(config)
    took = []
    with patch.object(service_info_cache, "write_to_file", AsyncMock()):
        for number in range(times + 1):
            payload = Payload(metadata=Metadata(type="NotifySubscriberRequest"))
            payload.body.value = dump({"requestId": "1", "module": "naming", "serviceInfo": _list(instances, number)})
            began = time.thread_time()
            _to_its_end(cache.process_service(GrpcUtils.parse(payload).serviceInfo))
            took.append((time.thread_time() - began) * 1000)
    return statistics.median(took[1:])


def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """What never waits needs no loop."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise RuntimeError("the library waited")


def _list(instances: int, number: int) -> dict[str, Any]:
    """The list of this number, each later and with other weights than the one before."""
    return {
        "name": "catalogue",
        "groupName": "DEFAULT_GROUP",
        "clusters": "",
        "cacheMillis": 10000,
        "hosts": [_host(ip, 1.0 + number) for ip in addresses(0, instances)],
        "lastRefTime": 1795344422465 + number,
        "checksum": "",
        "allIps": False,
        "reachProtectionThreshold": False,
    }


def _host(ip: str, weight: float) -> dict[str, Any]:
    return {
        "instanceId": f"{ip}#8080#DEFAULT#DEFAULT_GROUP@@catalogue",
        "ip": ip,
        "port": 8080,
        "weight": weight,
        "healthy": True,
        "enabled": True,
        "ephemeral": True,
        "clusterName": "DEFAULT",
        "serviceName": "DEFAULT_GROUP@@catalogue",
        "metadata": METADATA,
    }
