"""All that one run has measured."""

import pickle
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.compare import DIRECT
from tests.bench.contender import Round
from tests.bench.during import Disturbed
from tests.bench.growth import Size
from tests.bench.ways import Ways, ratio
from tests.bench.work import WORK, Work

ORDER = ("nginx", "haproxy", "envoy", "sidecar")
OURS = "sidecar"


@dataclass(slots=True)
class Results:
    """By the name of the proxy, as in `tests.peers`; empty where a run has left it out."""

    titles: dict[str, str] = field(default_factory=dict)
    rounds: dict[str, dict[str, list[Round]]] = field(default_factory=dict)
    fresh: dict[str, int] = field(default_factory=dict)
    """Bytes before the first request."""
    fixed: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    during: dict[str, Mapping[str, Disturbed]] = field(default_factory=dict)
    sizes: dict[str, list[Size]] = field(default_factory=dict)
    ways: Ways = field(default_factory=dict)
    starts: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path | None) -> "Results":
        """What was measured before; nothing where there is no such file."""
        if file is None or not file.exists():
            return cls()
        found: Results = pickle.loads(file.read_bytes())
        return found

    def save(self, file: Path | None) -> None:
        """For parts to come."""
        if file is not None:
            file.write_bytes(pickle.dumps(self))

    def names(self) -> list[str]:
        """Those that took part in the comparison by rows."""
        return [name for name in ORDER if name in self.titles]

    def title(self, name: str) -> str:
        """With its version, where that is known."""
        return self.titles.get(name, name)

    def works(self) -> list[Work]:
        """The rows that were measured."""
        return [work for work in WORK if any(work.key in rounds for rounds in self.rounds.values())]

    def median(self, name: str, work: Work, what: str) -> float:
        """Of a figure of `Round`, over the rounds."""
        return float(statistics.median(getattr(one, what) for one in self.rounds[name][work.key]))

    def ratio(self, work: Work, beside: str) -> float:
        """CPU a request of the sidecar to that of another."""
        return self.median(OURS, work, "cost") / self.median(beside, work, "cost")

    def added(self, name: str) -> list[float]:
        """Seconds at p50, p99 and p99.9 over calls without a proxy: medians of rounds."""
        own, direct = (
            [statistics.median(column) for column in zip(*self.fixed[each], strict=True)] for each in (name, DIRECT)
        )
        return [late - early for late, early in zip(own, direct, strict=True)]


@dataclass(frozen=True, slots=True)
class Bar:
    """What must be true, and what was seen."""

    claim: str
    seen: float
    limit: float

    @property
    def met(self) -> bool:
        return self.seen <= self.limit


def bars(results: Results) -> list[Bar]:
    """All that this run can judge."""
    found: list[Bar] = []
    if {"haproxy", "envoy"} <= results.titles.keys():
        for work in results.works():
            found += _of_a_row(results, work)
        if results.fresh:
            found.append(Bar("memory at idle, to Envoy", results.fresh[OURS] / results.fresh["envoy"], 1.0))
        if results.fixed:
            ours, theirs = (results.added(name)[1] for name in (OURS, "envoy"))
            found.append(Bar("p99 added at 2 000 calls/s, to Envoy", ours / theirs, 1.0))
    for kind, one in results.during.get(OURS, {}).items():
        found.append(Bar(f"a {kind} adds to the p99 of its second, ms", statistics.median(one.added) * 1e3, 5.0))
    if OURS in results.sizes:
        small, *others = [size for size in results.sizes[OURS] if size.rounds]
        found += [Bar(f"CPU a request {_of_size(other)}, to one", other.to(small), 1.1) for other in others]
    if results.ways:
        found.append(Bar("CPU a request, by address to by Host", ratio(results.ways), 1.1))
    if results.starts:
        found.append(Bar("start to ready, s", statistics.median(results.starts[OURS]), 1.0))
    return found


def _of_size(size: Size) -> str:
    if size.services == 1:
        return f"among {size.instances} instances"
    return f"with {size.services} services, {size.called} called"


def _of_a_row(results: Results, work: Work) -> list[Bar]:
    to_haproxy, to_envoy = (results.ratio(work, beside) for beside in ("haproxy", "envoy"))
    if work.key == "get-32":
        return [
            Bar(f"{work.title}: CPU to HAProxy", to_haproxy, 1.5),
            Bar(f"{work.title}: CPU to Envoy", to_envoy, 0.6),
        ]
    found = [Bar(f"{work.title}: CPU to Envoy", to_envoy, 0.8)]
    if work.large:
        found.append(Bar(f"{work.title}: CPU to HAProxy", to_haproxy, 1.2))
    if work.idle:
        ours, theirs = (results.median(name, work, "resident") for name in (OURS, "envoy"))
        found.append(Bar(f"{work.title}: memory to Envoy", ours / theirs, 1.0))
    return found
