"""A row of the table: what happens to providers and registry while five callers call, and what came of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.peers.peer import Terms
from tests.support.plain_provider import Habits
from tests.trial.counts import Count, Mark
from tests.trial.scene import Scene
from tests.trial.verdict import Verdict

Act = Callable[[Scene], Awaitable[None]]


async def nothing(scene: Scene) -> None:
    """Everything is ready as it is."""


@dataclass(frozen=True, slots=True)
class Row:
    """`act` begins when calls have gone on for a while, and they go on for a while after it."""

    id: str
    title: str
    act: Act
    first: Act = nothing
    """Before the first call."""
    count: int = 3
    """Replicas."""
    habits: Habits = field(default_factory=Habits)
    """Of all of them."""
    terms: Terms = field(default_factory=Terms)
    """Of the proxies, the sidecar among them."""
    longest: str = "the provider's own time, and the machine"
    """What bounds the sidecar's longest answer."""
    burst: float = 0.0
    """Seconds whose calls leave all at once; 0: they leave evenly."""
    lies: bool = False
    """The sidecar hears the registry through a relay that can lie."""
    false_list: bool = False
    """And is told of a list that it has to refuse, else the row shows nothing."""
    nobody_else: bool = False
    """While a provider restarts there is nobody else to call, so it has to be back soon."""
    direct_fails: bool = True
    """The direct caller has to lose calls, else the row shows nothing."""
    official: bool = False
    """Its replicas are JVMs with the official client: on a real server, and not beside much else."""
    drops_packets: bool = False
    """It wants a network that nobody else uses."""


@dataclass(frozen=True, slots=True)
class Played:
    """Of a row that was played to its end."""

    began: float
    seconds: float
    rate: float
    counts: Mapping[str, Count]
    """By the callers' titles, the sidecar's last."""
    marks: Sequence[Mark]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Result:
    """A row, and what came of it; without that, why."""

    row: Row
    ground: str
    played: Played | None = None
    why_not: str = "not played"
    skipped: bool = False
    """It cannot be played here, which is nobody's fault."""

    @property
    def misses(self) -> list[str]:
        """Promises that were not kept, as far as can be known."""
        if self.played is None:
            return [] if self.skipped else [self.why_not]
        return self.played.verdict.misses

    @property
    def doubts(self) -> list[str]:
        """Why it shows nothing."""
        return [] if self.played is None else self.played.verdict.doubts
