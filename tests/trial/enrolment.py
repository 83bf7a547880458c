"""An instance at the registry, as the client in its provider keeps it there: with a connection of its own.

The registration lives as long as the connection. When the registry ends it, a client of Nacos connects and registers
anew, sooner or later; ours a second or two later.
"""

import asyncio
import itertools
from contextlib import suppress

import grpc.aio

from sidecar.tasks import spawn
from tests.support.wire_client import WireClient
from tests.support.wire_provider import WireProvider

_REDO = 1.0
"""Seconds between two tries to be registered again; each client has up to as much again of its own."""

_ANSWERED = 5.0
"""Seconds for both; a server that is starting may swallow the first of them."""

_SILENT = 3600.0
"""Seconds that a registry may say nothing."""

_FAILURES = (grpc.aio.AioRpcError, asyncio.InvalidStateError, AssertionError, TimeoutError)

_turn = itertools.count()


class Enrolment:
    """`begin` once its provider serves, then `leave`, or `vanish` with it; as often as it restarts."""

    def __init__(self, registry: int, service: str, port: int) -> None:
        """`registry`: its HTTP port."""
        self._registry = registry
        self._service = service
        self._port = port
        self._pause = _REDO * (1 + next(_turn) % 3 / 2)
        self._client: WireClient | None = None
        self._keeper: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Registers, now or as soon as there is a registry, and stays registered."""
        self._keeper = spawn(self._keep(), name=f"enrolment of {self._port}")

    async def leave(self) -> None:
        """Deregisters; returns when the registry has accepted that, or cannot be told."""
        if self._client is not None:
            with suppress(*_FAILURES):
                await self._provider(self._client).deregister()
        await self.vanish()

    async def vanish(self) -> None:
        """The connection closes without a word, as that of a process that is gone."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None

    async def _keep(self) -> None:
        while True:
            async with WireClient(self._registry) as client:
                with suppress(*_FAILURES):
                    async with asyncio.timeout(_ANSWERED):
                        await client.set_up()
                        await self._provider(client).register()
                    self._client = client
                    while (await client.told(within=_SILENT))[0]:
                        pass
                self._client = None
            await asyncio.sleep(self._pause)

    def _provider(self, client: WireClient) -> WireProvider:
        return WireProvider(client, self._service, self._port)
