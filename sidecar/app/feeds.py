"""All sources of lists together: which feeds run, and how a reload replaces the registry's without a pause.

Why the overlap: a new registry client needs a while until its first session. It is started beside the old one, and
the old one goes when the new one is connected; until then the old lists are the best there are. Registry sessions
are numbered through the whole process, so what the old one still says never overrides the new one.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from sidecar.app.feed import Feed, put_in_force
from sidecar.app.keeper import Keeper
from sidecar.app.services import Service
from sidecar.clock import Rng
from sidecar.cluster.events import Event
from sidecar.cluster.instance import Push
from sidecar.cluster.policy import Discovery
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.last_good import Ignored, LastGood
from sidecar.discovery.options import NacosOptions
from sidecar.discovery.source import Connected, InstanceSource
from sidecar.discovery.static import StaticSource
from sidecar.tasks import spawn


class Feeds:
    """The registry's feed, the static one, and those on their way out."""

    def __init__(
        self,
        services: Mapping[str, Service],
        *,
        emit: Callable[[Sequence[Event]], None],
        now: Callable[[], float],
        rng: Rng,
        stats: ProcessStats,
    ) -> None:
        self._services = services
        self._emit = emit
        self._now = now
        self._rng = rng
        self._stats = stats
        self._keeper: Keeper | None = None
        self._kept: tuple[Path | None, str, float] | None = None
        self._options: NacosOptions | None = None
        self._known: dict[str, Discovery] = {}
        self._registry: Feed | None = None
        self._static: Feed | None = None
        self._leaving: list[Feed] = []

    @property
    def has_registry(self) -> bool:
        """Whether any service comes from the registry."""
        return self._registry is not None

    @property
    def session(self) -> Connected | None:
        """The registry session in use; the old feed's until the new one has its own."""
        candidates = [self._registry, *reversed(self._leaving)]
        return next((feed.session for feed in candidates if feed is not None and feed.session), None)

    @property
    def session_since(self) -> float | None:
        """Wall time of the last change between connected and not; None before the first."""
        return max((feed.since for feed in (self._registry, *self._leaving) if feed and feed.since), default=None)

    async def load_last_good(self, options: NacosOptions) -> list[Ignored]:
        """Applies what an earlier run left on disk; returns the files that are not believed."""
        if options.snapshot_dir is None:
            return []
        files = self._files(options)
        ignored = []
        for service in list(self._services.values()):
            match await files.load(service.name, service.cluster.policy.discovery):
                case Ignored() as reason:
                    ignored.append(reason)
                case Push() as push:
                    await put_in_force(push, service.cluster, emit=self._emit, now=self._now)
            await asyncio.sleep(0)
        return ignored

    def follow(self, options: NacosOptions, discoveries: Mapping[str, Discovery]) -> None:
        """Puts a configuration in force: `discoveries` of all services, by their names."""
        static = {name: one for name, one in discoveries.items() if one.static}
        registered = {name: one for name, one in discoveries.items() if not one.static}
        changed = {name for name, one in discoveries.items() if self._known.get(name) != one}
        if changed & static.keys() or static.keys() != self._names(self._static):
            self._follow_static({name: one.static for name, one in static.items()})
        if options != self._options or changed & registered.keys() or registered.keys() != self._names(self._registry):
            self._follow_registry(options, registered, changed)
        self._options, self._known = options, dict(discoveries)

    def slow_beat(self, now: float) -> None:
        """Tells doubts, refreshes files, lets go of feeds that are replaced."""
        for feed in (self._registry, self._static, *self._leaving):
            if feed is not None:
                feed.doubt(now)
        if self._keeper is not None and self._registry is not None:
            self._keeper.refresh([self._services[name] for name in self._registry.names], now)
        if self._registry is None or self._registry.connected.is_set():
            self._let_go()

    async def close(self) -> None:
        """Ends every feed."""
        for feed in (self._registry, self._static, *self._leaving):
            if feed is not None:
                await feed.close()

    def _follow_static(self, addresses: Mapping[str, tuple[str, ...]]) -> None:
        if self._static is not None:
            self._close(self._static)
        self._static = self._feed(StaticSource(addresses), addresses) if addresses else None

    def _follow_registry(
        self, options: NacosOptions, wanted: Mapping[str, Discovery], changed: Collection[str]
    ) -> None:
        if self._registry is not None and self._registry.connected.is_set():
            self._let_go()
            self._leaving.append(self._registry)
        elif self._registry is not None:
            self._close(self._registry)
        for feed in self._leaving:
            feed.names -= frozenset(changed)
        self._keep_files(options)
        self._registry = None
        if wanted:
            # Imported here: a sidecar whose services are all static does without the client's 30 MiB.
            from sidecar.discovery.supervisor import NacosSource  # noqa: PLC0415

            source = NacosSource(options, wanted, rng=self._rng, stats=self._stats)
            self._registry = self._feed(source, wanted)
            for feed in self._leaving:
                feed.heir = self._registry

    def _feed(self, source: InstanceSource, names: Collection[str]) -> Feed:
        return Feed(source, names, self._services, emit=self._emit, keep=self._keep, now=self._now)

    def _keep_files(self, options: NacosOptions) -> None:
        """One keeper for one folder: two would write the same files."""
        kept = options.snapshot_dir, options.namespace, options.snapshot_max_age
        if kept != self._kept:
            self._kept = kept
            self._keeper = None
            if options.snapshot_dir is not None:
                self._keeper = Keeper(self._files(options), self._emit, self._stats, now=self._now)

    def _keep(self, service: Service) -> None:
        if self._keeper is not None and not service.cluster.policy.discovery.static:
            self._keeper.keep(service)

    @staticmethod
    def _files(options: NacosOptions) -> LastGood:
        assert options.snapshot_dir is not None  # noqa: S101 - callers have asked
        return LastGood(options.snapshot_dir, namespace=options.namespace, max_age=options.snapshot_max_age)

    @staticmethod
    def _names(feed: Feed | None) -> frozenset[str]:
        return feed.names if feed is not None else frozenset()

    def _let_go(self) -> None:
        """Of the one that was replaced: it has served until the next had a session."""
        leaving, self._leaving = self._leaving, []
        for feed in leaving:
            self._stats.reconnects["config"] += feed.session is not None
            self._close(feed)

    @staticmethod
    def _close(feed: Feed) -> None:
        feed.silence()
        spawn(feed.close(), name="close a replaced feed")
