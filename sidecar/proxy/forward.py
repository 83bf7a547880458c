"""Requests that name no service, sent to the very host that they name, as a plain forward proxy does.

**Why.** A JVM that is told of a proxy sends all of its plain HTTP calls there, those too that have nothing to do with the
registry. They must work as they did.

**How.** Each host is a service of its own, without a name: one endpoint that is always tried, one dial a request, never
a second attempt, no connection kept for later (what idles in a pool may be closed just when it is used, and only the
app could know whether to repeat). Limits are generous, since nothing is known of the host.

**Never an open proxy.** Only the app beside us is served: listener and peer are on loopback, which the configuration
and the listener see to. A host that turns out to be ourselves is refused: the shared listener would call itself, and
the admin port trusts whoever comes from loopback.
"""

import asyncio
import socket
from collections.abc import Callable

from sidecar.clock import Rng
from sidecar.cluster.addresses import ip_of, parted
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import (
    CircuitBreakers,
    Keepalive,
    OutlierDetection,
    Retry,
    ServicePolicy,
    Timeouts,
    WaitForInstance,
)
from sidecar.errors import FAILURES, Failure
from sidecar.proxy import connect
from sidecar.proxy.connect import DialError, ProtocolT, failure_of
from sidecar.proxy.ourselves import Ourselves
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.sockets import set_black_hole_limit
from sidecar.proxy.upstream import Upstream
from sidecar.tasks import spawn

_SHARED = 1 << 20
"""Connections and requests to all hosts together: descriptors end before."""

POLICY = ServicePolicy(
    name="-",
    outlier_detection=OutlierDetection(
        quarantine_on_connect_failure=False,
        consecutive_5xx=None,
        consecutive_gateway_failure=None,
        leaving_signals=False,
        stall_after=None,
    ),
    retry=Retry(num_retries=0, retry_on=frozenset()),
    wait_for_instance=WaitForInstance(timeout=0.0),
    timeouts=Timeouts(connect=5.0, response=None, idle=3600.0),
    circuit_breakers=CircuitBreakers(max_connections=_SHARED, max_requests=_SHARED),
    keepalive=Keepalive(idle_timeout=0.0),
)
"""A host may be far away and slow; who waits for it is the app, as without us."""

RESOLVED_FOR = 10.0
"""Seconds for which a name is not asked for again: the app's own cache, which it needs no more, keeps it for thirty."""

_HOSTS = 256
"""Hosts that are known at a time: an app calls a few, and one that invents them must not fill the memory."""


class Forward:
    """The hosts called lately."""

    __slots__ = ("_hosts", "_ourselves", "_policy", "_rng", "_runtime")

    def __init__(self, runtime: Runtime, rng: Rng, ourselves: Ourselves, policy: ServicePolicy = POLICY) -> None:
        self._runtime = runtime
        self._rng = rng
        self._ourselves = ourselves
        self._policy = policy
        self._hosts: dict[bytes, Elsewhere] = {}

    def __repr__(self) -> str:
        return f"<Forward to {len(self._hosts)} hosts>"

    def towards(self, authority: bytes) -> Upstream | None:
        """The host of an absolute-form target; None when it cannot be one."""
        host = self._hosts.get(authority)
        if host is None:
            instance = _instance(authority.decode("latin-1"))
            if instance is None:
                return None
            if len(self._hosts) >= _HOSTS:
                self._hosts.clear()
            now = self._runtime.now()
            cluster = Cluster(self._policy, rng=self._rng, now=now, stats=self._runtime.stats.unrouted)
            cluster.apply(Push(self._policy.name, (instance,), Origin.STATIC), now)
            host = self._hosts[authority] = Elsewhere(cluster, self._runtime, self._ourselves)
        return host


class Elsewhere(Upstream):
    """One host that is none of our services."""

    __slots__ = ("_address", "_asked_at", "_asking", "_ourselves")

    def __init__(self, cluster: Cluster, runtime: Runtime, ourselves: Ourselves) -> None:
        super().__init__(cluster, runtime)
        self.pool.close()  # nothing idles here, and counters that are everybody's must not keep a pool for each host
        self._ourselves = ourselves
        self._address: str | None = None
        self._asked_at = 0.0
        self._asking: asyncio.Task[str | Failure] | None = None
        """The question for its name that is under way: everybody waits for that one, for few can be asked at a time."""

    async def open(self, endpoint: Endpoint, factory: Callable[[socket.socket], ProtocolT], *, bare: bool) -> ProtocolT:
        """Asks for the name, if it is one, and dials what is found first; raises DialError."""
        del bare  # there is no other way
        if self.cluster.next_due <= self.runtime.now():
            self.cluster.tick(self.runtime.now())  # nobody else drives it
        loop, within = asyncio.get_running_loop(), self.policy.timeouts.connect
        until = loop.time() + within
        try:
            async with asyncio.timeout(within):
                host = await self._resolve(endpoint)
        except TimeoutError as error:
            raise DialError(failure_of(error)) from error
        if isinstance(host, Failure):
            raise DialError(host)
        if self._ourselves.is_at(host, endpoint.port):
            raise DialError(FAILURES["no_service"])

        def unhurried(sock: socket.socket) -> ProtocolT:
            set_black_hole_limit(sock, 0)  # a host far away may be cut off for longer than an instance next door
            return factory(sock)

        try:
            return await connect.dial(host, endpoint.port, until - loop.time(), unhurried)
        except DialError:
            self._address = None
            raise

    async def _resolve(self, endpoint: Endpoint) -> str | Failure:
        if self._address is not None and self.runtime.now() - self._asked_at < RESOLVED_FOR:
            return self._address
        if self._asking is None:
            self._asking = spawn(self._ask(endpoint), name="resolve a host")
        return await asyncio.shield(self._asking)

    async def _ask(self, endpoint: Endpoint) -> str | Failure:
        """On nobody's behalf: whoever gives up waiting does not end it."""
        try:
            self._address = await _first_address(endpoint.host, endpoint.port)
            self._asked_at = self.runtime.now()
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that no resolver is asked for
            return failure_of(error)
        else:
            return self._address
        finally:
            self._asking = None


async def _first_address(host: str, port: int) -> str:
    """In a thread, where it is a name; an IPv4 address if there is one, as a JVM has it."""
    if ip_of(host) is not None:
        return host
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    family = min(family for family, *_ in found)  # AF_INET is the lower number
    return next(str(address[0]) for one, *_, address in found if one == family)


def _instance(authority: str) -> Instance | None:
    host, port = parted(authority)
    return Instance(host, port) if host and 0 < port <= 65535 else None
