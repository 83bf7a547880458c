"""The sidecar beside the others: `nacos-sidecar run`, fed by the project's embedded registry."""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import sidecar
from sidecar.embedded.faults import PushTiming
from tests.peers.peer import Terms
from tests.support.registry_process import RegistryProcess, registry_process
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until

_CONFIG = """\
version: 1
listen: null
admin: {{listen: "127.0.0.1:0"}}
access_log: {{path: none}}
nacos: {{server_addresses: "{registry}"}}
services:
  - name: {service}
    listen: 127.0.0.1:0
    timeouts: {{connect: {connect}s, response: {answer}s}}
    retry: {retry}
    keepalive: {{idle_timeout: {idle}s}}
"""

_RETRY_ON = ("connect-failure", "reset-before-response", "retriable-5xx", "stall")
"""Its default."""

_MERGED = PushTiming(delay_s=0.05)
"""How long the registry waits for more changes before it tells of one."""


def retry(terms: Terms) -> dict[str, Any]:
    """What a service says under that key."""
    return {"retry_on": [*_RETRY_ON, "any-5xx"]} if terms.repeat_500 else {}


class SidecarPeer:
    """The sidecar as the proxy; `process` and `registry` show more of it than the others can."""

    name = "sidecar"
    version = sidecar.__version__
    service = "instances"
    process: SidecarProcess
    registry: RegistryProcess

    def __init__(self, instances: Sequence[str], folder: Path, terms: Terms) -> None:
        folder.mkdir()
        self.port = 0
        self._folder, self._terms = folder, terms
        self._instances = instances
        self._listed: set[str] = set()
        self._stack = AsyncExitStack()

    @property
    def pids(self) -> list[int]:
        return [self.process.child.pid]

    async def ready(self) -> None:
        self.registry = await self._stack.enter_async_context(registry_process(self._folder))
        await self.registry.apply(_MERGED)
        await self._register(self._instances)
        text = _CONFIG.format(
            registry=self.registry.address,
            service=self.service,
            connect=self._terms.connect,
            answer=self._terms.answer,
            idle=self._terms.idle,
            retry=json.dumps(retry(self._terms)),
        )
        self.process = await self._stack.enter_async_context(running(self._folder, text))
        await self.process.ready()
        self.port = await self.process.bound(self.service)

    async def use(self, instances: Sequence[str]) -> None:
        await self._register(instances)
        wanted = set(instances)

        async def has_it() -> bool:
            (known,) = await self.process.clusters()
            return {endpoint["address"] for endpoint in known["endpoints"] if endpoint["listed"]} == wanted

        await until(has_it, pause=0.02)

    async def close(self) -> None:
        await self._stack.aclose()

    async def _register(self, instances: Sequence[str]) -> None:
        """What is new comes first: the list is at no time shorter than both."""
        wanted = set(instances)
        for instance in sorted(wanted - self._listed):
            await self.registry.register(self.service, instance)
        for instance in sorted(self._listed - wanted):
            await self.registry.deregister(self.service, instance)
        self._listed = wanted
