"""A provider as legacy shops run them: a small HTTP service that registers itself in Nacos.

`GET /echo/{id}` and `POST /echo` (header `x-request-id`) answer 200 with the id and the port. Each executed id is
appended to `--ids`, so that repeated and lost calls can be counted from this end too.

**Graceful stop**, on SIGTERM or SIGINT: deregister, refuse new connections, serve the open ones for a second more
and say `Connection: close` on them, finish what was begun, go. The second is what subscribers need to hear of it.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from aiohttp import web

from sidecar.discovery.absent import absent
from sidecar.exits import Exit

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before grpc is loaded: it tells of every closed connection otherwise

with absent(), warnings.catch_warnings(action="ignore"):  # of things deprecated in it
    from v2.nacos import (
        ClientConfigBuilder,
        DeregisterInstanceParam,
        GRPCConfig,
        NacosNamingService,
        RegisterInstanceParam,
    )
    from v2.nacos.common.nacos_exception import NacosException
    from v2.nacos.utils.net_util import NetUtils

_HOST = "127.0.0.1"
NetUtils.get_local_ip = lambda: _HOST  # the original raises on a machine that has loopback and nothing else

_GROUP = "DEFAULT_GROUP"

_LINGER = 1.0
"""Seconds between deregistering and closing connections; Nacos gathers changes for half a second before it tells them."""

_PATIENCE = 3.0
"""Seconds that the registry gets to hear of our end; the library's own limit for one request."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; 69 when the port is taken or the registry cannot be reached."""
    parser = argparse.ArgumentParser(prog="python -m sidecar.demo.provider", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="HTTP port on 127.0.0.1")
    parser.add_argument("--registry", required=True, metavar="HOST:PORT", help="Nacos server address")
    parser.add_argument("--port-offset", type=int, default=1000, help="gRPC port of Nacos = its port + this")
    parser.add_argument("--service", default="order-service", help="name to register under")
    parser.add_argument("--ids", type=Path, required=True, help="file to which each executed id is appended")
    args = parser.parse_args(argv)
    with args.ids.open("a", encoding="utf-8") as ids, tempfile.TemporaryDirectory(prefix="demo-provider-") as folder:
        try:
            asyncio.run(_serve(args, ids, Path(folder)))
        except OSError as error:
            return _unavailable(f"cannot listen on 127.0.0.1:{args.port}: {error.strerror}")
        except NacosException as error:
            return _unavailable(f"cannot register at {args.registry}: {error}")
    return Exit.OK


def _unavailable(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return Exit.UNAVAILABLE


async def _serve(args: argparse.Namespace, ids: TextIO, folder: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    http = _Http(args.port, ids)
    await http.open()
    try:
        registration = await _Registration.begin(args, folder)
        await stop.wait()
        await registration.end()
    finally:
        await http.close()


class _Http:
    """The service itself."""

    def __init__(self, port: int, ids: TextIO) -> None:
        self._port = port
        self._ids = ids
        self._leaving = False
        app = web.Application(middlewares=[self._farewell])
        app.add_routes([web.get("/echo/{id}", self._get), web.post("/echo", self._post)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)

    async def open(self) -> None:
        """Listens; raises OSError when the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, self._port, reuse_address=True).start()

    async def close(self) -> None:
        """Refuses new connections at once, lets go of the open ones after a while."""
        self._leaving = True
        for site in list(self._runner.sites):
            await site.stop()
        await asyncio.sleep(_LINGER)
        await self._runner.cleanup()

    @web.middleware
    async def _farewell(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        answer = await handler(request)
        if self._leaving:
            answer.force_close()
        return answer

    async def _get(self, request: web.Request) -> web.Response:
        return self._executed(request, request.match_info["id"])

    async def _post(self, request: web.Request) -> web.Response:
        await request.read()
        return self._executed(request, request.headers["x-request-id"])

    def _executed(self, request: web.Request, request_id: str) -> web.Response:
        self._ids.write(f"{request.method} {request_id}\n")
        self._ids.flush()
        return web.json_response({"id": request_id, "port": self._port})


class _Registration:
    """One instance of one service, alive as long as the client's connection."""

    def __init__(self, client: Any, where: dict[str, Any]) -> None:
        self._client = client
        self._where = where

    @classmethod
    async def begin(cls, args: argparse.Namespace, folder: Path) -> "_Registration":
        """Connects and registers; raises NacosException."""
        config = (
            ClientConfigBuilder()
            .server_address(args.registry)
            .log_dir(str(folder / "log"))
            .cache_dir(str(folder / "cache"))
            .log_level("CRITICAL")
            .load_cache_at_start(False)
            .grpc_config(GRPCConfig(port_offset=args.port_offset))
            .build()
        )
        where = {"service_name": args.service, "group_name": _GROUP, "ip": _HOST, "port": args.port}
        client = await NacosNamingService.create_naming_service(config)
        await client.register_instance(RegisterInstanceParam(**where, weight=1.0, ephemeral=True))
        return cls(client, where)

    async def end(self) -> None:
        """Deregisters; the registry forgets us at once, its subscribers hear of it half a second later."""
        farewell = self._client.deregister_instance(DeregisterInstanceParam(**self._where, ephemeral=True))
        try:
            await asyncio.wait_for(farewell, _PATIENCE)
        except (NacosException, TimeoutError) as error:
            sys.stderr.write(f"not deregistered, the registry forgets us with the connection: {error}\n")
        await self._client.shutdown()


if __name__ == "__main__":
    raise SystemExit(main())
