"""An app of some era behind one way in, with a sidecar of its own, and the calls that it is made to make.

Its load is open: a call leaves when it is due, whatever became of those before. Feign and RestTemplate take turns, as
do GET and POST.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.apps.app import Consumer
from tests.apps.stacks import Stack
from tests.apps_trial import network
from tests.apps_trial.ways import Doors, Way
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.two_hosts import SIDECAR_USER, as_user
from tests.support.until import until
from tests.trial.load import Call, Load

RATE = 16.0
"""Calls a second of one app."""

FEW_CALLS: Mapping[str, Any] = {
    "per_try_timeout": "5s",
    "retry_on": ["connect-failure", "reset-before-response", "retriable-5xx", "stall", "response-timeout"],
}
"""As docs/operating/which-way-in.md has it for services with few calls: one alone does not show that somebody is frozen.

Its price: a POST ends when a provider takes so long for it, as one does that has just started on a very busy machine.
"""

_WARM = 120.0
"""Seconds that a cold app may take for its first calls on a very busy machine; two are usual."""

CLIENTS = ("feign", "rest")
_METHODS = ("GET", "POST")


@dataclass(slots=True)
class AppCall(Call):
    """A call to the app, by which it calls the provider; the id is the same in both."""

    client: str = ""

    def wire(self) -> bytes:
        head = f"{self.method} /{self.client}/{self.id} HTTP/1.1\r\nHost: app\r\n"
        if self.method == "GET":
            return f"{head}\r\n".encode()
        return f"{head}Content-Type: text/plain\r\nContent-Length: {len(self.id)}\r\n\r\n{self.id}".encode()


@dataclass(frozen=True, slots=True)
class Carried:
    """A line of a sidecar's access log: what became of a request of the app."""

    method: str
    id: str
    details: str
    endpoint: str
    rescued: str

    @classmethod
    def of(cls, line: dict[str, Any]) -> "Carried":
        path = line["path"] or ""
        return cls(
            method=line["method"] or "",
            id=path.rpartition("/")[2],
            details=line["response_code_details"] or "",
            endpoint=line["upstream_host"] or "",
            rescued=line["rescued_by"] or "",
        )


class Caller:
    """One app, its sidecar if it has one, and its load."""

    def __init__(self, stack: Stack, way: Way, consumer: Consumer, sidecar: SidecarProcess | None) -> None:
        self.stack = stack
        self.way = way
        self.consumer = consumer
        self.sidecar = sidecar
        slug = f"{stack.id}-{way.slug}"
        self.load = Load(consumer.port, rate=RATE, host=consumer.host, make=lambda *call: _make(slug, *call))

    def __repr__(self) -> str:
        return f"<Caller {self}>"

    def __str__(self) -> str:
        return f"{self.stack.id} {self.way.name}"

    async def is_well(self, seconds: float = 1.0) -> bool:
        """Calls have ended for so long, and all of them were answered."""
        now = asyncio.get_running_loop().time()
        recent = [call for call in self.load.calls[-200:] if call.ended >= now - seconds]
        return bool(recent) and all(call.answered for call in recent)

    def carried(self) -> Sequence[Carried]:
        """All that its sidecar has carried so far."""
        if self.sidecar is None:
            return ()
        text = (self.sidecar.folder / "access.log").read_text()
        return [Carried.of(json.loads(line)) for line in text.splitlines() if line.startswith("{")]


def _make(slug: str, number: int, due: float, started: float) -> AppCall:
    method, client = _METHODS[number // 2 % 2], CLIENTS[number % 2]
    return AppCall(method, f"{slug}-{number}", due, started, client=client)


@asynccontextmanager
async def caller(
    stack: Stack, way: Way, registry: str, folder: Path, retry: Mapping[str, Any]
) -> AsyncIterator[Caller]:
    """One that is at work, and goes on until the block ends; `folder` is made, and all of it is in there.

    `retry`: what its sidecar's file says of that.
    """
    await asyncio.to_thread(_make_folder, folder)
    doors = Doors()
    async with AsyncExitStack() as started:
        pod = await started.enter_async_context(network.pod(folder)) if way.needs_pod else None
        sidecar = None
        if way.has_sidecar:
            text = json.dumps(_configuration(registry, doors, retry) | dict(way.settings(doors)))
            before = (*pod.before, *as_user(SIDECAR_USER)) if pod else ()
            sidecar = await started.enter_async_context(running(folder, text, by=before))
            await sidecar.event("ready")
        if sidecar and pod:
            await asyncio.to_thread(pod.run, *_redirecting(sidecar))
        consumer = Consumer(
            stack,
            way.registry(doors, registry),
            folder=folder,
            host=pod.address if pod else network.HOST,
            flags=way.flags(stack, doors),
            before=pod.before if pod else (),
        )
        await started.enter_async_context(consumer)
        found = Caller(stack, way, consumer, sidecar)
        found.load.start()
        started.push_async_callback(found.load.stop)
        await until(found.is_well, within=_WARM, pause=0.1)  # before the next one takes the processor
        yield found


def _make_folder(folder: Path) -> None:
    """The sidecar may write there, whoever it is."""
    folder.mkdir(parents=True)
    os.chown(folder, SIDECAR_USER, SIDECAR_USER)


def _configuration(registry: str, doors: Doors, retry: Mapping[str, Any]) -> dict[str, Any]:
    """JSON is YAML."""
    return {
        "version": 1,
        "nacos": {"server_addresses": registry, "snapshot_dir": "last-good"},
        "admin": {"listen": f"127.0.0.1:{doors.admin}"},
        "access_log": {"format": "json", "path": "access.log"},
        "defaults": {"retry": dict(retry)},
    }


def _redirecting(sidecar: SidecarProcess) -> list[str]:
    """The command that puts the rules in force."""
    command = [sys.executable, "-m", "sidecar", "iptables", "-c", str(sidecar.config)]
    return [*command, "--apply", "--uid", str(SIDECAR_USER)]
