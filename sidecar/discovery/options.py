"""How to reach the registry: the `nacos:` section of the configuration, as frozen values. Durations are seconds."""

import enum
import re
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.cluster.policy import Range
from sidecar.discovery.credentials import AccessKey, User

DEFAULT_PORT = 8848
DEFAULT_BACKOFF = Range(0.1, 5.0)
_ADDRESS = re.compile(r"(?:\[(?P<bracketed>[0-9a-fA-F:.%]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Server:
    """One registry node: people know it by its HTTP port, lists come from its gRPC port."""

    host: str
    port: int
    grpc_port: int
    address: str | None = None
    """One of those that `host` stands for, once it has been chosen: a node of its own."""

    @classmethod
    def parse(cls, text: str, *, grpc_port_offset: int) -> "Server":
        """Reads `host[:port]`; schemes, paths and ports beyond 65535 are a ValueError."""
        found = _ADDRESS.fullmatch(text.strip())
        port = int(found["port"] or DEFAULT_PORT) if found else 0
        if found is None or not 0 < port <= 65535 or port + grpc_port_offset > 65535:
            raise ValueError(f"expected host or host:port, got {text!r}")
        return cls(found["bracketed"] or found["host"], port, port + grpc_port_offset)

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"

    def at(self, address: str | None) -> "Server":
        """The same name at this address, or at any."""
        return replace(self, address=address)

    @property
    def dialled(self) -> str:
        """What a connect goes to."""
        return self.address or self.host

    @property
    def grpc_target(self) -> str:
        """`host:port` as gRPC wants it; a name is resolved there."""
        return f"{_bracketed(self.dialled)}:{self.grpc_port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class Transport(enum.Enum):
    """How lists are had."""

    AUTO = "auto"
    GRPC = "grpc"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS towards the registry: no `ca_file` = the system's, no `server_name` = the host dialled."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    verify: bool = True
    http: bool = True
    """On the HTTP port as well: a server of 2.x or 3.x may have it on the gRPC port alone."""


@dataclass(frozen=True, slots=True)
class NacosOptions:
    """One registry, its clocks, and where the last-good lists are kept."""

    server_addresses: tuple[str, ...] = (f"127.0.0.1:{DEFAULT_PORT}",)
    transport: Transport = Transport.AUTO
    grpc_port_offset: int = 1000
    context_path: str = "/nacos"
    namespace: str = "public"
    user: User | None = None
    access_key: AccessKey | None = None
    tls: Tls | None = None
    app_name: str = "nacos-sidecar"
    open_timeout: float = 5.0
    request_timeout: float = 1.0
    liveness_interval: float = 3.0
    reconcile_interval: float = 30.0
    poll_interval: float = 2.0
    reconnect_backoff: Range = DEFAULT_BACKOFF
    snapshot_dir: Path | None = None
    snapshot_max_age: float = 24 * 3600.0

    @property
    def servers(self) -> tuple[Server, ...]:
        """Every address once, in the order given."""
        parsed = (Server.parse(text, grpc_port_offset=self.grpc_port_offset) for text in self.server_addresses)
        return tuple(dict.fromkeys(parsed))
