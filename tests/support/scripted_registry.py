"""A registry without a wire: sessions that answer as the test says, at the test's time."""

import asyncio
from collections import Counter
from collections.abc import Iterable

from sidecar.cluster.instance import Instance
from sidecar.cluster.stats import ProcessStats
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import Listing, Owner, RequestError, ServiceKey

LATENCY = 0.002


def lists(*ports: int, protect: bool = False) -> Listing:
    """Instances of 10.0.0.1 by their ports."""
    return Listing(tuple(Instance("10.0.0.1", port) for port in ports), protect=protect)


class ScriptedRegistry:
    """What all servers know. `open_fails` and `fails` name what requests get instead of an answer."""

    def __init__(self) -> None:
        self.listings: dict[ServiceKey, Listing] = {}
        self.open_fails: RequestError | None = None
        self.fails: dict[ServiceKey, RequestError] = {}
        self.silent = False
        self.latency = LATENCY
        self.latencies: dict[ServiceKey, float] = {}
        """Of services that are answered later, or earlier, than the others."""
        self.sessions: list[ScriptedSession] = []
        self.stats = ProcessStats()

    def session(self, server: Server, _options: NacosOptions, owner: Owner) -> "ScriptedSession":
        """The factory that a source is given."""
        session = ScriptedSession(self, server, owner)
        self.sessions.append(session)
        return session

    @property
    def live(self) -> "ScriptedSession":
        """The youngest session."""
        return self.sessions[-1]

    async def answer(self, key: ServiceKey) -> Listing:
        """The list of now, a failure, or nothing until the request times out."""
        await asyncio.sleep(self.latencies.get(key, self.latency))
        if self.silent:
            await asyncio.sleep(1.0)
            raise self.fails[key]
        if key in self.fails:
            raise self.fails[key]
        return self.listings.get(key, lists())

    def push(self, key: ServiceKey, listing: Listing, *, lost: bool = False) -> None:
        """Changes a list and tells the youngest session, unless the push gets lost."""
        self.listings[key] = listing
        if not lost:
            self.live.owner.pushed(key, listing)


class ScriptedSession:
    """One session of a scripted registry."""

    polls = False

    def __init__(self, registry: ScriptedRegistry, server: Server, owner: Owner) -> None:
        self.registry = registry
        self.server = server
        self.owner = owner
        self.subscribed: list[ServiceKey] = []
        self.queried: Counter[ServiceKey] = Counter()
        self.closed = False

    async def open(self) -> None:
        await asyncio.sleep(LATENCY)
        if self.registry.open_fails is not None:
            raise self.registry.open_fails

    async def subscribe(self, key: ServiceKey) -> Listing:
        self.subscribed.append(key)
        return await self.registry.answer(key)

    async def query(self, key: ServiceKey) -> Listing:
        self.queried[key] += 1
        return await self.registry.answer(key)

    async def close(self) -> int:
        self.closed = True
        return 1


def addresses(instances: Iterable[Instance]) -> list[int]:
    """Ports, in order."""
    return [instance.port for instance in instances]
