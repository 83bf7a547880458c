"""HAProxy with one thread; its list is changed over its admin socket, in slots that are there from the start."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from tests.peers.peer import SERVICE, Services, Terms, parted
from tests.support.needs import find
from tests.support.ports import free_port
from tests.support.process import Child, run
from tests.support.until import until

SLOTS = 64
"""Instances of a service at most, unless it has more from the start."""

_CONFIG = """\
global
    nbthread 1
    stats socket ipv4@127.0.0.1:{admin} level admin
defaults
    mode {mode}
    timeout connect {connect:.0f}s
    timeout client 1h
    timeout server {server:.0f}s
    retries 3
    option redispatch 1
    {more}
frontend metrics
    mode http
    bind 127.0.0.1:{scrape}
    http-request use-service prometheus-exporter if {{ path /metrics }}
frontend app
    bind 127.0.0.1:{port}
    {routing}
    default_backend {first}
"""

_CALLS = """\
    timeout http-keep-alive 1h
    retry-on conn-failure empty-response {failures}
"""

_NO_ROUTING = """\
    unique-id-format %[uuid()]
    http-request set-header x-request-id %[unique-id] unless { req.hdr(x-request-id) -m found }
"""

_ROUTING = f"""\
{_NO_ROUTING}
    use_backend %[req.hdr(host)]
"""

_BACKEND = """\
backend {service}
    balance leastconn
    {more}
    default-server check inter 1s fall 1 rise 1 observe {layer} error-limit 5 on-error mark-down pool-purge-delay {idle:.0f}s
    server-template slot 1-{slots} 127.0.0.1:1 disabled
"""

_REQUESTS = """\
    http-request disable-l7-retry unless { method GET HEAD OPTIONS TRACE PUT DELETE }
    http-reuse safe
"""

_FOR_EVER = 3600.0
"""Seconds that a relayed connection may be silent."""


class HaproxyPeer:
    """HAProxy as the proxy."""

    name = "HAProxy"

    def __init__(self, services: Services, folder: Path, terms: Terms) -> None:
        folder.mkdir()
        program = str(find("haproxy"))
        self.version = version()
        self.port, scrape = free_port(), free_port()
        self.scrape = (scrape, "/metrics")
        self._services = services
        self._admin = free_port()
        self._slots: dict[str, dict[str, int]] = {service: {} for service in services}
        config = folder / "haproxy.cfg"
        config.write_text(self._configuration(terms))
        self._child = Child([program, "-db", "-f", str(config)], log=folder / "output.log")

    @property
    def pids(self) -> list[int]:
        return [self._child.pid]

    async def ready(self) -> None:
        async def listening() -> bool:
            if self._child.exit_code is not None:
                raise RuntimeError(f"HAProxy ended:\n{self._child.tail()}")
            try:
                await self._tell("show version")
            except OSError:
                return False
            return True

        await until(listening, pause=0.01)
        for service, instances in self._services.items():
            await self.use(instances, service)

    async def use(self, instances: Sequence[str], service: str = SERVICE) -> None:
        wanted, slots = set(instances), self._slots[service]
        for instance in [gone for gone in slots if gone not in wanted]:
            await self._set(service, slots.pop(instance), "state maint")
        free = (slot for slot in range(1, self._room(service) + 1) if slot not in slots.values())
        for instance in [new for new in instances if new not in slots]:
            slot = slots[instance] = next(free)
            host, port = parted(instance)
            await self._set(service, slot, f"addr {host} port {port}")
            await self._set(service, slot, "state ready")

    async def close(self) -> None:
        await self._child.terminate()

    def _room(self, service: str) -> int:
        """How many instances it can have."""
        return max(SLOTS, len(self._services[service]))

    def _configuration(self, terms: Terms) -> str:
        text = _CONFIG.format(
            admin=self._admin,
            mode="tcp" if terms.relay else "http",
            connect=terms.connect,
            server=_FOR_EVER if terms.relay else terms.answer,
            more="" if terms.relay else _CALLS.format(failures="500 503" if terms.repeat_500 else "503"),
            scrape=self.scrape[0],
            port=self.port,
            routing="" if terms.relay else _ROUTING if len(self._services) > 1 else _NO_ROUTING,
            first=next(iter(self._services)),
        )
        for service in self._services:
            text += _BACKEND.format(
                service=service,
                more="" if terms.relay else _REQUESTS,
                layer="layer4" if terms.relay else "layer7",
                idle=terms.idle,
                slots=self._room(service),
            )
        return text

    async def _set(self, service: str, slot: int, what: str) -> None:
        """Raises where it objects."""
        told = await self._tell(f"set server {service}/slot{slot} {what}")
        if told and "changed" not in told and "no need" not in told:
            raise RuntimeError(f"slot {slot}, {what}: {told}")

    async def _tell(self, command: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._admin)
        writer.write(f"{command}\n".encode())
        told = await reader.read()
        writer.close()
        return told.decode().strip()


def version() -> str:
    """Such as `2.6.12`."""
    found = re.search(r"version (\d+\.\d+\.\d+)", run(str(find("haproxy")), "-v").stdout)
    return found[1] if found else ""
