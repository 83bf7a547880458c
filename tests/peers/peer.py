"""What every proxy of the comparison can do, and what all are asked alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Services = Mapping[str, Sequence[str]]
"""Instances (`ip:port`) by the name of their service, which is the Host that means it; with one service any Host does."""

SERVICE = "instances"
"""The name of one that needs none."""


@dataclass(frozen=True, slots=True)
class Terms:
    """For every proxy alike: the defaults of the sidecar, times in seconds."""

    connect: float = 1.0
    """To one instance."""
    answer: float = 60.0
    """To the head of an answer."""
    idle: float = 15.0
    """That a connection to an instance is kept without use."""
    relay: bool = False
    """Connections are carried, not requests: of the first service, whatever protocol it speaks."""
    repeat_500: bool = False
    """An idempotent request that was answered 500 is asked of another instance, as one answered 503 always is."""
    by_host: bool = False
    """Requests come where those for several services do, even where there is one."""


class Peer(Protocol):
    """A proxy that runs."""

    name: str
    version: str
    port: int
    """Where the app calls it, on 127.0.0.1."""
    scrape: tuple[int, str]
    """Port and path of its metrics."""

    @property
    def pids(self) -> list[int]:
        """The processes that do the work, the one that was started first."""

    async def use(self, instances: Sequence[str], service: str = SERVICE) -> None:
        """Other instances (`ip:port`) from now on; returns when the proxy has the list."""

    async def close(self) -> None:
        """Ends it."""


def parted(instance: str) -> tuple[str, int]:
    """Host and port."""
    host, _, port = instance.rpartition(":")
    return host, int(port)
