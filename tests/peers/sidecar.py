"""The sidecar beside the others: `nacos-sidecar run`, fed by the project's embedded registry."""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import sidecar
from sidecar.embedded.faults import PushTiming
from tests.peers.peer import SERVICE, Services, Terms
from tests.support.registry_process import RegistryProcess, registry_process
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until

_CONFIG = """\
version: 1
listen: {shared}
admin: {{listen: "127.0.0.1:0"}}
access_log: {{path: none}}
nacos: {{server_addresses: "{registry}"}}
services:
"""

_SERVICE = """\
  - name: {service}
    listen: {listen}
    timeouts: {{connect: {connect}s, response: {answer}s}}
    retry: {retry}
    keepalive: {{idle_timeout: {idle}s}}
"""

_RELAY = """\
  - name: {service}
    listen: {listen}
    protocol: tcp
    timeouts: {{connect: {connect}s}}
"""

_ANY_PORT = "127.0.0.1:0"

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
    service = SERVICE
    process: SidecarProcess
    registry: RegistryProcess

    def __init__(self, services: Services, folder: Path, terms: Terms) -> None:
        folder.mkdir()
        self.port = 0
        self.scrape = (0, "/metrics")
        self._folder, self._terms = folder, terms
        self._services = services
        self._shared = terms.by_host or len(services) > 1
        self._listed: dict[str, set[str]] = {service: set() for service in services}
        self._stack = AsyncExitStack()

    @property
    def pids(self) -> list[int]:
        return [self.process.child.pid]

    async def ready(self) -> None:
        self.registry = await self._stack.enter_async_context(registry_process(self._folder))
        await self.registry.apply(_MERGED)
        for service, instances in self._services.items():
            await self._register(service, instances)
        self.process = await self._stack.enter_async_context(running(self._folder, self.configuration()))
        await self.process.ready()
        self.port = await self.process.bound("shared" if self._shared else next(iter(self._services)))
        self.scrape = (await self.process.bound("admin"), "/metrics")

    def configuration(self) -> str:
        """The YAML. One service has a listener of its own, several have one together."""
        terms, shared = self._terms, self._shared
        text = _CONFIG.format(shared=_ANY_PORT if shared else "null", registry=self.registry.address)
        for service in self._services:
            text += (_RELAY if terms.relay else _SERVICE).format(
                service=service,
                listen="null" if shared else _ANY_PORT,
                connect=terms.connect,
                answer=terms.answer,
                idle=terms.idle,
                retry=json.dumps(retry(terms)),
            )
        return text

    async def use(self, instances: Sequence[str], service: str = SERVICE) -> None:
        await self._register(service, instances)
        wanted = set(instances)

        async def has_it() -> bool:
            known = {one["name"]: one["endpoints"] for one in await self.process.clusters()}[service]
            return {endpoint["address"] for endpoint in known if endpoint["listed"]} == wanted

        await until(has_it, pause=0.02)

    async def close(self) -> None:
        await self._stack.aclose()

    async def _register(self, service: str, instances: Sequence[str]) -> None:
        """What is new comes first: the list is at no time shorter than both."""
        wanted, listed = set(instances), self._listed[service]
        for instance in sorted(wanted - listed):
            await self.registry.register(service, instance)
        for instance in sorted(listed - wanted):
            await self.registry.deregister(service, instance)
        self._listed[service] = wanted
