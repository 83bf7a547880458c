"""One address as the registry describes it, and one list of them as it arrived."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.cluster.policy import NO_METADATA


@dataclass(frozen=True, slots=True)
class Instance:
    """One `ip:port`; everything but the address may change between two lists.

    `healthy` is a hint (Nacos rewrites it under its protect threshold), `enabled` and a weight of 0 are orders.
    Those who read lists keep one object for one instance that stays as it is: five thousand comparisons then cost
    next to nothing.
    """

    host: str
    port: int
    weight: float = 1.0
    healthy: bool = True
    enabled: bool = True
    cluster: str = "DEFAULT"
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA, hash=False)
    name: str | None = None
    """The host name that stands for the address in a static list: what a certificate is for."""
    address: str = field(init=False, repr=False, compare=False)
    """`ip:port`, IPv6 in brackets: the identity of an endpoint."""

    def __post_init__(self) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        object.__setattr__(self, "address", f"{host}:{self.port}")

    def __hash__(self) -> int:
        return hash(self.address)  # text knows its hash, and no list has many instances at one address


class Origin(enum.Enum):
    """Where a list came from."""

    NACOS = "nacos"
    DISK = "disk"
    STATIC = "static"


class Via(enum.Enum):
    """How a list of the registry reached us."""

    PUSH = "push"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Push:
    """One list of one service as it arrived, before any filter.

    `service` is the name in the YAML. `epoch` is the running number of the registry session (0 for disk and
    static), `sequence` grows with every list of the process: order is (epoch, sequence), never the server's clock.
    `protect` is the registry's reachProtectionThreshold: None where the message cannot tell (a push has no such flag).
    `age` is for how many seconds the registry had not been heard when the list arrived: of one from disk, else 0.
    """

    service: str
    instances: tuple[Instance, ...]
    origin: Origin
    epoch: int = 0
    sequence: int = 0
    via: Via = Via.PUSH
    protect: bool | None = None
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Silence:
    """No other node answered anything, not even an error, when one was asked for its list of `service`.

    `asked_at` is loop time in seconds; `servers` are those that were tried.
    """

    service: str
    servers: tuple[str, ...]
    asked_at: float


class View(enum.Enum):
    """Which list of a registry node is asked for while a list is doubted."""

    OFFERED = "offered"
    """What the node gives its clients: asked of another node than the session's, as a second opinion."""
    EVERYTHING = "everything"
    """What the node shows administrators: on it stands, too, what is switched off."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a registry node answered to a question that a doubt had raised, before any filter.

    `asked_at` is loop time in seconds. Unlike a push it puts nothing in force: it may only end holds.
    """

    service: str
    view: View
    server: str
    instances: tuple[Instance, ...]
    asked_at: float
    protect: bool | None = None
