"""Providers inside the test: small HTTP servers that can be stopped and started on the same port."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from aiohttp import web

from tests.support.ports import free_port


class Provider:
    """Answers every request with its port; counts the ids (header `x-request-id`) that it executed."""

    def __init__(self, port: int | None = None, *, delay: float = 0.0) -> None:
        self.port = port or free_port()
        self.delay = delay
        self.executed: Counter[str] = Counter()
        self._runner: web.ServerRunner | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> Self:
        """Listens from now on."""
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=2.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        return self

    async def stop(self) -> None:
        """Stops listening, finishes what it began, closes."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        async for _ in request.content.iter_any():
            pass  # of any size: request.read() refuses more than a megabyte
        if self.delay:
            await asyncio.sleep(self.delay)
        self.executed[request.headers.get("x-request-id", "")] += 1
        return web.Response(text=str(self.port))


@asynccontextmanager
async def providers(count: int, *, delay: float = 0.0) -> AsyncIterator[list[Provider]]:
    """So many of them, listening."""
    started = [await Provider(delay=delay).start() for _ in range(count)]
    try:
        yield started
    finally:
        for provider in started:
            await provider.stop()
