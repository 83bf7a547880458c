"""One service as the data path sees it: what the cluster believes, plus the connections, the queue and the budget."""

import asyncio
import math
import socket
from collections.abc import Callable, Sequence

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.events import Event
from sidecar.cluster.policy import HostHeader, NonIdempotent, RetryOn, ServicePolicy
from sidecar.cluster.retry import RetryBudget
from sidecar.proxy import connect
from sidecar.proxy.connect import ProtocolT
from sidecar.proxy.http1.pool import TRUSTED, Pool
from sidecar.proxy.http1.request import RequestHead
from sidecar.proxy.http1.upstream import InstanceConnection
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.trust import Trust
from sidecar.proxy.waiting import WaitingRoom

_UNUSED = frozenset({State.DRAINING, State.DISABLED, State.UNHEALTHY, State.QUARANTINED})
"""States whose endpoints get no requests for a while: idle connections to them are closed."""


class Upstream:
    """One service under one policy. A reload makes a new one; requests in flight end under the old."""

    __slots__ = (
        "_dialling",
        "_endpoint_host",
        "_fixed_host",
        "_wake_is_due",
        "adds_fields",
        "budget",
        "changes_head",
        "cluster",
        "leaving_header",
        "looks_for_proof",
        "max_requests",
        "name",
        "patience",
        "per_try",
        "policy",
        "pool",
        "runtime",
        "stats",
        "trust",
        "waiting",
    )

    def __init__(
        self, cluster: Cluster, runtime: Runtime, policy: ServicePolicy | None = None, trust: Trust | None = None
    ) -> None:
        """`policy`: that of a configuration which is not in force yet; default: the cluster's. `trust`: of its `tls`."""
        self.cluster = cluster
        self.runtime = runtime
        self.policy = policy or cluster.policy
        self.trust = trust
        self.name = cluster.name.encode()
        self.stats = cluster.stats
        retries_lost = RetryOn.RESET_BEFORE_RESPONSE in self.policy.retry.retry_on
        self.pool: Pool[InstanceConnection] = Pool(
            self.policy.keepalive, self.stats, runtime.wheel, trust=TRUSTED if retries_lost else 0.0
        )
        self.waiting = WaitingRoom(self.policy.wait_for_instance.max_queued)
        self.budget = RetryBudget(self.policy.retry.budget)
        host = self.policy.host_header
        self._fixed_host = None if isinstance(host, HostHeader) else host.encode("latin-1")
        self._endpoint_host = host is HostHeader.ENDPOINT
        # What every request asks, read out of the policy once.
        marker = self.policy.outlier_detection.leaving_header
        self.leaving_header = marker.encode("latin-1") if marker else None
        self.changes_head = self._fixed_host is not None or self._endpoint_host or self.policy.via
        """Instances do not see the head just as the app meant it."""
        self.adds_fields = self.policy.via or self.policy.debug_headers
        self.max_requests = self.policy.circuit_breakers.max_requests
        self.per_try = self.policy.retry.per_try_timeout
        self.looks_for_proof = trust is None and self.policy.retry.non_idempotent is NonIdempotent.PROVEN_UNDELIVERED
        limits = (self.policy.timeouts.response, self.policy.timeouts.idle)
        self.patience = min((limit for limit in limits if limit is not None), default=math.inf)
        """Seconds that a request without a body may take to be answered."""
        self._wake_is_due = False
        self._dialling: set[object] = set()

    def __repr__(self) -> str:
        return f"<Upstream {self.cluster!r}, {self.pool!r}, {self.waiting!r}>"

    @property
    def saturated(self) -> bool:
        """As many requests are at instances as `max_requests` allows."""
        return self.stats.requests_in_flight - self.stats.waiting >= self.max_requests

    def host_for(self, endpoint: Endpoint, request: RequestHead) -> bytes:
        """What the instance sees as Host."""
        if self._fixed_host is not None:
            return self._fixed_host
        if self._endpoint_host:
            return endpoint.address.encode()
        return self.name if request.authority is None else request.authority

    async def dial(self, endpoint: Endpoint) -> InstanceConnection:
        """A new connection, not yet in use; raises connect.DialError."""

        def factory(sock: socket.socket) -> InstanceConnection:
            return InstanceConnection(self, endpoint, sock)

        connection = await self.connect(endpoint, factory)
        connection.count()
        return connection

    async def connect(
        self, endpoint: Endpoint, factory: Callable[[socket.socket], ProtocolT], *, bare: bool = False
    ) -> ProtocolT:
        """A dial that takes a place among the service's connections while it lasts; raises connect.DialError.

        `bare`: without TLS in any case, since the app itself speaks what the instance does.
        """
        task = asyncio.current_task()
        self._dialling.add(task)
        try:
            return await self.open(endpoint, factory, bare=bare)
        finally:
            self._dialling.discard(task)

    async def open(self, endpoint: Endpoint, factory: Callable[[socket.socket], ProtocolT], *, bare: bool) -> ProtocolT:
        """The dial itself; raises connect.DialError."""
        wrap = None if self.trust is None or bare else self.trust.towards(endpoint)
        return await connect.dial(endpoint.host, endpoint.port, self.policy.timeouts.connect, factory, wrap)

    def count_dial(self, task: "asyncio.Task[None]") -> None:
        """Takes a place for the connection of a task that is about to call `dial`, however that ends.

        Requests of one turn of the loop all ask for room before the first of their tasks runs.
        """
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    def has_room(self) -> bool:
        """Whether one more connection may be opened; an idle one gives way if need be."""
        if self.stats.instance_connections + len(self._dialling) < self.policy.circuit_breakers.max_connections:
            return True
        return self.pool.make_room()

    def ended_idle(self, connection: InstanceConnection) -> None:
        """An idle connection ended: the instance's idle limit is shorter than we knew, or it goes away."""
        now = self.runtime.now()
        self.pool.remove(connection.endpoint, connection)
        self.pool.closed_at(connection.endpoint, now - connection.idle_since, now)

    def tell(self, events: Sequence[Event]) -> None:
        """Passes on what a report brought about, and looks soon at what it changed."""
        if events:
            self.runtime.emit(events)
            self.wake_soon()

    def wake_soon(self) -> None:
        """Not at once: who asks is in the middle of its own request."""
        if not self._wake_is_due:
            self._wake_is_due = True
            self.runtime.loop.call_soon(self._wake_now)

    def count_waiting(self, more: int) -> None:
        """Somebody entered the queue (1) or left it (-1); while anybody waits the cluster's probes hurry."""
        self.stats.waiting += more
        self.cluster.waiting += more

    def wake(self, now: float) -> None:
        """After any event of the cluster: waiters go, connections nobody needs close, stalled requests move."""
        self.pool.keep_only(self._in_use)
        self._move_stalled(now)
        if self.waiting:
            self.waiting.release(now, lambda: self.cluster.usable(now) and not self.saturated)

    def close(self) -> None:
        """The service is gone from the configuration; requests in flight finish."""
        self.pool.close()

    def _wake_now(self) -> None:
        self._wake_is_due = False
        self.wake(self.runtime.now())

    def _in_use(self, endpoint: Endpoint) -> bool:
        return endpoint.state not in _UNUSED and self.cluster.endpoints.get(endpoint.address) is endpoint

    def _move_stalled(self, now: float) -> None:
        if self.cluster.stalling:
            for connection in self.runtime.connections:
                connection.look_for_stall(self, now)
