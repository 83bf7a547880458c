"""What a row plays on: replicas, their registry, five callers under load, and what was done to the replicas when.

**The peers are fed generously.** Whoever runs nginx, HAProxy or Envoy without a registry client of its own has a
controller that writes lists. Ours is the best there can be: it never fails, it hears at once of each change that the
registry has made, and while the registry is away or lies it goes by the truth. The direct caller asks the registry
itself, which lies to the sidecar alone.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from sidecar.tasks import spawn
from tests.peers.peer import Terms
from tests.support import own_network
from tests.support.plain_provider import Habits
from tests.support.until import until
from tests.trial.callers import PEERS, SIDECAR, Caller, SidecarCaller, behind_sidecar, direct, proxied
from tests.trial.counts import Fate, Harm, Mark
from tests.trial.ground import Ground
from tests.trial.liar import Liar, lying
from tests.trial.replica import OfficialReplica, PlainReplica, Replica

EVERYBODY = ("direct", *PEERS, SIDECAR)

AWAY = 1.0
"""Seconds that a restarting provider is away on top of ending and starting."""

_LOOK = 0.05
"""Seconds between two looks at the registry's list."""

_LISTED = 180.0
"""Seconds for the registry to list what there is, at worst on a machine that starts a server meanwhile."""

THINKING = 0.02
"""Seconds that a provider takes for an answer: at any moment some calls are in flight on each."""


@dataclass(slots=True)
class Truth:
    """Which instances there are by right."""

    addresses: set[str] = field(default_factory=set)
    registry_is_of_use: bool = True
    """It lists them sooner or later; otherwise nobody waits for it."""


