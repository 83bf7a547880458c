"""What the story plays on: an embedded registry, three providers and a sidecar, each a process of its own."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from sidecar.demo.controls import Admin, Registry
from sidecar.demo.processes import Stage, free_ports

SERVICE = "order-service"
PROVIDERS = 3

_REGISTRY_SAYS = re.compile(r"HTTP on (\S+),")
_SIDECAR_SAYS = re.compile(r" listening name=(\S+) address=(\S+)")

_CONFIG = """\
version: 1
listen: null
nacos: {{server_addresses: "{registry}"}}
admin: {{listen: "127.0.0.1:0"}}
services:
  - name: {service}
    listen: 127.0.0.1:0
    required: true
"""


@dataclass(frozen=True, slots=True)
class Provider:
    """One instance, on one port for all its lives."""

    stage: Stage
    name: str
    port: int
    registry: str

    @property
    def ids(self) -> Path:
        """Where it writes down what it executed."""
        return self.stage.folder / f"{self.name}.ids"

    def start(self) -> None:
        """Begins a life; it registers itself when it listens."""
        self.stage.start(
            self.name, "sidecar.demo.provider",
            "--port", str(self.port), "--registry", self.registry, "--service", SERVICE, "--ids", str(self.ids),
        )  # fmt: skip

    def executed(self) -> list[str]:
        """The ids of all calls, in the order of their execution."""
        return [line.partition(" ")[2] for line in self.ids.read_text().splitlines()]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything is there: the registry lists all providers, and the sidecar serves them on `listen`."""

    stage: Stage
    registry: Registry
    providers: Sequence[Provider]
    admin: Admin
    listen: str

    async def complete(self) -> bool:
        """Whether the registry lists every provider."""
        return await self.registry.listed() == len(self.providers)

    async def restart(self, provider: Provider) -> None:
        """Ends it gracefully and starts it again; returns when it is registered."""
        await self.stage.end(provider.name)
        provider.start()
        await self.stage.until(self.complete, f"{provider.name} is registered again")

    def executed(self) -> list[str]:
        """The ids of all calls that any provider executed."""
        return [request_id for provider in self.providers for request_id in provider.executed()]

    def invitation(self) -> str:
        """What a user may try while everything runs."""
        victim = self.providers[0]
        return (
            "everything keeps running until Ctrl-C; in another terminal try\n"
            f"  curl http://{self.listen}/echo/1                a call through the sidecar\n"
            f"  nacos-sidecar status --admin {self.admin.address}   what the sidecar knows\n"
            f"  kill -9 {self.stage.pid(victim.name):<7}                                {victim.name} dies\n"
            f"  curl http://{self.registry.address}/faults                what the registry can be told to do wrong\n"
            f"  tail -f {self.stage.folder}/sidecar.log\n"
        )


async def set_scene(stage: Stage, session: aiohttp.ClientSession, say: Callable[[str], None]) -> Scene:
    """Starts everything, and tells so; raises StageError."""
    say("starting an embedded Nacos")
    registry = await _start_registry(stage)
    say(f"starting {PROVIDERS} providers of {SERVICE}, registered by nacos-sdk-python")
    ports = free_ports(PROVIDERS)
    providers = [Provider(stage, f"provider-{n}", port, registry) for n, port in enumerate(ports, start=1)]
    for provider in providers:
        provider.start()
    say("starting the sidecar")
    listen, admin = await _start_sidecar(stage, registry)
    scene = Scene(stage, Registry(session, registry, SERVICE), providers, Admin(session, admin, SERVICE), listen)
    await stage.until(scene.complete, f"all of {SERVICE} is registered")
    await stage.until(scene.admin.ready, "the sidecar is ready")
    return scene


async def _start_registry(stage: Stage) -> str:
    """Its HTTP address."""
    stage.start("registry", "sidecar", "registry", "--listen", "127.0.0.1:0")

    def listening() -> list[str]:
        return _REGISTRY_SAYS.findall(stage.output("registry"))

    async def listens() -> bool:
        return bool(listening())

    await stage.until(listens, "the registry listens")
    return listening()[0]


async def _start_sidecar(stage: Stage, registry: str) -> tuple[str, str]:
    """The addresses of its listener for the service, and of its admin port."""
    config = stage.folder / "sidecar.yaml"
    config.write_text(_CONFIG.format(registry=registry, service=SERVICE))
    stage.start("sidecar", "sidecar", "run", "-c", str(config))

    def listening() -> dict[str, str]:
        return dict(_SIDECAR_SAYS.findall(stage.output("sidecar")))

    async def listens() -> bool:
        return {SERVICE, "admin"} <= listening().keys()

    await stage.until(listens, "the sidecar listens")
    return listening()[SERVICE], listening()["admin"]
