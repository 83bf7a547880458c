"""Each of them by its name."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from tests.peers.envoy import EnvoyPeer
from tests.peers.haproxy import HaproxyPeer
from tests.peers.nginx import NginxPeer
from tests.peers.peer import SERVICE, Peer, Services, Terms
from tests.peers.sidecar import SidecarPeer


class _Startable(Peer, Protocol):
    async def ready(self) -> None:
        """Returns when it serves."""


class _Make(Protocol):
    def __call__(self, services: Services, folder: Path, terms: Terms) -> _Startable: ...


PEERS: Mapping[str, _Make] = {
    "nginx": NginxPeer,
    "haproxy": HaproxyPeer,
    "envoy": EnvoyPeer,
    "sidecar": SidecarPeer,
}

TOOLS = ("nginx", "haproxy")
"""What the machine must have; the others come with the environment."""


@asynccontextmanager
async def started(
    name: str,
    instances: Sequence[str] | Services,
    folder: Path,
    terms: Terms = Terms(),  # noqa: B008 - it is frozen
) -> AsyncIterator[Peer]:
    """One of `PEERS`, serving; ended with the block. `folder` is where its files go, in one of its own."""
    services = instances if isinstance(instances, Mapping) else {SERVICE: instances}
    peer = PEERS[name](services, folder / name, terms)
    try:
        await peer.ready()
        yield peer
    finally:
        await peer.close()
