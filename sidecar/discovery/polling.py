"""A session without pushes: lists are asked for over HTTP, in turn, and a list that changed is told as if pushed.

For servers of 1.x, which have no gRPC, and for those whose gRPC port cannot be reached. The planner asks each service
every `poll_interval`; here are only the questions. Later generations have dropped the path of 1.x, so theirs is next.
Polling that only stands in for gRPC (`transport: auto`) ends when the gRPC port opens.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from sidecar.discovery import listing as ours
from sidecar.discovery.access import Access
from sidecar.discovery.http import ABSENT, NOT_HTTP, Http, Reply
from sidecar.discovery.options import NacosOptions, Server, Transport
from sidecar.discovery.session import STARTING, ErrorAnswer, Listing, Owner, ServiceKey, Trouble, Unreadable
from sidecar.discovery.ways import grpc_opens
from sidecar.tasks import spawn

_SIGNATURE = ("ak", "data", "signature")

Params = Callable[[ServiceKey, str], dict[str, str]]


def _v1(key: ServiceKey, namespace: str) -> dict[str, str]:
    return {"serviceName": f"{key.group}@@{key.name}", "namespaceId": namespace, "healthyOnly": "false"}


def _v3(key: ServiceKey, namespace: str) -> dict[str, str]:
    return {"serviceName": key.name, "groupName": key.group, "namespaceId": namespace}


_log = logging.getLogger("sidecar")

PATHS: tuple[tuple[str, Params], ...] = (("/v1/ns/instance/list", _v1), ("/v3/client/ns/instance/list", _v3))


class PollingSession:
    """Implements `Session` over HTTP."""

    polls = True

    def __init__(self, server: Server, options: NacosOptions, owner: Owner, access: Access) -> None:
        self._server = server
        self._namespace = options.namespace
        self._owner = owner
        self._access = access
        self._http = Http(server, options)
        self._paths = PATHS
        self._known: dict[ServiceKey, Listing] = {}
        self._stands_in = options.transport is Transport.AUTO
        self._looking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<PollingSession {self._server}: {len(self._known)} services>"

    async def open(self) -> None:
        """Nothing goes out yet."""
        await self._http.__aenter__()
        if self._stands_in:
            _log.info("registry %s: gRPC port %d is closed, polling over HTTP", self._server, self._server.grpc_port)
            self._looking = spawn(self._look_for_grpc(), name="registry gRPC port")

    async def subscribe(self, key: ServiceKey) -> Listing:
        """The list of now, with which later ones are compared."""
        self._known[key] = await self._ask(key)
        return self._known[key]

    async def query(self, key: ServiceKey) -> Listing:
        """The list of now; another one than before is told to the owner first."""
        before, found = self._known[key], await self._ask(key)
        if found.members != before.members:
            self._known[key] = found
            self._owner.pushed(key, found)
        return found

    async def close(self) -> int:
        """Lets go of the connections."""
        if self._looking is not None:
            self._looking.cancel()
        await self._http.close()
        return 0

    async def _look_for_grpc(self) -> None:
        await grpc_opens(self._server)
        self._owner.troubled(Trouble.MAX_AGE)

    async def _ask(self, key: ServiceKey) -> Listing:
        async def send(shown: Mapping[str, str]) -> Reply:
            return await self._get(key, shown)

        return _listing(await self._access.granted(self._server, key, send))

    async def _get(self, key: ServiceKey, shown: Mapping[str, str]) -> Reply:
        """Raises ErrorAnswer for every status but 200, so that a refusal is answered with another token."""
        signature = {name: shown[name] for name in _SIGNATURE if name in shown}
        reply = Reply(404, "")
        for path, params in self._paths:
            reply = await self._http.get(path, params(key, self._namespace) | signature, _headers(shown))
            if reply.status not in ABSENT:
                break
            self._paths = self._paths[1:] or self._paths
        if reply.status == NOT_HTTP:
            raise Unreadable(str(reply))
        if reply.status != 200:
            starting = reply.status == 503 and "STARTING" in reply.text
            raise ErrorAnswer(STARTING if starting else reply.status, str(reply))
        return reply


def _headers(shown: Mapping[str, str]) -> dict[str, str]:
    """A token as 2.x and 3.x want it, and as 1.x does."""
    token = shown.get("accessToken")
    return {"accessToken": token, "Authorization": f"Bearer {token}"} if token else {}


def _listing(reply: Reply) -> Listing:
    body: Any = reply.body()
    if not isinstance(body, dict):
        raise Unreadable(f"no list: {reply}")
    if (code := body.get("code", 0)) not in {0, 200}:
        raise ErrorAnswer(code if isinstance(code, int) else 500, str(reply))
    hosts = body["data"] if isinstance(body.get("data"), list) else body.get("hosts")
    try:
        return ours.from_json(hosts, protect=body.get("reachProtectionThreshold") is True)
    except (TypeError, ValueError, KeyError) as error:
        raise Unreadable(f"no list: {error!r}") from error
