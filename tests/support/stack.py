"""A data path in front of scripted instances, and an app that asks it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeVar

from sidecar.cluster.addresses import Addresses
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.events import Event
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Balancing, Keepalive, LoadBalancing, ServicePolicy, Timeouts, WaitForInstance
from sidecar.errors import FAILURES
from sidecar.proxy.forward import Forward
from sidecar.proxy.http1.upstream import InstanceConnection
from sidecar.proxy.listener import Listener, OwnEntrance, SharedEntrance
from sidecar.proxy.ourselves import Ourselves
from sidecar.proxy.prober import Prober
from sidecar.proxy.routing import Router
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.trust import Trust
from sidecar.proxy.unnamed import Unnamed
from sidecar.proxy.upstream import Upstream
from sidecar.record import Record
from tests.support.scripted_peer import Talk, connected, is_reset
from tests.support.until import PATIENCE

T = TypeVar("T")


class Stack:
    """One service behind its own listener, with a ticker and probes as the application runs them."""

    def __init__(self, policy: ServicePolicy, *, own_port: int = 0) -> None:
        """`own_port`: where to listen, an address that no endpoint may have."""
        self.loop = asyncio.get_running_loop()
        self.events: list[Event] = []
        self.records: list[Record] = []
        self.runtime = Runtime(
            emit=self.events.extend,
            log=self.records.append,
            wants_record=lambda *, notable: True,
            now=self.loop.time,
        )
        own = frozenset({f"127.0.0.1:{own_port}"})
        self.addresses = Addresses(600.0)
        self.cluster = Cluster(
            policy, rng=Random(1), now=self.now, own_addresses=own, claims=self.addresses.of(policy.name)
        )
        self.trust = Trust(policy.tls) if policy.tls is not None else None
        if self.trust is not None:
            self.trust.read()
        self.upstream = Upstream(self.cluster, self.runtime, trust=self.trust)
        self.listener = Listener("orders", f"127.0.0.1:{own_port}", OwnEntrance(self.upstream), self.runtime)
        self.prober = Prober()
        self._probing: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None

    def share(self, *, forward: bool = False) -> None:
        """Instead of the service's own listener the shared one, which may send on what it does not know."""
        sent_on = Forward(self.runtime, Random(1), Ourselves(lambda: {self.port})) if forward else None
        unnamed = Unnamed(self.addresses, {self.cluster.name: self.upstream}, forward=sent_on, now=self.now)
        shared = ServicePolicy(name="-", wait_for_instance=self.cluster.policy.wait_for_instance)
        self.listener.entrance = SharedEntrance(Router({"orders": self.upstream}), shared, unnamed)

    @property
    def now(self) -> float:
        return self.loop.time()

    @property
    def port(self) -> int:
        return int((self.listener.bound or ":0").rpartition(":")[2])

    @property
    def codes(self) -> list[tuple[int, str]]:
        """(code, flags) of every request that ended, in order."""
        return [(record.code, record.flags) for record in self.records]

    def list(self, *ports: int) -> None:
        """A static list of loopback instances takes force."""
        push = Push("orders", tuple(Instance("127.0.0.1", port) for port in ports), Origin.STATIC)
        self.events.extend(self.cluster.apply(push, self.now))
        self.upstream.wake(self.now)

    def add(self, port: int, *, first: int) -> None:
        """Both are in the list, and the next request goes to `first`."""
        self.list(first, port)
        for endpoint in self.cluster.endpoints.values():
            self.cluster.probed(endpoint, None, self.now)
        turn = self.cluster.pick(self.now)
        if turn is not None:
            self.cluster.report_failure(turn, FAILURES["app_left"], self.now)
        if turn is not None and turn.port == first:
            turn = self.cluster.pick(self.now)
            if turn is not None:
                self.cluster.report_failure(turn, FAILURES["app_left"], self.now)

    def app(self) -> "contextlib.AbstractAsyncContextManager[Talk]":
        """A connection of the app."""
        return connected(self.port)

    def idle_connection(self) -> InstanceConnection:
        """The pooled connection that was used last."""
        return next(shelf.idle[-1] for shelf in self.upstream.pool._shelves.values() if shelf.idle)

    async def open(self, *ports: int) -> None:
        if ports:
            self.list(*ports)
        await self.listener.open()
        self._ticker = self.loop.create_task(self._tick())

    async def close(self) -> None:
        self.listener.close_listening()
        self.runtime.connections.close_idle()
        for connection in self.runtime.connections:
            connection.close()
        self.upstream.close()
        tasks = [task for task in (self._ticker, *self._probing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            if self.now >= self.cluster.next_due:
                events: Sequence[Event] = self.cluster.tick(self.now)
                self.events.extend(events)
                if events:
                    self.upstream.wake(self.now)
                for endpoint in self.cluster.probes_due(self.now):
                    task = self.loop.create_task(self._probe(endpoint))
                    self._probing.add(task)
                    task.add_done_callback(self._probing.discard)

    async def _probe(self, endpoint: Endpoint) -> None:
        failure = await self.prober.probe(endpoint, 1.0 if self.trust is None else PATIENCE, self.trust)
        self.events.extend(self.cluster.probed(endpoint, failure, self.now))
        self.upstream.wake(self.now)


POLICY = ServicePolicy(
    name="orders",
    load_balancing=LoadBalancing(policy=Balancing.ROUND_ROBIN),
    timeouts=Timeouts(connect=PATIENCE),
    wait_for_instance=WaitForInstance(timeout=PATIENCE),
    keepalive=Keepalive(idle_timeout=PATIENCE, non_idempotent_max_idle=PATIENCE),
)


def policy(**sections: object) -> ServicePolicy:
    """Round robin, so that a test knows who is asked, and patient, so that nothing ends for being slow.

    `sections` are those that the test is about.
    """
    return replace(POLICY, **sections)  # type: ignore[arg-type]


MakeStack = Callable[..., Stack]

GET = b"GET /a HTTP/1.1\r\nHost: orders\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: 4\r\n\r\nbody"


@dataclass
class Answer:
    status: int
    head: bytes
    body: bytes

    @property
    def error(self) -> str:
        """The value of x-sidecar-error."""
        lines = [line for line in self.head.decode().split("\r\n") if line.startswith("x-sidecar-error: ")]
        return lines[0].removeprefix("x-sidecar-error: ") if lines else ""


async def ask(app: Talk, request: bytes = GET) -> Answer:
    """One call over an open connection; status 0: closed without an answer."""
    await app.send(request)
    return await read(app)


async def read(app: Talk) -> Answer:
    head = await asyncio.wait_for(app.head(), PATIENCE)
    if not head:
        return Answer(0, b"", b"")
    if head[9:12] in {b"204", b"304"}:
        return Answer(int(head[9:12]), head, b"")
    return Answer(int(head[9:12]), head, await asyncio.wait_for(app.body(head), PATIENCE))


async def call(stack: Stack, request: bytes = GET) -> Answer:
    """One call over a connection of its own."""
    async with connected(stack.port) as app:
        return await ask(app, request)


async def until(condition: Callable[[], bool], within: float = PATIENCE) -> None:
    """Returns as soon as `condition()` holds; fails after `within` seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while not condition():
        assert loop.time() < end, "it never came to pass"
        await asyncio.sleep(0.005)


async def at_instance(stack: Stack) -> Any:
    """The attempt of the only request in flight, once it is written to an instance."""

    def attempts() -> list[Any]:
        exchanges = [connection.exchange for connection in stack.runtime.connections]  # type: ignore[attr-defined]
        found = [exchange.attempt for exchange in exchanges if exchange is not None]
        return [attempt for attempt in found if attempt is not None and attempt.connection is not None]

    await until(lambda: len(attempts()) == 1)
    return attempts()[0]


async def asked_on_after_a_reset(stack: Stack, app: Talk, answer_and_reset: Callable[[], None]) -> Answer:
    """What the app gets when its instance answers in the middle of a body and resets, and more of the body is written first."""
    connection = (await at_instance(stack)).connection
    connection.pause_reading()
    answer_and_reset()
    await until(lambda: is_reset(connection.sock))
    await app.send(b"x" * 1000)
    return await read(app)


def begin(coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Starts something that the test awaits later."""
    return asyncio.get_running_loop().create_task(coroutine)
