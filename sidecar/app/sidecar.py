"""One running sidecar: what is wired to what, and in which order it starts, takes a new configuration, drains, stops."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sidecar import __version__, clock
from sidecar.admin.health import Latch, is_ready, latches
from sidecar.admin.server import AdminServer
from sidecar.app.backend import AppBackend
from sidecar.app.drain import Drain
from sidecar.app.facades import Facades
from sidecar.app.feeds import Feeds
from sidecar.app.heartbeat import Heartbeat
from sidecar.app.journal import Journal
from sidecar.app.listeners import ADMIN, SHARED, TRANSPARENT, CannotBindError, Entrances, Listeners, Wanted
from sidecar.app.logs import Logs
from sidecar.app.memory import Memory
from sidecar.app.reloading import Reloader
from sidecar.app.services import Service, Services
from sidecar.app.settings import nacos_options, own_addresses, own_hosts, shared_policy, transparent_addresses
from sidecar.app.trusts import Trusts
from sidecar.cluster.addresses import Addresses
from sidecar.cluster.events import DrainEnded, DrainStarted, DrainWithdrawn, Event, Listening, Ready, Starting
from sidecar.cluster.policy import Protocol, ServicePolicy
from sidecar.cluster.stats import ProcessStats
from sidecar.config import Config, Loaded
from sidecar.config.policies import service_policy
from sidecar.errors import FAILURES
from sidecar.proxy.forward import POLICY as HOSTS
from sidecar.proxy.forward import Forward
from sidecar.proxy.listener import OwnEntrance, SharedEntrance
from sidecar.proxy.ourselves import Ourselves
from sidecar.proxy.routing import Router
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.transparent import POLICY as STRANGERS
from sidecar.proxy.transparent import TransparentEntrance
from sidecar.proxy.unnamed import Unnamed
from sidecar.proxy.upstream import Upstream
from sidecar.tasks import spawn
from sidecar.telemetry.loop_lag import LagMeter
from sidecar.telemetry.timeline import Timeline

_log = logging.getLogger("sidecar")


class Sidecar:
    """Everything of one process between its configuration and its end; made inside the running loop."""

    def __init__(self, loaded: Loaded, reloader: "Reloader", *, loop_name: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop_name = loop_name
        self.loaded = loaded
        self.loaded_at = self.started_at = clock.wall()
        self._begun = self.loop.time()
        self.stats = ProcessStats()
        self.logs = Logs(loaded, self.loop, self.stats, self.emit)
        self.journal = Journal(self.logs.events, Timeline(), self.loop.time)
        self.runtime = Runtime(
            loop=self.loop,
            emit=self.emit,
            log=self.logs.write_record,
            wants_record=self.logs.wants_record,
            stats=self.stats,
        )
        self._rng = rng = clock.system_rng()
        self.trusts = Trusts()
        self.addresses = Addresses(loaded.config.address_memory)
        self.memory = Memory(self.addresses, self.emit, self.stats, now=self.loop.time)
        self.services = Services(self.runtime, rng, self.emit, self.trusts, self.addresses)
        self.feeds = Feeds(self.services, emit=self.emit, now=self.loop.time, rng=rng, stats=self.stats)
        self.listeners = Listeners(self.runtime)
        self.facades = Facades(emit=self.emit, now=self.loop.time, rng=rng, stats=self.stats)
        self.lag = LagMeter(self.loop, self.stats, self.emit)
        self.reloader = reloader
        self.admin_bound = ""
        self.ready = asyncio.Event()
        """Set for good when every latch has been open."""
        self.drained = asyncio.Event()
        """Set when the process may go."""
        self._admin: AdminServer | None = None
        self._heartbeat: Heartbeat | None = None
        self._listening = False
        self._out_of_service = False
        self._drain: Drain | None = None

    def emit(self, events: Sequence[Event]) -> None:
        """Takes all that happens, from every part."""
        self.journal.emit(events)
        self.facades.heed(events)

    async def start(self) -> None:
        """Binds, reads the disk, connects to the registry in the background; raises CannotBindError."""
        loaded = self.loaded
        self.emit([Starting(version=__version__, config=str(loaded.path), loop=self.loop_name)])
        for problem in loaded.problems:
            _log.warning("%s", problem)
        await self._bind(loaded)
        for ignored in await self.feeds.load_last_good(nacos_options(loaded.config)):
            _log.warning("last-good list %s is not used: %s", ignored.path, ignored.reason)
        self.memory.follow(loaded.config.nacos.snapshot_dir, loaded.config.address_memory)
        if (unbelieved := await self.memory.load()) is not None:
            _log.warning("%s, the addresses that left, is not used: %s", unbelieved.path, unbelieved.reason)
        self._follow(self.loaded.config)  # which a reload may have replaced meanwhile
        self._heartbeat = Heartbeat(self.loop, on_beat=self.services.due, on_slow_beat=self._slow_beat)
        self.lag.start()

    async def take(self, loaded: Loaded) -> None:
        """Puts another configuration in force; raises CannotBindError or CannotOpenLogError, and then nothing changed."""
        access = self.logs.prepare(loaded, self.loaded.config)
        try:
            await self._bind(loaded)
        except BaseException:
            if access is not None:
                access.close(0)
            raise
        self.logs.put_in_force(loaded.config, access)
        self._follow(loaded.config)
        self.loaded, self.loaded_at = loaded, clock.wall()

    async def refresh(self) -> None:
        """What a reload does even where nothing changed.

        Logs are reopened, the level is the configured one again, replaced certificates are used.
        """
        self.logs.put_in_force(self.loaded.config, None)
        await self.trusts.reread()

    def latches(self) -> tuple[Latch, ...]:
        """What readiness waits for."""
        return latches(
            configured=True,
            listening=self._listening,
            services=[
                (name, service.cluster.has_list)
                for name, service in self.services.items()
                if service.cluster.policy.required
            ],
            draining=self.draining,
        )

    @property
    def draining(self) -> bool:
        """Readiness is off, by the operator or because the process is on its way out."""
        return self._out_of_service or self.stopping

    @property
    def stopping(self) -> bool:
        """The process is on its way out; nothing brings it back."""
        return self._drain is not None

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self.loop.time() - self._begun

    def set_out_of_service(self, *, out: bool) -> bool:
        """The operator's drain and undrain; False once the process is stopping."""
        if self.stopping:
            return False
        if out is not self._out_of_service:
            self._out_of_service = out
            self.emit([DrainStarted(by="operator") if out else DrainWithdrawn()])
        return True

    def begin_stop(self, by: str) -> None:
        """Readiness off, everything else goes on until the app is gone; then `drained` is set."""
        if not self.stopping:
            drain = self.loaded.config.drain
            self._drain = Drain(self.loop.time(), timeout=drain.timeout, quiet=drain.quiet)
            self.emit([DrainStarted(by=by)])

    async def stop(self) -> None:
        """Ends what is still open and lets go of everything; the logs come last."""
        self.listeners.close()
        self.runtime.connections.close_idle()
        cut = self.runtime.connections.abort_active(FAILURES["cut_by_drain"])
        self.lag.stop()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        await self.reloader.close()
        await self.feeds.close()
        await self.facades.close()
        await self.memory.close()
        if self._admin is not None:
            await self._admin.close()
        if self._drain is not None:
            self.emit([DrainEnded(cut=cut, took=f"{self.loop.time() - self._drain.started:.1f}s")])
        self.logs.close()

    async def _bind(self, loaded: Loaded) -> None:
        """Binds what is new, then swaps services and entrances: all or nothing."""
        config = loaded.config
        policies = await asyncio.to_thread(_policies, config)  # ten milliseconds for two hundred services
        await self.trusts.prepare(policies)
        own = own_addresses(config)
        built = self.services.build(policies, own_addresses=own)
        entrances = self._entrances(config, built)
        wanted = _wanted(config, entrances)
        opened = await self.listeners.prepare(wanted)
        facade = None
        try:
            facade = await self.facades.prepare(config)
            await self._bind_admin(config)
        except BaseException:  # whatever it is: a listener that is bound accepts for a configuration not in force
            for listener in opened.values():
                listener.close_listening()
            if facade is not None:
                await facade.close()
            raise
        self.listeners.commit(wanted, opened, entrances)
        self.services.put_in_force(built, policies, self.loop.time(), own_addresses=own)
        bound = {listener.name: listener.bound or "" for listener in self.listeners}
        heard = self.facades.commit(config, facade, self.services, bound)
        self.trusts.keep_only(policies)
        self._listening = True
        self.emit([Listening(name=listener.name, address=listener.bound or "") for listener in opened.values()])
        self.emit(heard)

    async def _bind_admin(self, config: Config) -> None:
        admin = config.admin
        if self._admin is not None and admin.listen == self.loaded.config.admin.listen:
            self._admin.allow_remote = admin.allow_remote
            return
        server = AdminServer(AppBackend(self), allow_remote=admin.allow_remote)
        try:
            bound = await server.open(admin.listen.host, admin.listen.port)
        except OSError as error:
            await server.close()
            raise CannotBindError(ADMIN, str(admin.listen), error) from error
        if self._admin is not None:
            # Not awaited: the answer to POST /reload may be under way on it.
            spawn(self._admin.close(), name="close the replaced admin port")
        self._admin, self.admin_bound = server, bound
        self.emit([Listening(name=ADMIN, address=bound)])

    def _entrances(self, config: Config, services: Mapping[str, Service]) -> Entrances:
        upstreams = [service.upstream for service in services.values()]
        return Entrances(
            services={one.policy.name: OwnEntrance(one) for one in upstreams},
            shared=self._shared_entrance(config, upstreams),
            transparent=self._transparent_entrance(upstreams),
        )

    def _shared_entrance(self, config: Config, upstreams: Sequence[Upstream]) -> SharedEntrance:
        http = {one.policy.name: one for one in upstreams if one.policy.protocol is Protocol.HTTP1}
        own = [(host, http[one.name]) for one in config.services for host in own_hosts(one)]
        named = [(host, one) for one in http.values() for host in one.policy.hosts]
        policy = shared_policy(config)
        forward = None
        if config.unmatched == "forward":
            hosts = replace(HOSTS, limits=policy.limits)
            forward = Forward(self.runtime, self._rng, Ourselves(self._unreachable_ports), hosts)
        unnamed = Unnamed(self.addresses, http, forward=forward, now=self.loop.time())
        return SharedEntrance(Router([*own, *named]), policy, unnamed)

    def _transparent_entrance(self, upstreams: Sequence[Upstream]) -> TransparentEntrance:
        services = {one.policy.name: one for one in upstreams}
        strangers = Forward(self.runtime, self._rng, Ourselves(self._unreachable_ports), STRANGERS)
        return TransparentEntrance(self.runtime, self.addresses, services, strangers, Ourselves(self._own_ports))

    def _unreachable_ports(self) -> set[int]:
        """Of ourselves, for what is sent on: it would come back without end, or as if an operator had sent it."""
        return _ports([self.admin_bound, *(one.bound for one in self.listeners if one.name in {SHARED, TRANSPARENT})])

    def _own_ports(self) -> set[int]:
        """Where nobody can have meant to go who is brought here."""
        return _ports([self.admin_bound, *(one.bound for one in self.listeners)])

    def _follow(self, config: Config) -> None:
        discoveries = {name: service.cluster.policy.discovery for name, service in self.services.items()}
        self.feeds.follow(nacos_options(config), discoveries)
        self.memory.follow(config.nacos.snapshot_dir, config.address_memory)

    def _slow_beat(self, now: float) -> None:
        self.services.let_go()
        self.feeds.slow_beat(now)
        self.memory.slow_beat(now)
        if not self.ready.is_set() and is_ready(self.latches()):
            self.ready.set()
            self.emit([Ready(took=f"{self.uptime:.1f}s")])
        if self._drain is not None and self._nobody_comes(self._drain, now):
            if any(self.listeners):
                self.listeners.close()  # who came in this very moment is served first: look again
            else:
                self.drained.set()

    def _nobody_comes(self, drain: Drain, now: float) -> bool:
        apps = self.runtime.connections
        return drain.over(now, len(apps) + self.facades.connections, apps.met)


def _wanted(config: Config, entrances: Entrances) -> list[Wanted]:
    """The listeners of a configuration."""
    wanted = []
    if config.listen is not None:
        wanted.append(Wanted(SHARED, str(config.listen), entrances.shared))
    wanted += [Wanted(TRANSPARENT, address, entrances.transparent) for address in transparent_addresses(config)]
    return wanted + [
        Wanted(name, one.policy.listen, one) for name, one in entrances.services.items() if one.policy.listen
    ]


def _policies(config: Config) -> list[ServicePolicy]:
    return [service_policy(service) for service in config.services]


def _ports(bound: Iterable[str | None]) -> set[int]:
    return {int(address.rpartition(":")[2]) for address in bound if address}
