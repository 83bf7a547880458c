"""The whole surface of the YAML: names, types, defaults and descriptions. The JSON Schema is drawn from here."""

from typing import Annotated, Literal

from pydantic import Field

from sidecar.cluster.events import Level
from sidecar.cluster.policy import Range
from sidecar.config import kinds
from sidecar.config.address import Address
from sidecar.config.kinds import (
    AnyText,
    Backoff,
    Boolean,
    Duration,
    DurationOrZero,
    File,
    Listen,
    Ratio,
    Secret,
    Server,
    Text,
    members,
    whole,
    words,
)
from sidecar.config.section import AtLeastOne, CommaList, Section
from sidecar.config.service import Service, ServiceDefaults, Tls

REMOTE_PATHS = (
    "index",
    "healthz",
    "readyz",
    "metrics",
    "clusters",
    "events",
    "config_dump",
    "server_info",
    "help",
    "logging",
)
"""What `admin.allow_remote` may name: every GET endpoint, by its path; `index` is `/`."""


class Facade(Section):
    """A Nacos address for the app."""

    listen: Listen = Field(
        Address("127.0.0.1", 18848), description="HTTP address that the app takes for a Nacos server"
    )
    grpc_port_offset: Annotated[int, whole(0, 60000)] = Field(1000, description="distance of its gRPC port")
    lists: Annotated[Literal["guarded", "sidecar"], words("guarded", "sidecar")] = Field(
        "guarded", description="what the app is told: the protected instances, or the sidecar itself"
    )


class NacosTls(Tls):
    """TLS towards the registry's servers, which have it switched on for each of their ports apart."""

    http: Boolean = Field(True, description="on the HTTP port as well; false = that one is plain")


class Nacos(Section):
    """The registry."""

    server_addresses: Annotated[tuple[Server, ...], AtLeastOne(), CommaList()] = Field(
        (Address("127.0.0.1", 8848),), description="servers as a list or with commas; port 8848 unless given"
    )
    transport: Annotated[Literal["auto", "grpc", "http"], words("auto", "grpc", "http")] = Field(
        "auto", description="how lists are had; auto = gRPC, HTTP polling from servers of 1.x"
    )
    grpc_port_offset: Annotated[int, whole(0, 60000)] = Field(1000, description="distance of a server's gRPC port")
    context_path: AnyText = Field("/nacos", description="what the HTTP API's paths begin with")
    namespace: AnyText = Field("public", description="id of the namespace")
    username: Text | None = Field(None, description="login name; null = no login")
    password: Secret | None = Field(None, description="login password; better in password_file or NACOS_PASSWORD")
    password_file: File | None = Field(None, description="file with the password, read anew at each login")
    access_key: Text | None = Field(None, description="key id that requests are signed with")
    secret_key: Secret | None = Field(None, description="signing key; better in secret_key_file or NACOS_SECRET_KEY")
    secret_key_file: File | None = Field(None, description="file with the signing key")
    tls: NacosTls | None = Field(None, description="TLS towards the servers; null = plain")
    app_name: Text = Field("nacos-sidecar", description="how we appear among a service's subscribers")
    open_timeout: Duration = Field(5.0, description="dialling a server until every service is subscribed")
    request_timeout: Duration = Field(1.0, description="one query or login")
    liveness_interval: Duration = Field(3.0, description="pause between queries of services in turn: proof of life")
    reconcile_interval: Duration = Field(30.0, description="every service is queried at least this often")
    poll_interval: Duration = Field(2.0, description="with HTTP polling: pause between queries of one service")
    reconnect_backoff: Backoff = Field(Range(0.1, 5.0), description="pauses between attempts to open a session")
    snapshot_dir: File | None = Field(None, description="folder for the last good lists; null = nothing on disk")
    snapshot_max_age: Duration = Field(86400.0, description="older files in it are not used")


class Admin(Section):
    """The operator's port."""

    listen: Listen = Field(Address("0.0.0.0", 19901), description="address of the admin endpoint")
    allow_remote: tuple[Annotated[str, words(*REMOTE_PATHS)], ...] = Field(
        ("healthz", "readyz", "metrics"), description="GET endpoints that peers off loopback may read"
    )
    per_endpoint_metrics: Boolean = Field(False, description="export sidecar_endpoint_* as well")
    max_endpoint_series: Annotated[int, whole(1, 100_000)] = Field(
        1000, description="endpoints exported at most; the rest is only counted"
    )


class AccessLog(Section):
    """One line a request."""

    format: Annotated[Literal["text", "json"], words("text", "json")] = Field("text", description="form of a line")
    path: Annotated[str, kinds.OUTPUT] = Field("stdout", description="stdout, stderr, none or a file")
    sample: Ratio = Field(1.0, description="share of unremarkable lines that are written")
    only_errors: Boolean = Field(False, description="leave unremarkable lines out altogether")
    query: Boolean = Field(False, description="log paths with their query")


class Logging(Section):
    """The event log, on stderr."""

    level: Annotated[Level, members(Level)] = Field(Level.INFO, description="least level that is written")
    format: Annotated[Literal["text", "json"], words("text", "json")] = Field("text", description="form of a line")


class Drain(Section):
    """The way out."""

    timeout: Duration = Field(25.0, description="longest drain; keep it below the pod's grace period")
    quiet: Duration = Field(1.0, description="time without a connection of the app that ends it early")


class Config(Section):
    """A whole file."""

    version: Annotated[Literal[1], kinds.VERSION] = Field(description="version of this format")
    listen: Listen | None = Field(
        Address("127.0.0.1", 15001), description="shared HTTP listener, routing by Host or absolute URL; null = none"
    )
    unmatched: Annotated[Literal["refuse", "forward"], words("refuse", "forward")] = Field(
        "refuse", description="absolute-form request for no service of ours: 502, or sent to where it says"
    )
    address_memory: DurationOrZero = Field(
        600.0, description="how long a departed ip:port still names its service; 0s = off"
    )
    transparent: Listen | None = Field(None, description="listener for redirected connections; null = none")
    facade: Facade | None = Field(None, description="a Nacos address for the app; null = none")
    nacos: Nacos = Field(Nacos(), description="the registry; unused when every service is static")
    admin: Admin = Field(Admin(), description="the operator's port")
    access_log: AccessLog = Field(AccessLog(), description="one line a request")
    logging: Logging = Field(Logging(), description="the event log, on stderr")
    drain: Drain = Field(Drain(), description="the way out after SIGTERM")
    defaults: ServiceDefaults = Field(
        ServiceDefaults(), description="values for every service that has none of its own"
    )
    services: Annotated[tuple[Service, ...], AtLeastOne()] = Field(description="what the app calls")
