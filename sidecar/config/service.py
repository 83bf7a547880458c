"""One entry of `services:`, and `defaults:`, which holds the same keys but those that name a service."""

from typing import Annotated

from pydantic import Field

from sidecar.cluster.policy import (
    AllButOne,
    Balancing,
    HostHeader,
    NonIdempotent,
    OnAmbiguous,
    OnEmpty,
    Probe,
    Protocol,
    Range,
    RetryOn,
    Share,
)
from sidecar.config import kinds
from sidecar.config.kinds import (
    AnyText,
    Backoff,
    Boolean,
    Duration,
    DurationOrZero,
    File,
    Header,
    Host,
    Listen,
    Ratio,
    Remote,
    Size,
    Text,
    members,
    number,
    whole,
)
from sidecar.config.section import AtLeastOne, Section

Count = Annotated[int, whole(1)]
CountOrZero = Annotated[int, whole(0)]


class DiscoveryDefaults(Section):
    """Which instances belong to a service, but for the service's own identity."""

    group: Text = Field("DEFAULT_GROUP", description="Nacos group")
    clusters: tuple[Text, ...] = Field((), description="Nacos clusters to take instances from; empty = every one")
    healthy_only: Boolean = Field(True, description="skip instances that Nacos reports as unhealthy")
    metadata: dict[str, AnyText] = Field({}, description="take only instances that carry every one of these values")


class RegistryName(Section):
    """What the registry calls a service."""

    service: AnyText = Field("", description="service name in Nacos; default: the entry's own name")


class Discovery(DiscoveryDefaults, RegistryName):
    """Where the instances come from: a registry service, or a fixed list."""

    static: Annotated[tuple[Remote, ...], AtLeastOne()] | None = Field(
        None, description="fixed host:port list in place of Nacos; names are looked up again every 30 s"
    )


class Protection(Section):
    """Which absences are doubted, and for how long."""

    on_empty: Annotated[OnEmpty, members(OnEmpty)] = Field(
        OnEmpty.HOLD, description="an empty list: go on with what answers, or take it at its word"
    )
    shrink_threshold: Ratio = Field(
        0.5, description="doubt a list that loses more than this share in one step; 1.0 = never"
    )
    confirm: Duration = Field(60.0, description="time after which a repeated absence counts as true")
    max_hold: Duration = Field(600.0, description="longest time that anything unlisted is kept")
    probe: Annotated[Probe, members(Probe)] = Field(
        Probe.TCP, description="check held and quarantined endpoints by a TCP connect, or not at all"
    )
    probe_interval: Duration = Field(1.0, description="pause between two probes of a held endpoint")
    second_opinion: Boolean = Field(True, description="ask another Nacos node over HTTP about a doubted list")


class LoadBalancing(Section):
    """How an endpoint is chosen."""

    policy: Annotated[Balancing, members(Balancing)] = Field(
        Balancing.LEAST_REQUEST, description="the less busy of two, smooth turns, or chance; each by Nacos weight"
    )
    prefer_cluster: Text | None = Field(None, description="Nacos cluster to stay in while it has a usable endpoint")
    slow_start: DurationOrZero = Field(30.0, description="ramp of a new endpoint from 10 % of its weight; 0s = none")


class OutlierDetection(Section):
    """When an endpoint is taken out, and when it may come back."""

    quarantine_on_connect_failure: Boolean = Field(
        True, description="one failed connect takes an endpoint out; false = it counts as a gateway failure"
    )
    probe_backoff: Backoff = Field(Range(0.1, 30.0), description="pauses between probes of a quarantined endpoint")
    consecutive_5xx: Count | None = Field(5, description="5xx answers in a row that eject; null = off")
    consecutive_gateway_failure: Count | None = Field(
        3, description="502, 503, 504, resets and time-outs in a row that eject; null = off"
    )
    success_rate_threshold: Ratio | None = Field(
        None, description="eject below this share of good answers in the last 10 s; null = off"
    )
    leaving_signals: Boolean = Field(True, description="notice endpoints that announce their end")
    leaving_header: Header | None = Field(None, description="response field whose presence announces the end as well")
    stall_after: Duration | None = Field(
        1.0, description="silence with two answers owed that means stalled; null = off"
    )
    base_ejection_time: Duration = Field(30.0, description="length of the first ejection; grows with each in a row")
    max_ejection_time: Duration = Field(300.0, description="longest ejection; not below base_ejection_time")
    max_ejected: Annotated[AllButOne | int | Share, kinds.MAX_EJECTED] = Field(
        AllButOne.ALL_BUT_ONE, description="how many may be ejected at once: all-but-one, a number, or 'N%'"
    )


class Budget(Section):
    """How many counted retries a service may spend."""

    percent: Annotated[float, number(0, 100)] = Field(20.0, description="retries per hundred requests of the last 10 s")
    min_per_second: Annotated[float, number(0)] = Field(10.0, description="retries a second that are always allowed")


