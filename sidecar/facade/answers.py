"""What the app is answered while no real server can be asked: what is known, and otherwise that it failed. Pure.

A registration is never said to have succeeded, and a list that is not known is never said to be empty: clients try the
one again by themselves, and go by what they knew for the other.
"""

from typing import Any

from sidecar.facade.names import Named
from sidecar.wire import Payload, dump

AWAY = "sidecar: no Nacos server can be reached"
FAILED, UNREGISTERED = 500, 301

LISTS = {"SubscribeServiceRequest": "SubscribeServiceResponse", "ServiceQueryRequest": "QueryServiceResponse"}
"""Requests for lists, and what they are answered with."""

_ANSWERS = {
    **LISTS,
    "InstanceRequest": "InstanceResponse",
    "PersistentInstanceRequest": "InstanceResponse",
    "BatchInstanceRequest": "BatchInstanceResponse",
    "ServiceListRequest": "ServiceListResponse",
    "ConfigQueryRequest": "ConfigQueryResponse",
    "ConfigPublishRequest": "ConfigPublishResponse",
    "ConfigRemoveRequest": "ConfigRemoveResponse",
    "ConfigBatchListenRequest": "ConfigChangeBatchListenResponse",
}
"""An answer of its own type fails the one request; an ErrorResponse makes clients give their connection up."""

CACHE_MILLIS = 10_000
"""What real servers say."""


def failed(kind: str) -> Payload:
    """The answer to a request of this type that cannot be carried out."""
    return _answer(_ANSWERS.get(kind, "ErrorResponse"), resultCode=500, errorCode=FAILED, message=AWAY, success=False)


def healthy() -> Payload:
    """To HealthCheck: the connection is all right, and lists are answered on it."""
    return _answer("HealthCheckResponse", resultCode=200, errorCode=0, success=True)


def unregistered() -> Payload:
    """To HealthCheck on a connection without a stream: the client is to open another one."""
    text = "Connection is unregistered."
    return _answer("ErrorResponse", resultCode=500, errorCode=UNREGISTERED, message=text, success=False)


def checked(connection_id: str) -> Payload:
    """To ServerCheck. Abilities are the real server's, so none are negotiated."""
    return _answer(
        "ServerCheckResponse",
        resultCode=200,
        errorCode=0,
        success=True,
        connectionId=connection_id,
        supportAbilityNegotiation=False,
    )


def with_list(kind: str, service_info: str) -> Payload:
    """To a request for a list, whose JSON this is."""
    head = dump({"resultCode": 200, "errorCode": 0, "success": True, "message": "success"})
    return Payload(LISTS[kind], b'%b,"serviceInfo":%b}' % (head[:-1], service_info.encode()))


def pushed(request_id: str, service_info: str) -> Payload:
    """A list that was not asked for."""
    head = dump({"headers": {}, "requestId": request_id, "module": "naming"})
    return Payload("NotifySubscriberRequest", b'%b,"serviceInfo":%b}' % (head[:-1], service_info.encode()))


def service_info(named: Named, clusters: str, hosts: str, ref_time: int, *, grouped: bool = False) -> str:
    """A list as registries write it; `grouped` as for 1.x, whose names have the group in them."""
    info = {
        "name": named.grouped if grouped else named.name,
        "groupName": named.group,
        "clusters": clusters,
        "cacheMillis": CACHE_MILLIS,
        "lastRefTime": ref_time,
        "checksum": "",
        "allIPs": False,
        "reachProtectionThreshold": False,
        "valid": True,
    }
    return f'{dump(info).decode()[:-1]},"hosts":[{hosts}]}}'


def _answer(kind: str, **fields: Any) -> Payload:
    return Payload(kind, dump(fields))
