"""The fault knobs over HTTP: `/faults` to read, put in force and lift them, `/observed` to see what clients did."""

import json
from typing import Protocol

from aiohttp import web

from sidecar.embedded import faults
from sidecar.embedded.connections import Connections
from sidecar.embedded.faults import Fault, FaultError
from sidecar.embedded.in_force import CONDITIONS, Faults


class Knobs(Protocol):
    """Who puts a fault in force or carries it out, and lifts it."""

    async def apply(self, fault: Fault) -> None:
        """A condition is in force, an action done (a restart: begun) when this returns."""

    def lift(self, name: str) -> None:
        """Raises `FaultError` where no condition has that name."""


class KnobsApi:
    """Handlers over one registry's faults and connections."""

    __slots__ = ("_connections", "_faults", "_knobs")

    def __init__(self, in_force: Faults, connections: Connections, knobs: Knobs) -> None:
        self._faults = in_force
        self._connections = connections
        self._knobs = knobs

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/faults", self.faults),
            web.post("/faults/{name}", self.set_fault),
            web.delete("/faults/{name}", self.clear_fault),
            web.get("/observed", self.observed),
        ]

    async def faults(self, _request: web.Request) -> web.Response:
        """Every knob with its help and defaults, and what is in force."""
        known = {
            name: {
                "kind": "condition" if name in CONDITIONS else "action",
                "help": kind.__doc__,
                "defaults": faults.describe(kind()),
            }
            for name, kind in faults.KINDS.items()
        }
        return web.json_response({"in_force": self._faults.in_force(), "known": known})

    async def set_fault(self, request: web.Request) -> web.Response:
        try:
            body = await request.json() if request.can_read_body else {}
            fault = faults.parse(request.match_info["name"], body)
            await self._knobs.apply(fault)
        except (FaultError, AttributeError, json.JSONDecodeError) as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        return web.json_response(faults.describe(fault))

    async def clear_fault(self, request: web.Request) -> web.Response:
        try:
            self._knobs.lift(request.match_info["name"])
        except FaultError as error:
            raise web.HTTPNotFound(text=f"{error}\n") from error
        return web.json_response(self._faults.in_force())

    async def observed(self, _request: web.Request) -> web.Response:
        """Who is connected, and which requests came."""
        connections = [
            {
                "id": c.id,
                "version": c.version,
                "labels": dict(c.labels),
                "subscriptions": [s.service.grouped for s in c.subscriptions],
                "acks": len(c.acks),
                "unacked": len(c.unacked),
            }
            for c in self._connections
        ]
        counts, versions = dict(self._connections.counts), dict(self._connections.versions)
        return web.json_response({"connections": connections, "requests": counts, "versions": versions})
