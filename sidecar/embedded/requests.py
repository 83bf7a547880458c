"""What each unary request does and is answered: one function a request type, one table.

Refusals are those of the Java server: 301 for a connection without ConnectionSetup, 302 for a type without a
handler, 403 for a naming request that does not show who it is from, 500 for a body that cannot be read or a client
that did not set up as a naming client.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from sidecar.embedded import messages
from sidecar.embedded.auth import DeniedError, Doorman
from sidecar.embedded.connections import Connection, Subscription
from sidecar.embedded.messages import DENIED, FAILED, NO_HANDLER, UNREGISTERED, RequestError
from sidecar.embedded.model import DEFAULT_CLUSTER, Instance, ServiceName
from sidecar.embedded.pushes import Pushes
from sidecar.wire import Payload

Body = Mapping[str, Any]


class Requests:
    """Answers unary requests out of one registry's state."""

    __slots__ = ("_doorman", "_naming", "_pushes", "_table")

    def __init__(self, pushes: Pushes, doorman: Doorman) -> None:
        self._pushes = pushes
        self._doorman = doorman
        self._naming = pushes.naming
        self._table: Mapping[str, Callable[[Connection, Body], Payload]] = {
            "HealthCheckRequest": self._health_check,
            "SubscribeServiceRequest": self._subscribe,
            "ServiceQueryRequest": self._query,
            "InstanceRequest": self._instance,
            "PersistentInstanceRequest": self._persistent_instance,
            "BatchInstanceRequest": self._batch,
            "ServiceListRequest": self._service_list,
        }

    def answer(self, connection: Connection | None, payload: Payload) -> Payload:
        """The answer; every refusal is an ErrorResponse."""
        try:
            return self._answer(connection, payload)
        except RequestError as error:
            return messages.error(error.code, str(error))
        except (KeyError, TypeError, ValueError) as error:
            return messages.error(FAILED, f"{payload.type} is not readable: {error!r}")

    def _answer(self, connection: Connection | None, payload: Payload) -> Payload:
        handler = self._table.get(payload.type)
        if handler is None:
            raise RequestError(NO_HANDLER, f"no handler for {payload.type or 'a request without type'}")
        if connection is None:
            raise RequestError(UNREGISTERED, "connection is not registered")
        body = read_body(payload)
        if payload.type != "HealthCheckRequest":
            self._admit(connection, payload, body)
        return handler(connection, body)

    def _admit(self, connection: Connection, payload: Payload, body: Body) -> None:
        service = service_of(connection, body) if body.get("serviceName") else None
        try:
            self._doorman.check(payload.headers, service, asyncio.get_running_loop().time())
        except DeniedError as denied:
            raise RequestError(DENIED, str(denied)) from denied

    def _health_check(self, _connection: Connection, _body: Body) -> Payload:
        return messages.ok("HealthCheckResponse")

    def _subscribe(self, connection: Connection, body: Body) -> Payload:
        _require_naming(connection)
        service, clusters = service_of(connection, body), body.get("clusters") or ""
        subscription = Subscription(service, clusters)
        listing = self._naming.listing(service, clusters)
        if body.get("subscribe", True):
            self._pushes.subscribed(connection, subscription)
        else:
            connection.subscriptions.pop(subscription, None)
        info = self._pushes.list_for(listing, connection.stamps, push=False)
        return messages.with_list("SubscribeServiceResponse", info)

    def _query(self, connection: Connection, body: Body) -> Payload:
        service = service_of(connection, body)
        healthy_only = bool(body.get("healthyOnly", False))
        listing = self._naming.listing(service, body.get("cluster") or "", healthy_only=healthy_only)
        info = self._pushes.list_for(listing, connection.stamps, push=False)
        return messages.with_list("QueryServiceResponse", info)

    def _instance(self, connection: Connection, body: Body) -> Payload:
        _require_naming(connection)
        registered = _is_registration(body)
        instances = [instance_of(body.get("instance") or {}, ephemeral=True)] if registered else []
        self._naming.publish(connection.id, service_of(connection, body), instances)
        return messages.ok("InstanceResponse", type=body.get("type"))

    def _persistent_instance(self, connection: Connection, body: Body) -> Payload:
        _require_naming(connection)
        registered = _is_registration(body)
        instance = instance_of(body.get("instance") or {}, ephemeral=False)
        client = client_by_address(instance)
        self._naming.publish(client, service_of(connection, body), [instance] if registered else [])
        return messages.ok("InstanceResponse", type=body.get("type"))

    def _batch(self, connection: Connection, body: Body) -> Payload:
        _require_naming(connection)
        instances = [instance_of(item, ephemeral=True) for item in body.get("instances") or ()]
        self._naming.publish(connection.id, service_of(connection, body), instances)
        return messages.ok("BatchInstanceResponse", type=body.get("type"))

    def _service_list(self, connection: Connection, body: Body) -> Payload:
        namespace = body.get("namespace") or connection.namespace
        names = self._naming.services(namespace, body.get("groupName") or "")
        page, size = max(int(body.get("pageNo", 1)), 1), int(body.get("pageSize", 10))
        shown = names[(page - 1) * size : page * size]
        return messages.ok("ServiceListResponse", count=len(names), serviceNames=shown)


def read_body(payload: Payload) -> Body:
    """The JSON object of a payload; raises `RequestError` where it is none."""
    try:
        body = json.loads(payload.body or b"{}")
    except ValueError as error:
        raise RequestError(FAILED, f"body of {payload.type} is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise RequestError(FAILED, f"body of {payload.type} is no object")
    return body


def service_of(connection: Connection, body: Body) -> ServiceName:
    """The service that a request names; without a namespace it is that of the connection."""
    if not (name := body.get("serviceName")):
        raise RequestError(FAILED, "serviceName is missing")
    return ServiceName.parse(name, body.get("groupName") or "", body.get("namespace") or connection.namespace)


def instance_of(body: Body, *, ephemeral: bool) -> Instance:
    """One instance from its JSON; raises KeyError, TypeError or ValueError where that is unreadable."""
    return Instance(
        ip=body["ip"],
        port=int(body["port"]),
        weight=float(body.get("weight", 1.0)),
        healthy=bool(body.get("healthy", True)),
        enabled=bool(body.get("enabled", True)),
        ephemeral=ephemeral,
        cluster=body.get("clusterName") or DEFAULT_CLUSTER,
        metadata=dict(body.get("metadata") or {}),
    )


def client_by_address(instance: Instance) -> str:
    """The client id of what does not live with a connection: persistent, or kept alive by HTTP beats."""
    return f"{instance.ip}:{instance.port}#{str(instance.ephemeral).lower()}"


def _is_registration(body: Body) -> bool:
    kind: str = body.get("type", "")
    if kind not in {"registerInstance", "deregisterInstance"}:
        raise RequestError(FAILED, f"unknown type {kind!r}")
    return kind == "registerInstance"


def _require_naming(connection: Connection) -> None:
    if not connection.is_naming:
        raise RequestError(FAILED, f"client {connection.id} is no naming client")
