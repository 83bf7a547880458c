"""The HTTP face: what 1.x clients and curl need of v1, and what administrators need of v3.

Routes and bodies as on a 3.1 server, or on that of the knob `Profile`. Every login succeeds unless the knob `Auth` names a user.
What comes in over HTTP belongs to a client named by its address and, if ephemeral, has to beat.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from sidecar.embedded.auth import DeniedError, Doorman
from sidecar.embedded.faults import HttpAnswer, Profile, Starting
from sidecar.embedded.heartbeats import Beating, Heartbeats, Verdict
from sidecar.embedded.in_force import Faults
from sidecar.embedded.listing import host_json
from sidecar.embedded.model import DEFAULT_CLUSTER, Edit, Instance, ServiceName
from sidecar.embedded.pushes import Pushes
from sidecar.embedded.requests import client_by_address

_MISSING: Mapping[str, Mapping[str, int]] = {
    "1.": {"/v2/": 404, "/v3/": 404},
    "2.": {"/v3/": 404},
    "3.0": {"/v2/": 410, "/v1/console/": 410, "/v1/ns/catalog/": 410},
    "3.1": {"/v2/": 410, "/v1/console/": 410, "/v1/ns/catalog/": 410},
    "3.": {"/v2/": 404, "/v1/": 404},
}
"""By the beginning of the version, what begins a path that it has not (any more), and the status; first match."""

_BEAT_KNOWN, _BEAT_UNKNOWN, _V3_BEAT_UNKNOWN = 10200, 20404, 21003

Params = Mapping[str, str]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NacosApi:
    """Handlers over one registry's state."""

    __slots__ = ("_beats", "_doorman", "_faults", "_naming", "_pushes")

    def __init__(self, pushes: Pushes, beats: Heartbeats, faults: Faults, doorman: Doorman) -> None:
        self._pushes = pushes
        self._naming = pushes.naming
        self._beats = beats
        self._faults = faults
        self._doorman = doorman

    def application(self, *more: web.RouteDef) -> web.Application:
        """A fresh application with our routes and those of others; each start takes one."""
        app = web.Application(middlewares=[self._as_a_server_would])
        app.add_routes(
            [
                *more,
                web.post("/nacos/v1/auth/login", self.login),
                web.post("/nacos/v1/auth/users/login", self.login),
                web.post("/nacos/v3/auth/user/login", self.login),
                web.get("/nacos/v1/ns/instance/list", self.v1_list),
                web.post("/nacos/v1/ns/instance", self.v1_register),
                web.put("/nacos/v1/ns/instance", self.v1_edit),
                web.delete("/nacos/v1/ns/instance", self.v1_deregister),
                web.put("/nacos/v1/ns/instance/beat", self.v1_beat),
                web.get("/nacos/v1/ns/service/list", self.v1_services),
                web.get("/nacos/v3/client/ns/instance/list", self.v3_list),
                web.post("/nacos/v3/client/ns/instance", self.v3_register),
                web.delete("/nacos/v3/client/ns/instance", self.v3_deregister),
                web.get("/nacos/v3/admin/ns/instance/list", self.v3_admin_list),
                web.get("/nacos/v2/ns/catalog/instances", self.v2_catalogue),
                web.get("/nacos/v1/ns/catalog/instances", self.v1_catalogue),
                web.put("/nacos/v3/admin/ns/instance", self.v3_edit),
                web.put("/nacos/v3/admin/ns/service", self.v3_service),
                web.get("/nacos/v1/console/server/state", self.v1_state),
                web.get("/nacos/v2/core/cluster/node/self", self.v2_self),
                web.get("/nacos/v3/admin/core/state", self.v3_state),
                web.get("/nacos/v3/admin/core/state/liveness", _alive),
                web.get("/nacos/v3/admin/core/state/readiness", _alive),
            ]
        )
        return app

    async def login(self, request: web.Request) -> web.Response:
        params, api = await _params(request), 3 if "/v3/" in request.path else 1
        name, password = params.get("username", ""), params.get("password", "")
        try:
            answer = self._doorman.login(api, name, password, asyncio.get_running_loop().time())
        except DeniedError as denied:
            raise web.HTTPInternalServerError(text=f"caused: {denied};") from denied
        if answer is None:
            raise web.HTTPNotFound
        return web.json_response(answer)

    async def v1_list(self, request: web.Request) -> web.Response:
        listing = self._naming.listing(
            _service(request.query),
            request.query.get("clusters", ""),
            healthy_only=_truth(request.query, "healthyOnly"),
        )
        return web.Response(body=self._pushes.list_for(listing, {}, push=False), content_type="application/json")

    async def v1_register(self, request: web.Request) -> web.Response:
        self._register(await _params(request))
        return web.Response(text="ok")

    async def v1_edit(self, request: web.Request) -> web.Response:
        self._edit(await _params(request))
        return web.Response(text="ok")

    async def v1_deregister(self, request: web.Request) -> web.Response:
        self._deregister(await _params(request))
        return web.Response(text="ok")

    async def v1_beat(self, request: web.Request) -> web.Response:
        params = await _params(request)
        beat = {**params, **_json_object(params.get("beat", "{}"))}
        known = self._beat(_service(params), str(beat.get("ip", "")), int(beat.get("port", 0)))
        code = _BEAT_KNOWN if known else _BEAT_UNKNOWN
        return web.json_response({"clientBeatInterval": 5000, "code": code, "lightBeatEnabled": True})

    async def v1_services(self, request: web.Request) -> web.Response:
        namespace = ServiceName.parse("-", namespace=request.query.get("namespaceId", "")).namespace
        names = self._naming.services(namespace, request.query.get("groupName", ""))
        return web.json_response({"count": len(names), "doms": names})

    async def v3_list(self, request: web.Request) -> web.Response:
        service = _service(request.query)
        listing = self._naming.listing(
            service,
            request.query.get("clusterName") or DEFAULT_CLUSTER,
            healthy_only=_truth(request.query, "healthyOnly"),
        )
        return _result([host_json(service, host) for host in listing.hosts])

    async def v3_register(self, request: web.Request) -> web.Response:
        params = await _params(request)
        if not _truth(params, "heartBeat"):
            self._register(params)
        elif not self._beat(_service(params), params.get("ip", ""), int(params.get("port", 0))):
            return web.json_response({"code": _V3_BEAT_UNKNOWN, "message": "instance is not known", "data": None})
        return _result("ok")

    async def v3_deregister(self, request: web.Request) -> web.Response:
        self._deregister(await _params(request))
        return _result("ok")

    async def v3_admin_list(self, request: web.Request) -> web.Response:
        return _result(self._everything(request, request.query.get("clusterName") or DEFAULT_CLUSTER))

    async def v2_catalogue(self, request: web.Request) -> web.Response:
        """Of every cluster, whichever was asked for."""
        service = _service(request.query)
        hosts = [host_json(service, host) for host in self._naming.instances(service)]
        return _result({"count": len(hosts), **({"instances": hosts} if hosts else {})})

    async def v1_catalogue(self, request: web.Request) -> web.Response:
        hosts = self._everything(request, request.query["clusterName"])
        return web.json_response({"list": hosts, "count": len(hosts)})

    async def v3_edit(self, request: web.Request) -> web.Response:
        self._edit(await _params(request))
        return _result("ok")

    async def v3_service(self, request: web.Request) -> web.Response:
        params = await _params(request)
        self._naming.set_threshold(_service(params), float(params.get("protectThreshold", 0.0)))
        return _result("ok")

    async def v1_state(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": self._version, "standalone_mode": "standalone"})

    async def v2_self(self, _request: web.Request) -> web.Response:
        return _result({"ip": "127.0.0.1", "state": "UP", "extendInfo": {"version": self._version}})

    async def v3_state(self, _request: web.Request) -> web.Response:
        return _result({"version": self._version, "startup_mode": "standalone", "server_state": "UP"})

    def check_beats(self, now: float) -> None:
        """Acts on addresses that stopped to beat."""
        for who, verdict in self._beats.check(now):
            if verdict is Verdict.DELETED:
                self._naming.publish(client_by_address(Instance(who.ip, who.port)), who.service, ())
            else:
                self._naming.set_health(who.service, who.ip, who.port, healthy=False)

    def _everything(self, request: web.Request, cluster: str) -> list[dict[str, Any]]:
        """What administrators see of one cluster; 404 where there is nothing, as on the real servers."""
        service = _service(request.query)
        known = self._naming.instances(service)
        if not known:
            raise web.HTTPNotFound(text=f"service {service.grouped} is not found!")
        hosts = [host_json(service, host) for host in known if host.cluster == cluster]
        if not hosts:
            raise web.HTTPNotFound(text=f"cluster {cluster} is not found!")
        return hosts

    def _register(self, params: Params) -> None:
        service, instance = _service(params), _instance(params)
        if instance.ephemeral:
            self._beats.begin(Beating(service, instance.ip, instance.port), asyncio.get_running_loop().time())
        self._naming.publish(client_by_address(instance), service, [instance])

    def _deregister(self, params: Params) -> None:
        service, instance = _service(params), _instance(params)
        self._beats.end(Beating(service, instance.ip, instance.port))
        self._naming.publish(client_by_address(instance), service, ())

    def _edit(self, params: Params) -> None:
        edit = Edit(
            enabled=_truth(params, "enabled") if "enabled" in params else None,
            weight=float(params["weight"]) if "weight" in params else None,
            metadata=_json_object(params["metadata"]) if "metadata" in params else None,
        )
        instance = _instance(params)
        self._naming.edit(_service(params), instance.ip, instance.port, edit)

    def _beat(self, service: ServiceName, ip: str, port: int) -> bool:
        verdict = self._beats.beat(Beating(service, ip, port), asyncio.get_running_loop().time())
        if verdict is Verdict.RECOVERED:
            self._naming.set_health(service, ip, port, healthy=True)
        return verdict is not Verdict.DELETED

    @web.middleware
    async def _as_a_server_would(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """503 while starting, 403 for strangers, 400 with the reason for what cannot be read."""
        if request.path.startswith("/nacos/"):
            await self._hold_up(request)
        try:
            return await handler(request)
        except (KeyError, ValueError) as error:
            raise web.HTTPBadRequest(text=f"caused: {error!r}\n") from error

    async def _hold_up(self, request: web.Request) -> None:
        """All that may come between a request and its answer."""
        if (forced := self._faults.take(HttpAnswer, request.path)) is not None:
            await asyncio.sleep(forced.delay_s)
            if forced.status:
                raise _Forced(forced)
        if self._faults.find(Starting):
            raise web.HTTPServiceUnavailable(text="server is STARTING now, please try again later!")
        missing = next(paths for begin, paths in _MISSING.items() if self._version.startswith(begin))
        path = request.path.removeprefix("/nacos")
        if (status := next((status for begin, status in missing.items() if path.startswith(begin)), None)) is not None:
            raise _Forced(HttpAnswer(status=status, text="this version has no such path"))
        if "/ns/" in request.path:
            await self._admit(request)

    @property
    def _version(self) -> str:
        return self._faults.now(Profile).version

    async def _admit(self, request: web.Request) -> None:
        params = await _params(request)
        service = _service(params) if "serviceName" in params else None
        try:
            self._doorman.check({**request.headers, **params}, service, asyncio.get_running_loop().time())
        except DeniedError as denied:
            raise web.HTTPForbidden(text=str(denied)) from denied


class _Forced(web.HTTPException):
    """The answer that a fault names."""

    def __init__(self, fault: HttpAnswer) -> None:
        self.status_code = fault.status
        super().__init__(text=fault.text)


async def _alive(_request: web.Request) -> web.Response:
    return _result("ok")


def _result(data: Any) -> web.Response:
    return web.json_response({"code": 0, "message": "success", "data": data})


async def _params(request: web.Request) -> Params:
    """Query and form fields; servers take parameters from either."""
    form = await request.post()
    return {**request.query, **{key: value for key, value in form.items() if isinstance(value, str)}}


def _service(params: Params) -> ServiceName:
    return ServiceName.parse(params["serviceName"], params.get("groupName", ""), params.get("namespaceId", ""))


def _instance(params: Params) -> Instance:
    return Instance(
        ip=params["ip"],
        port=int(params["port"]),
        weight=float(params.get("weight", 1.0)),
        healthy=_truth(params, "healthy", default=True),
        enabled=_truth(params, "enabled", default=True),
        ephemeral=_truth(params, "ephemeral", default=True),
        cluster=params.get("clusterName") or params.get("cluster") or DEFAULT_CLUSTER,
        metadata=_json_object(params.get("metadata") or "{}"),
    )


def _truth(params: Params, key: str, *, default: bool = False) -> bool:
    return params[key].lower() == "true" if key in params else default


def _json_object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"{text!r} is no JSON object")  # noqa: TRY004 - the value is wrong, not a type of ours
    return value
