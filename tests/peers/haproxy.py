"""HAProxy with one thread; its list is changed over its admin socket, in slots that are there from the start."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from tests.peers.peer import Terms, parted
from tests.support.needs import find
from tests.support.ports import free_port
from tests.support.process import Child, run
from tests.support.until import until

SLOTS = 64
"""Instances at most."""

_CONFIG = """\
global
    nbthread 1
    stats socket ipv4@127.0.0.1:{admin} level admin
defaults
    mode http
    timeout connect {connect:.0f}s
    timeout client 1h
    timeout http-keep-alive 1h
    timeout server {answer:.0f}s
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response {failures}
frontend app
    bind 127.0.0.1:{port}
    default_backend instances
backend instances
    balance leastconn
    http-request disable-l7-retry unless {{ method GET HEAD OPTIONS TRACE PUT DELETE }}
    http-reuse safe
    default-server check inter 1s fall 1 rise 1 observe layer7 error-limit 5 on-error mark-down pool-purge-delay {idle:.0f}s
    server-template slot 1-{slots} 127.0.0.1:1 disabled
"""


class HaproxyPeer:
    """HAProxy as the proxy."""

    name = "HAProxy"

    def __init__(self, instances: Sequence[str], folder: Path, terms: Terms) -> None:
        folder.mkdir()
        program = str(find("haproxy"))
        self.version = version()
        self.port = free_port()
        self._instances = instances
        self._admin = free_port()
        self._slots: dict[str, int] = {}
        config = folder / "haproxy.cfg"
        config.write_text(
            _CONFIG.format(
                admin=self._admin,
                port=self.port,
                slots=SLOTS,
                connect=terms.connect,
                answer=terms.answer,
                idle=terms.idle,
                failures="500 503" if terms.repeat_500 else "503",
            )
        )
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
        await self.use(self._instances)

    async def use(self, instances: Sequence[str]) -> None:
        wanted = set(instances)
        for instance in [gone for gone in self._slots if gone not in wanted]:
            await self._set(self._slots.pop(instance), "state maint")
        free = (slot for slot in range(1, SLOTS + 1) if slot not in self._slots.values())
        for instance in [new for new in instances if new not in self._slots]:
            slot = self._slots[instance] = next(free)
            host, port = parted(instance)
            await self._set(slot, f"addr {host} port {port}")
            await self._set(slot, "state ready")

    async def close(self) -> None:
        await self._child.terminate()

    async def _set(self, slot: int, what: str) -> None:
        """Raises where it objects."""
        told = await self._tell(f"set server instances/slot{slot} {what}")
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