class Scene:
    """One row's world."""

    def __init__(self, ground: Ground, service: str, folder: Path) -> None:
        self.ground = ground
        self.service = service
        self.folder = folder
        self.replicas: list[Replica] = []
        self.callers: list[Caller] = []
        self.sidecar: SidecarCaller
        self.liar: Liar
        self.truth = Truth()
        self.harms: list[Harm] = []
        self.marks: list[Mark] = []
        self.away: list[float] = []
        """Seconds from the begin of each graceful stop until the provider served again."""
        self.now = asyncio.get_running_loop().time
        self._news = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()

    @property
    def plain(self) -> list[PlainReplica]:
        """Those that anything can be done to."""
        return [replica for replica in self.replicas if isinstance(replica, PlainReplica)]

    # What rows are made of

    def mark(self, text: str) -> None:
        """Something happens now that the picture shows."""
        self.marks.append(Mark(self.now(), text))

    def add(self, *, official: bool = False, **habits: Unpack[Habits]) -> Replica:
        """One more replica, not started; ended with the scene."""
        make = OfficialReplica if official else PlainReplica
        habits.setdefault("delay", THINKING)
        replica: Replica = make(self.ground, self.service, self.folder, **habits)
        self.replicas.append(replica)
        self._stack.push_async_callback(replica.end)
        return replica

    async def restart(self, replica: Replica, *, away: float = AWAY) -> None:
        """Gracefully, as a deployment does it; returns when it serves again."""
        self.mark("restart")
        began = self.now()
        self.gone(replica)
        await replica.stop()
        await asyncio.sleep(away)
        await replica.start()
        self.away.append(self.now() - began)
        self.there(replica)

    async def kill(self, replica: Replica) -> None:
        self.mark("kill -9")
        self.harms.append(Harm(replica.address, Fate.KILLED, self.now()))
        await replica.kill()
        self.gone(replica)

    async def freeze(self, replica: PlainReplica, seconds: float) -> None:
        self.mark("SIGSTOP")
        self.harms.append(Harm(replica.address, Fate.FROZEN, self.now()))
        replica.freeze()
        await asyncio.sleep(seconds)
        replica.thaw()
        self.mark("SIGCONT")

    async def cut_off(self, replica: PlainReplica, seconds: float) -> None:
        """No packet reaches it or comes from it."""
        self.mark("cut off")
        self.harms.append(Harm(replica.address, Fate.CUT_OFF, self.now()))
        async with own_network.black_hole(replica.port):
            await asyncio.sleep(seconds)
        self.mark("back")

    def there(self, *replicas: Replica) -> None:
        """They are instances from now on."""
        self.truth.addresses |= {replica.address for replica in replicas}
        self._news.set()

    def gone(self, *replicas: Replica) -> None:
        """They are none from now on."""
        self.truth.addresses -= {replica.address for replica in replicas}
        self._news.set()

    async def listed(self) -> None:
        """Returns when the registry lists what there is."""
        await until(self._is_listed, within=_LISTED, pause=_LOOK)

    async def whole(self) -> None:
        """Returns when the sidecar sends to what there is, to nobody else, and holds nobody."""

        async def is_whole() -> bool:
            (cluster,) = await self.sidecar.process.clusters()
            states = {endpoint["address"]: endpoint["state"] for endpoint in cluster["endpoints"]}
            return states == dict.fromkeys(self.truth.addresses, "available")

        await until(is_whole, pause=0.1)

    async def _is_listed(self) -> bool:
        try:
            return await self.ground.instances(self.service) == self.truth.addresses
        except (OSError, RuntimeError):
            return False

    def executed(self) -> list[str]:
        """What the replicas wrote down: `GET d0`, `POST s1` …"""
        return [line for replica in self.replicas for line in replica.executed()]

    # Its beginning, what happens by itself, and its end

    async def stage(
        self,
        count: int,
        rate: float,
        who: Collection[str],
        *,
        lies: bool,
        official: bool,
        terms: Terms,
        **habits: Unpack[Habits],
    ) -> None:
        """Replicas that the registry lists, and callers that know them."""
        for _ in range(count):
            self.add(official=official, **habits)
        await asyncio.gather(*(replica.start() for replica in self.replicas))
        self.there(*self.replicas)
        await self.listed()
        enter = self._stack.enter_async_context
        registry = self.ground.address
        if lies:
            self.liar = await enter(lying(self.ground.http_port))
            registry = self.liar.address
        if "direct" in who:
            self.callers.append(await enter(direct(self.ground, self.service, rate)))
        names = [name for name in PEERS if name in who]
        self.callers += await enter(proxied(names, sorted(self.truth.addresses), self.folder, rate, terms))
        self.sidecar = await enter(behind_sidecar(registry, self.service, self.folder / "sidecar", terms))
        self.callers.append(self.sidecar.caller(rate))
        self._feeder = spawn(self._feed(), name="feeder")
        self._stack.callback(self._feeder.cancel)

    async def check(self) -> None:
        """Raises what kept the peers from being told."""
        if self._feeder is not None and self._feeder.done():
            await self._feeder

    async def close(self) -> None:
        await self._stack.aclose()

    async def _feed(self) -> None:
        """Tells the peers for ever."""
        told = set(self.truth.addresses)
        while True:
            await self._news.wait()
            self._news.clear()
            if not await self._is_true() or told == self.truth.addresses:
                continue
            told = set(self.truth.addresses)
            peers = [caller.peer for caller in self.callers if caller.peer is not None]
            await asyncio.gather(*(peer.use(sorted(told)) for peer in peers))

    async def _is_true(self) -> bool:
        """False where there are other news by the time the registry knows."""
        while self.truth.registry_is_of_use and not await self._is_listed():
            if self._news.is_set():
                return False
            await asyncio.sleep(_LOOK)
        return True


@asynccontextmanager
async def staged(
    ground: Ground,
    service: str,
    folder: Path,
    *,
    count: int,
    rate: float,
    who: Collection[str] = EVERYBODY,
    lies: bool = False,
    official: bool = False,
    terms: Terms = Terms(),  # noqa: B008 - it is frozen
    **habits: Unpack[Habits],
) -> AsyncIterator[Scene]:
    """A scene that is ready for calls; all of it ends with the block."""
    scene = Scene(ground, service, folder)
    try:
        await scene.stage(count, rate, who, lies=lies, official=official, terms=terms, **habits)
        yield scene
    finally:
        await scene.close()
