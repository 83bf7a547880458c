"""The messages that a server sends, as payloads; JSON as Jackson writes it, nulls left out. Pure."""

from typing import Any

from sidecar.embedded.model import ServiceName
from sidecar.wire import Payload, dump

STARTING, UNREGISTERED, NO_HANDLER, DENIED, FAILED = 300, 301, 302, 403, 500
"""The errorCodes of the Java server that clients act on."""

ABILITIES = {"fuzzyWatch": False, "lock": False, "supportPersistentInstanceByGrpc": True, "mcp": False}


class RequestError(Exception):
    """A request that is answered with ErrorResponse."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def ok(kind: str, **fields: Any) -> Payload:
    """A successful answer of that type."""
    return _payload(kind, {"resultCode": 200, "errorCode": 0, "success": True, **fields})


def with_list(kind: str, service_info: bytes) -> Payload:
    """A successful answer that carries a `serviceInfo`, given as JSON."""
    head = b'{"resultCode":200,"errorCode":0,"success":true,"message":"success","serviceInfo":'
    return Payload(kind, b"%b%b}" % (head, service_info))


def error(code: int, message: str) -> Payload:
    return _payload("ErrorResponse", {"resultCode": 500, "errorCode": code, "message": message, "success": False})


def notify(request_id: str, service_info: bytes, names: ServiceName | None) -> Payload:
    """A push; `names` given: named as r-nacos does it."""
    fields: dict[str, Any] = {"headers": {}, "requestId": request_id, "module": "naming"}
    if names is not None:
        fields |= {"namespace": names.namespace, "groupName": names.group, "serviceName": names.name}
    return Payload("NotifySubscriberRequest", b'%b,"serviceInfo":%b}' % (dump(fields)[:-1], service_info))


def setup_ack(request_id: str) -> Payload:
    return _request("SetupAckRequest", request_id, abilityTable=ABILITIES)


def client_detection(request_id: str) -> Payload:
    return _request("ClientDetectionRequest", request_id)


def connect_reset(request_id: str, server_ip: str = "", server_port: str = "") -> Payload:
    target = {"serverIp": server_ip, "serverPort": server_port} if server_ip else {}
    return _request("ConnectResetRequest", request_id, **target)


def _request(kind: str, request_id: str, **fields: Any) -> Payload:
    return _payload(kind, {"headers": {}, "requestId": request_id, "module": "internal", **fields})


def _payload(kind: str, body: dict[str, Any]) -> Payload:
    return Payload(kind, dump(body))
