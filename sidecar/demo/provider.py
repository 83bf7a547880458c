"""A provider as legacy shops run them: a small HTTP service that registers itself in Nacos.

`GET /echo/{id}` and `POST /echo` (header `x-request-id`) answer 200 with the id and the port. Each executed id is
appended to `--ids`, so that repeated and lost calls can be counted from this end too. On SIGTERM it deregisters,
stops listening, finishes what it began and goes: the graceful stop of a well-behaved service.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from aiohttp import web

_GROUP = "DEFAULT_GROUP"


def main(argv: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sidecar.demo.provider", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="HTTP port on 127.0.0.1")
    parser.add_argument("--registry", required=True, metavar="HOST:PORT", help="Nacos server address")
    parser.add_argument("--port-offset", type=int, default=1000, help="gRPC port of Nacos = its port + this")
    parser.add_argument("--service", default="order-service", help="name to register under")
    parser.add_argument("--ids", type=Path, required=True, help="file to which each executed id is appended")
    args = parser.parse_args(argv)
    with args.ids.open("a", encoding="utf-8") as ids:
        asyncio.run(_serve(args, ids))


async def _serve(args: argparse.Namespace, ids: TextIO) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(_http(args.port, ids), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", args.port, reuse_address=True).start()
    with tempfile.TemporaryDirectory(prefix="demo-provider-") as folder:
        registration = await _Registration.register(args, Path(folder))
        await stop.wait()
        await registration.end()
    await runner.cleanup()


def _http(port: int, ids: TextIO) -> web.Application:
    def executed(request: web.Request, request_id: str) -> web.Response:
        ids.write(f"{request.method} {request_id}\n")
        ids.flush()
        return web.json_response({"id": request_id, "port": port})

    async def get(request: web.Request) -> web.Response:
        return executed(request, request.match_info["id"])

    async def post(request: web.Request) -> web.Response:
        await request.read()
        return executed(request, request.headers["x-request-id"])

    app = web.Application()
    app.add_routes([web.get("/echo/{id}", get), web.post("/echo", post)])
    return app


class _Registration:
    """One instance of one service, alive as long as the client's connection."""

    def __init__(self, client: Any, where: dict[str, Any]) -> None:
        self._client = client
        self._where = where

    @classmethod
    async def register(cls, args: argparse.Namespace, folder: Path) -> "_Registration":
        # Imported here: the client library takes half a second, and --help should not.
        from v2.nacos import (  # noqa: PLC0415
            ClientConfigBuilder,
            GRPCConfig,
            NacosNamingService,
            RegisterInstanceParam,
        )

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
        where = {"service_name": args.service, "group_name": _GROUP, "ip": "127.0.0.1", "port": args.port}
        client = await NacosNamingService.create_naming_service(config)
        await client.register_instance(RegisterInstanceParam(**where, weight=1.0, ephemeral=True))
        return cls(client, where)

    async def end(self) -> None:
        """Deregisters; the registry forgets us at once, its subscribers half a second later."""
        from v2.nacos import DeregisterInstanceParam  # noqa: PLC0415

        from v2.nacos.common.nacos_exception import NacosException  # noqa: PLC0415

        try:
            await self._client.deregister_instance(DeregisterInstanceParam(**self._where, ephemeral=True))
        except NacosException as error:
            sys.stderr.write(f"not deregistered, the registry forgets us with the connection: {error}\n")
        await self._client.shutdown()


if __name__ == "__main__":
    main()
