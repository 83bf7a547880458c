"""How the operator wants one service to be treated: frozen values, one class a section of the YAML.

Durations are seconds, sizes bytes, ratios 0..1. `None` means: switched off. The defaults stand here once more
so that a test can write only what it is about; `config` checks that both agree.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

NO_METADATA: Mapping[str, str] = MappingProxyType({})


class Protocol(enum.Enum):
    """What is spoken on a service's listener."""

    HTTP1 = "http1"
    TCP = "tcp"


class Balancing(enum.Enum):
    """How one of several equal endpoints is chosen."""

    LEAST_REQUEST = "least_request"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"


class OnEmpty(enum.Enum):
    """What an empty list means."""

    HOLD = "hold"
    OBEY = "obey"


class Probe(enum.Enum):
    """How held and quarantined endpoints are asked."""

    TCP = "tcp"
    NONE = "none"


class NonIdempotent(enum.Enum):
    """When a POST may be sent again after a lost connection."""

    NEVER = "never"
    PROVEN_UNDELIVERED = "proven-undelivered"


class OnAmbiguous(enum.Enum):
    """What the app gets for a lost request that may have been executed."""

    ANSWER_502 = "502"
    CLOSE = "close"


class RetryOn(enum.Enum):
    """Kinds of failed attempts that may be tried again."""

    CONNECT_FAILURE = "connect-failure"
    RESET_BEFORE_RESPONSE = "reset-before-response"
    RETRIABLE_5XX = "retriable-5xx"
    STALL = "stall"
    GATEWAY_ERROR = "gateway-error"
    ANY_5XX = "any-5xx"
    RESPONSE_TIMEOUT = "response-timeout"


@dataclass(frozen=True, slots=True)
class Range:
    """A back-off that doubles from `low` to `high`, seconds."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Discovery:
    """Which instances of which registry service belong to us; `static` excludes the rest."""

    service: str = ""
    group: str = "DEFAULT_GROUP"
    clusters: tuple[str, ...] = ()
    healthy_only: bool = True
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA, hash=False)
    static: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Protection:
    """Which absences are doubted, and for how long."""

    on_empty: OnEmpty = OnEmpty.HOLD
    shrink_threshold: float = 0.5
    confirm: float = 60.0
    max_hold: float = 600.0
    probe: Probe = Probe.TCP
    probe_interval: float = 1.0
    second_opinion: bool = True


@dataclass(frozen=True, slots=True)
class LoadBalancing:
    """How an endpoint is chosen."""

    policy: Balancing = Balancing.LEAST_REQUEST
    prefer_cluster: str | None = None
    slow_start: float = 30.0


class AllButOne(enum.Enum):
    """The default of `max_ejected`."""

    ALL_BUT_ONE = "all-but-one"


@dataclass(frozen=True, slots=True)
class Share:
    """A percentage of the endpoints, 0..100, rounded down, at least one."""

    percent: float


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """When an endpoint is taken out, and when it may come back."""

    quarantine_on_connect_failure: bool = True
    probe_backoff: Range = Range(0.1, 30.0)
    consecutive_5xx: int | None = 5
    consecutive_gateway_failure: int | None = 3
    success_rate_threshold: float | None = None
    leaving_signals: bool = True
    leaving_header: str | None = None
    stall_after: float | None = 1.0
    base_ejection_time: float = 30.0
    max_ejection_time: float = 300.0
    max_ejected: AllButOne | int | Share = AllButOne.ALL_BUT_ONE


@dataclass(frozen=True, slots=True)
class Budget:
    """Retries that may have reached an instance: a share of requests plus a floor, over the last 10 s."""

    percent: float = 20.0
    min_per_second: float = 10.0


@dataclass(frozen=True, slots=True)
class Retry:
    """What may be tried again."""

    num_retries: int = 2
    retry_on: frozenset[RetryOn] = frozenset(
        {RetryOn.CONNECT_FAILURE, RetryOn.RESET_BEFORE_RESPONSE, RetryOn.RETRIABLE_5XX, RetryOn.STALL}
    )
    non_idempotent: NonIdempotent = NonIdempotent.PROVEN_UNDELIVERED
    on_ambiguous: OnAmbiguous = OnAmbiguous.ANSWER_502
    budget: Budget = Budget()
    per_try_timeout: float | None = None
    replay_buffer: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class WaitForInstance:
    """How long, and how many, requests are held while nothing is usable; timeout 0: answered at once."""

    timeout: float = 3.0
    max_queued: int = 1024


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Clocks of one request, seconds."""

    connect: float = 1.0
    request_head: float = 30.0
    response: float | None = 60.0
    idle: float | None = 300.0


@dataclass(frozen=True, slots=True)
class CircuitBreakers:
    """Upper bounds of one service."""

    max_connections: int = 1024
    max_requests: int = 1024


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Reuse of connections; idle_timeout 0: no pooling."""

    idle_timeout: float = 15.0
    non_idempotent_max_idle: float = 1.0
    max_idle_per_endpoint: int = 32
    app_idle_timeout: float = 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on message heads, requests and responses alike."""

    max_header_bytes: int = 64 * 1024
    max_headers: int = 128


class HostHeader(enum.Enum):
    """What an instance sees as Host, besides a literal text."""

    PRESERVE = "preserve"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to instances: whom to trust (`ca_file` None: whom the system trusts), what to show, whom to ask for."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """All that the operator said about one service."""

    name: str
    protocol: Protocol = Protocol.HTTP1
    listen: str | None = None
    hosts: tuple[str, ...] = ()
    discovery: Discovery = field(default_factory=Discovery)
    protection: Protection = Protection()
    load_balancing: LoadBalancing = LoadBalancing()
    outlier_detection: OutlierDetection = OutlierDetection()
    retry: Retry = Retry()
    wait_for_instance: WaitForInstance = WaitForInstance()
    timeouts: Timeouts = Timeouts()
    circuit_breakers: CircuitBreakers = CircuitBreakers()
    keepalive: Keepalive = Keepalive()
    host_header: HostHeader | str = HostHeader.PRESERVE
    limits: Limits = Limits()
    tls: Tls | None = None
    via: bool = False
    debug_headers: bool = False
    required: bool = True
