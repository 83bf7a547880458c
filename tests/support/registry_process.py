"""`nacos-sidecar registry` in a process of its own: it answers whatever the process that tests is busy with."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sidecar.embedded.faults import Fault, describe, name_of
from tests.support.http_client import Answer, request
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.until import until

_INSTANCE = "/nacos/v1/ns/instance"


class RegistryProcess:
    """Instances registered here are persistent ones: they need no heartbeat, and stay until they are deregistered."""

    def __init__(self, folder: Path) -> None:
        """Starts it."""
        self.http_port = free_port(offsets=(0, 1000))
        self.address = f"127.0.0.1:{self.http_port}"
        self._log = folder / "registry.log"
        self._child = self._launch()

    def _launch(self) -> Child:
        return Child([sys.executable, "-m", "sidecar", "registry", "--listen", self.address], log=self._log)

    async def start(self) -> None:
        """Again after `close`, with the same address and no memory; returns when it answers."""
        self._child = self._launch()
        await self.ready()

    @property
    def pid(self) -> int:
        return self._child.pid

    async def ready(self) -> None:
        async def answers() -> bool:
            if self._child.exit_code is not None:
                raise RuntimeError(f"the registry ended:\n{self._child.tail()}")
            try:
                await request(self.http_port)
            except OSError:
                return False
            return True

        await until(answers)

    async def register(self, service: str, instance: str) -> None:
        """`instance`: `ip:port`."""
        await self._instance("POST", service, instance)

    async def deregister(self, service: str, instance: str) -> None:
        """Gone from the list, whether it serves or not."""
        await self._instance("DELETE", service, instance)

    async def edit(self, service: str, instance: str, *, weight: float) -> None:
        """Gives an instance another weight: its whole list is pushed."""
        await self._instance("PUT", service, instance, f"&weight={weight}")

    async def instances(self, service: str) -> set[str]:
        """The `ip:port` that it lists."""
        answer = await request(self.http_port, path=f"/nacos/v1/ns/instance/list?serviceName={service}")
        _checked(answer)
        return {f"{host['ip']}:{host['port']}" for host in json.loads(answer.body)["hosts"]}

    async def apply(self, fault: Fault) -> None:
        """In force, or done, when this returns."""
        body = json.dumps(describe(fault)).encode()
        _checked(await request(self.http_port, "POST", f"/faults/{name_of(type(fault))}", body=body))

    async def lift(self, kind: type[Fault]) -> None:
        """Ends what `apply` has put in force."""
        _checked(await request(self.http_port, "DELETE", f"/faults/{name_of(kind)}"))

    async def close(self) -> None:
        await self._child.terminate()

    async def _instance(self, method: str, service: str, instance: str, more: str = "") -> None:
        host, _, port = instance.rpartition(":")
        query = f"serviceName={service}&ip={host}&port={port}&ephemeral=false{more}"
        _checked(await request(self.http_port, method, f"{_INSTANCE}?{query}"))

        query = f"serviceName={service}&ip={host}&port={port}&ephemeral=false"
        _checked(await request(self.http_port, method, f"{_INSTANCE}?{query}"))


def _checked(answer: Answer) -> None:
    if answer.status != 200:
        raise RuntimeError(f"the registry answered {answer.status}: {answer.body!r}")


@asynccontextmanager
async def registry_process(folder: Path) -> AsyncIterator[RegistryProcess]:
    """Answering; ended with the block."""
    registry = RegistryProcess(folder)
    try:
        await registry.ready()
        yield registry
    finally:
        await registry.close()
