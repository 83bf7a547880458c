"""The admin port: HTTP around the table of routes, with the access rule in front.

Nothing here may hold up the data path: bodies are put together piece by piece, and compressed so too, with a turn of
the event loop every now and then.
"""

import asyncio
import re
import zlib
from collections.abc import Collection, Iterable

from aiohttp import web

from sidecar.admin.access import from_a_page, refusal
from sidecar.admin.handling import Answer, Asked, Backend, text, wrong_method
from sidecar.admin.routes import find

_BREATH = 32 * 1024
"""Bytes of a body between two turns of the loop: half a millisecond of compressing."""

_WORTH_COMPRESSING = 1024

_SHUTDOWN = 2.0
"""Seconds that answers under way get at `close`."""

_GZIP = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=(?P<q>[01](?:\.[0-9]*)?)\s*)?(?:,|$)", re.IGNORECASE)


class AdminServer:
    """Serves one address; made on the running loop. `allow_remote` may be replaced while it serves."""

    def __init__(self, backend: Backend, *, allow_remote: Collection[str]) -> None:
        self.allow_remote = allow_remote
        self._backend = backend
        self._runner = web.ServerRunner(
            web.Server(self._serve, access_log=None, keepalive_timeout=75.0), shutdown_timeout=_SHUTDOWN
        )

    async def open(self, host: str, port: int) -> str:
        """Binds and accepts; returns `ip:port` as bound, raises OSError when that cannot be."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0]
        return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    async def close(self) -> None:
        """Stops to accept, lets answers under way end and closes all connections."""
        await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._answer(request)
        body = await _gathered(answer.pieces)
        headers = {"content-type": answer.content_type, "cache-control": "no-store", **answer.headers}
        if len(body) >= _WORTH_COMPRESSING and _takes_gzip(request.headers.get("Accept-Encoding", "")):
            body = await _compressed(body)
            headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
        return web.Response(body=body, status=answer.status, headers=headers)

    async def _answer(self, request: web.BaseRequest) -> Answer:
        found = find(request.path)
        if found is None:
            return text(f"unknown path: {request.path} (see /help)", 404)
        route, parts = found
        refused = refusal(
            request.path,
            route.names if request.method in {"GET", "HEAD"} else (),
            peer=_peer(request),
            host=request.headers.get("Host"),
            allow_remote=self.allow_remote,
        )
        if refused is not None:
            return text(refused, 403)
        headers = request.headers
        if from_a_page(request.method, origin=headers.get("Origin"), fetch_site=headers.get("Sec-Fetch-Site")):
            return text(f"not on behalf of another site's page: {request.path}", 403)
        if not route.takes(request.method):
            return wrong_method(route.methods)
        return await route.handle(
            self._backend, Asked(request.method, request.query, request.headers.get("Accept", ""), parts)
        )


def _peer(request: web.BaseRequest) -> str:
    """The peer's IP address; empty when it has left, which counts as remote."""
    peername = request.get_extra_info("peername")
    return str(peername[0]) if peername else ""


def _takes_gzip(accept_encoding: str) -> bool:
    wanted = _GZIP.search(accept_encoding)
    return wanted is not None and float(wanted["q"] or 1) > 0


async def _gathered(pieces: Iterable[str | bytes]) -> bytes:
    parts: list[bytes] = []
    unbroken = 0
    for piece in pieces:
        part = piece.encode() if isinstance(piece, str) else piece
        parts.append(part)
        unbroken += len(part)
        if unbroken >= _BREATH:
            unbroken = 0
            await asyncio.sleep(0)
    return b"".join(parts)


async def _compressed(body: bytes) -> bytes:
    packer = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | 16)
    parts: list[bytes] = []
    for start in range(0, len(body), _BREATH):
        parts.append(packer.compress(body[start : start + _BREATH]))
        await asyncio.sleep(0)
    return b"".join([*parts, packer.flush()])