class Retry(Section):
    """What may be tried again."""

    num_retries: Annotated[int, whole(0, 10)] = Field(
        2, description="further attempts that may have reached an instance; failed connects are not counted"
    )
    retry_on: tuple[Annotated[RetryOn, members(RetryOn)], ...] = Field(
        (
            RetryOn.CONNECT_FAILURE,
            RetryOn.RESET_BEFORE_RESPONSE,
            RetryOn.RETRIABLE_5XX,
            RetryOn.STALL,
        ),
        description="failures worth another attempt; also gateway-error, any-5xx, response-timeout; [] = none",
    )
    non_idempotent: Annotated[NonIdempotent, members(NonIdempotent)] = Field(
        NonIdempotent.PROVEN_UNDELIVERED, description="when a POST may follow a lost connection"
    )
    on_ambiguous: Annotated[OnAmbiguous, members(OnAmbiguous)] = Field(
        OnAmbiguous.ANSWER_502, description="a lost request that may have run: answer 502, or close on the app"
    )
    budget: Budget = Field(Budget(), description="ceiling for counted retries of this service")
    per_try_timeout: Duration | None = Field(None, description="time for one attempt within timeouts.response")
    replay_buffer: Size = Field(65536, description="request body kept for another attempt; longer ones are sent once")


class WaitForInstance(Section):
    """Requests held while nothing is usable."""

    timeout: DurationOrZero = Field(3.0, description="longest wait for a usable endpoint; 0s = answer at once")
    max_queued: CountOrZero = Field(1024, description="requests that may wait at the same time")


class Timeouts(Section):
    """Clocks of one request."""

    connect: Duration = Field(1.0, description="TCP and TLS handshake with one endpoint")
    request_head: Duration = Field(30.0, description="first to last byte of the app's request head")
    response: Duration | None = Field(
        60.0, description="request complete to response head, every attempt and wait included; null = off"
    )
    idle: Duration | None = Field(
        300.0, description="silence in both directions within an exchange; tcp: 1h; null = off"
    )


class CircuitBreakers(Section):
    """Upper bounds of one service."""

    max_connections: Count = Field(1024, description="open connections to the instances")
    max_requests: Count = Field(1024, description="requests in flight")


class Keepalive(Section):
    """Reuse of connections."""

    idle_timeout: DurationOrZero = Field(15.0, description="longest idle time of a pooled connection; 0s = no pooling")
    non_idempotent_max_idle: Duration = Field(1.0, description="a POST takes a connection idle for less, or a new one")
    max_idle_per_endpoint: CountOrZero = Field(32, description="idle connections kept to one endpoint")
    app_idle_timeout: Duration = Field(3600.0, description="idle time granted to the app's connections")


class Limits(Section):
    """Bounds on message heads."""

    max_header_bytes: Annotated[int, kinds.HEAD_SIZE] = Field(65536, description="bytes of a request or response head")
    max_headers: Annotated[int, whole(1, 1000)] = Field(128, description="fields of a request or response head")


class Tls(Section):
    """TLS towards a server."""

    ca_file: File | None = Field(None, description="trusted certificates; null = those of the system")
    cert_file: File | None = Field(None, description="our certificate")
    key_file: File | None = Field(None, description="our key")
    server_name: Text | None = Field(None, description="name to ask for and to check; null = the host dialled")
    verify: Boolean = Field(True, description="check the server's certificate")


class Identity(Section):
    """What sets a service apart; no default can say it."""

    name: Annotated[str, kinds.SERVICE_NAME] = Field(
        description="the sidecar's name for it, unique without regard to case"
    )
    listen: Listen | None = Field(None, description="a listener of its own, whatever the Host; tcp needs one")
    hosts: tuple[Host, ...] | None = Field(
        None, description="its names on the shared listener; default: name and Nacos service; [] = none"
    )


class ServiceDefaults(Section):
    """Keys that a service may have from `defaults`."""

    protocol: Annotated[Protocol, members(Protocol)] = Field(
        Protocol.HTTP1, description="what the app speaks to this service"
    )
    discovery: DiscoveryDefaults = Field(DiscoveryDefaults(), description="which instances belong to it")
    protection: Protection = Field(Protection(), description="doubt about lists that lose too much at once")
    load_balancing: LoadBalancing = Field(LoadBalancing(), description="choice of an endpoint")
    outlier_detection: OutlierDetection = Field(OutlierDetection(), description="taking bad endpoints out")
    retry: Retry = Field(Retry(), description="what is tried again")
    wait_for_instance: WaitForInstance = Field(
        WaitForInstance(), description="holding requests while nothing is usable"
    )
    timeouts: Timeouts = Field(Timeouts(), description="clocks of one request")
    circuit_breakers: CircuitBreakers = Field(CircuitBreakers(), description="upper bounds")
    keepalive: Keepalive = Field(Keepalive(), description="reuse of connections")
    host_header: Annotated[HostHeader | str, kinds.HOST_HEADER] = Field(
        HostHeader.PRESERVE, description="Host that instances see: preserve, endpoint, or a text of your own"
    )
    limits: Limits = Field(Limits(), description="bounds on message heads")
    tls: Tls | None = Field(None, description="TLS towards the instances; null = plain")
    via: Boolean = Field(False, description="add ourselves to Via in both directions")
    debug_headers: Boolean = Field(False, description="add x-sidecar-* fields to proxied answers")
    required: Boolean = Field(
        True, description="/readyz waits for the first list of this service; an empty one counts after 5 s"
    )


class Service(ServiceDefaults, Identity):
    """One upstream of the app."""

    discovery: Discovery = Field(Discovery(), description="where its instances come from")
