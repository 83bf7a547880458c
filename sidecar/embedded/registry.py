"""The embedded registry: a small Nacos in memory, real gRPC and HTTP on loopback, with fault knobs.

`async with EmbeddedRegistry() as registry` serves on a free pair of ports; clients are pointed at
`registry.address`. Instances can be registered by real clients or by hand, and every knob of `faults.py` is
applied by value: `await registry.apply(Restart(down_s=1))`.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

from sidecar.embedded import messages
from sidecar.embedded.auth import Doorman
from sidecar.embedded.connections import Connections, Unacked
from sidecar.embedded.detection import Detector
from sidecar.embedded.faults import (
    AbortConnections,
    Action,
    BlackHole,
    Condition,
    DetectClients,
    EndStreams,
    Fault,
    FaultError,
    GrpcClosed,
    PushNow,
    PushTiming,
    ResetConnections,
    Restart,
    RevokeTokens,
    Starting,
)
from sidecar.embedded.gate import Gate
from sidecar.embedded.grpc_server import GrpcServer
from sidecar.embedded.heartbeats import CHECK_EVERY, Heartbeats
from sidecar.embedded.http_server import NacosApi
from sidecar.embedded.in_force import CONDITIONS, Faults
from sidecar.embedded.knobs_api import KnobsApi
from sidecar.embedded.model import DEFAULT_CLUSTER, DEFAULT_GROUP, PUBLIC, Edit, Instance, Publications, ServiceName
from sidecar.embedded.ports import bind_pair, joined, listening
from sidecar.embedded.pushes import Pushes
from sidecar.embedded.tls import ServerTls
from sidecar.tasks import spawn

PORT_OFFSET = 1000
"""gRPC port = HTTP port + this, in every Nacos since 2.0."""

_BY_HAND = "by-hand/"
"""Prefix of the client ids of instances registered with `register()`."""


class EmbeddedRegistry:
    """One registry; all its methods belong to the event loop that entered it."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        port_offset: int = PORT_OFFSET,
        push_delay_s: float | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        """Port 0: any port whose gRPC counterpart is free too. `push_delay_s`: short for `PushTiming`."""
        self._tls = tls
        self.host, self.port, self.port_offset = host, port, port_offset
        self.faults = Faults()
        self.connections = Connections()
        self._pushes = Pushes(self.connections, self.faults)
        self.naming = self._pushes.naming
        self._detector = Detector(self.connections, self._pushes, self.faults)
        self._beats = Heartbeats()
        self.doorman = Doorman(self.faults)
        self._nacos_api = NacosApi(self._pushes, self._beats, self.faults, self.doorman)
        self._knobs_api = KnobsApi(self.faults, self.connections, self)
        self._grpc: GrpcServer | None = None
        self._http: web.AppRunner | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._restart: asyncio.Task[None] | None = None
        if push_delay_s is not None:
            self.faults.set(PushTiming(delay_s=push_delay_s))

    def __repr__(self) -> str:
        state = "up" if self._http else "down"
        return f"<EmbeddedRegistry {self.address} {state}, {len(self.connections)} clients, {self.naming!r}>"

    @property
    def address(self) -> str:
        """`ip:port` to configure in clients."""
        return joined(self.host, self.port)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Opens both ports; raises OSError where one is taken."""
        self.port, http, grpc = bind_pair(self.host, self.port, self.port_offset)
        try:
            await self._serve(http, grpc)
        except BaseException:
            http.close()
            grpc.close()
            await self.stop()
            raise

    async def _serve(self, http: socket.socket, grpc: socket.socket) -> None:
        self._grpc = GrpcServer(
            self.connections, self._pushes, self._detector, self.faults, self.doorman, tls=self._tls
        )
        await self._grpc.start()
        if self.faults.find(GrpcClosed):
            grpc.close()
        else:
            await self._grpc.gate.open(grpc)
        application = self._nacos_api.application(*self._knobs_api.routes())
        self._http = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._http.setup()
        await web.SockSite(self._http, http, ssl_context=self._tls.context() if self._tls else None).start()
        self._detector.start()
        self._check_beats()

    async def stop(self) -> None:
        """Closes both ports and every connection, as the end of the process would; what is registered stays."""
        self._detector.stop()
        self._pushes.stop()
        self._cancel_timers()
        if self._grpc is not None:
            await self._grpc.stop()
            self._grpc = None
        if self._http is not None:
            await self._http.cleanup()
            self._http = None

    async def close(self) -> None:
        """The end, also of a restart that is under way."""
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.wait([self._restart])
        await self.stop()

    def register(
        self,
        service: str,
        ip: str,
        port: int,
        *,
        group: str = DEFAULT_GROUP,
        namespace: str = PUBLIC,
        cluster: str = DEFAULT_CLUSTER,
        weight: float = 1.0,
        healthy: bool = True,
        enabled: bool = True,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Registers an ephemeral instance by hand; it stays until `deregister` or a restart."""
        instance = Instance(
            ip, port, weight=weight, healthy=healthy, enabled=enabled, cluster=cluster, metadata=metadata or {}
        )
        self.naming.publish(_by_hand(ip, port), ServiceName.parse(service, group, namespace), [instance])

    def deregister(
        self, service: str, ip: str, port: int, *, group: str = DEFAULT_GROUP, namespace: str = PUBLIC
    ) -> None:
        """Takes back what `register` did."""
        self.naming.publish(_by_hand(ip, port), ServiceName.parse(service, group, namespace), ())

    def edit(
        self,
        service: str,
        ip: str,
        port: int,
        *,
        group: str = DEFAULT_GROUP,
        namespace: str = PUBLIC,
        enabled: bool | None = None,
        weight: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """What an operator does in the console to any instance; survives its re-registration."""
        edit = Edit(enabled=enabled, weight=weight, metadata=metadata)
        self.naming.edit(ServiceName.parse(service, group, namespace), ip, port, edit)

    def set_threshold(
        self, service: str, threshold: float, *, group: str = DEFAULT_GROUP, namespace: str = PUBLIC
    ) -> None:
        """Sets protectThreshold as the console does; shows in queries, not in pushes."""
        self.naming.set_threshold(ServiceName.parse(service, group, namespace), threshold)

    def set_health(
        self, service: str, ip: str, port: int, *, healthy: bool, group: str = DEFAULT_GROUP, namespace: str = PUBLIC
    ) -> None:
        """What the server's own check of an instance found."""
        self.naming.set_health(ServiceName.parse(service, group, namespace), ip, port, healthy=healthy)

    def instances(self, service: str, *, group: str = DEFAULT_GROUP, namespace: str = PUBLIC) -> tuple[Instance, ...]:
        """What is registered now, disabled ones included, pushed or not."""
        return self.naming.instances(ServiceName.parse(service, group, namespace))

    async def apply(self, fault: Fault) -> None:
        """Puts a condition in force or carries out an action. A restart is only begun here: see `restart`.

        Raises `FaultError` where a restart is still under way.
        """
        match fault:
            case Restart():
                if self._restart is not None and not self._restart.done():
                    raise FaultError("a restart is under way")
                self._restart = spawn(self.restart(fault), name="registry-restart")
            case Action():
                self._act(fault)
            case Condition():
                self.faults.set(fault)
                if self._grpc is not None:
                    await self._shut_gate(fault, self._grpc.gate)

    def lift(self, name: str) -> None:
        """Ends the conditions of that name; raises `FaultError` where it is no condition."""
        if (kind := CONDITIONS.get(name)) is None:
            raise FaultError(f"no condition is called {name!r}; there are {', '.join(sorted(CONDITIONS))}")
        was_closed = self.faults.find(GrpcClosed) is not None
        self.faults.clear(kind)
        if kind is BlackHole and self._grpc is not None:
            self._grpc.gate.thaw()
        if kind is GrpcClosed and was_closed and self._grpc is not None:
            listener = listening(self.host, self.port + self.port_offset)
            spawn(self._grpc.gate.open(listener), name="registry-gate")

    async def restart(self, story: Restart) -> None:
        """Restarts as the story tells; returns as soon as clients can connect (they may be told 300 for a while)."""
        await self.stop()
        lost = self.naming.forget_ephemeral()
        self._beats.clear()
        self.faults.clear(BlackHole)
        await asyncio.sleep(story.down_s)
        if story.starting_s:
            self.faults.set(Starting())
            self._later(story.starting_s, self.faults.clear, Starting)
        self._bring_back(lost, story)
        await self.start()

    def _bring_back(self, lost: Publications, story: Restart) -> None:
        """The instances that were registered by hand: some at once, the others later, one by one."""
        for service, clients in lost.items():
            mine = [(client, kept) for client, kept in clients.items() if client.startswith(_BY_HAND)]
            for client, instances in mine[: story.keep]:
                self.naming.publish(client, service, instances)
            returning = mine[story.keep :] if story.return_after_s is not None else []
            for n, (client, instances) in enumerate(returning):
                share = n / max(len(returning) - 1, 1)
                at = story.starting_s + (story.return_after_s or 0.0) + share * story.return_over_s
                self._later(at, self.naming.publish, client, service, instances)

    @staticmethod
    async def _shut_gate(fault: Condition, gate: Gate) -> None:
        match fault:
            case BlackHole():
                gate.freeze()
            case GrpcClosed():
                await gate.close()

    def _act(self, action: Action) -> None:
        match action:
            case EndStreams():
                for connection in self.connections:
                    if action.connection in {"", connection.id}:
                        connection.end(action)
            case AbortConnections() if self._grpc is not None:
                self._grpc.gate.reset()
            case DetectClients():
                for connection in self.connections:
                    self._detector.ask(connection)
            case ResetConnections():
                for connection in self.connections:
                    request_id = self._pushes.next_id()
                    connection.unacked[request_id] = Unacked(asyncio.get_running_loop().time())
                    connection.send(messages.connect_reset(request_id, action.server_ip, action.server_port))
            case RevokeTokens():
                self.doorman.revoke()
            case PushNow():
                self._pushes.push_now(action.service, action.count)

    def _check_beats(self) -> None:
        self._nacos_api.check_beats(asyncio.get_running_loop().time())
        self._later(CHECK_EVERY, self._check_beats)

    def _later(self, delay: float, act: Callable[..., object], *arguments: object) -> None:
        """Calls back after `delay` seconds unless the registry is stopped before."""

        def due() -> None:
            self._timers.discard(timer)
            act(*arguments)

        timer = asyncio.get_running_loop().call_later(delay, due)
        self._timers.add(timer)

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


def _by_hand(ip: str, port: int) -> str:
    return f"{_BY_HAND}{ip}:{port}"
