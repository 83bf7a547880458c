"""The real servers behind the façade, and which of them comes first. What to connect with is the application's to know."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sidecar.clock import Rng


class Node(Protocol):
    """One server of the registry: `str()` is its HTTP address."""

    @property
    def host(self) -> str:
        """A name or an address, IPv6 without brackets."""
        ...

    @property
    def port(self) -> int:
        """That of its HTTP interface."""
        ...

    @property
    def grpc_target(self) -> str:
        """`host:port` of its gRPC interface."""
        ...


class Trusted(Protocol):
    """What a gRPC channel with TLS is made of: PEM texts, and the name to check."""

    @property
    def roots(self) -> bytes | None: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def chain(self) -> bytes | None: ...
    @property
    def name(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Tls:
    """How servers are spoken to in TLS; both raise where files will not do, or a server cannot be asked."""

    trust: Callable[[Node], Awaitable[Trusted]]
    context: Callable[[], ssl.SSLContext] | None
    """For the HTTP port; None: that one is plain. Reads files: not on the event loop."""
    server_name: str | None = None


class Registry:
    """The nodes, in an order shuffled once: one that fails goes to the end."""

    def __init__(self, nodes: Sequence[Node], tls: Tls | None, *, rng: Rng) -> None:
        self.tls = tls
        self.rng = rng
        self._nodes = sorted(nodes, key=lambda _: rng.random())

    def __repr__(self) -> str:
        return f"<Registry {', '.join(map(str, self._nodes))}>"

    def in_turn(self) -> tuple[Node, ...]:
        """The one to try first comes first."""
        return tuple(self._nodes)

    def failed(self, node: Node) -> None:
        """Another one is to be tried first."""
        if self._nodes and self._nodes[0] is node:
            self._nodes.append(self._nodes.pop(0))

    def took(self, node: Node) -> None:
        """It takes clients: it is to be tried first."""
        self._nodes.sort(key=lambda one: one is not node)

    def prefer(self, host: str, port: object) -> None:
        """A server recommends that one, if we know it."""
        self._nodes.sort(key=lambda node: (node.host, str(node.port)) != (host, str(port)))
