"""What the app is told of the services of the YAML: the registry's own words, and what the guard adds to them.

**Why union:** the app's list loses an instance only when both the registry has left it out on the app's own connection and
the guard believes that. So an empty or shrunk list never gets through, nothing that the registry lists is withheld, and a
list that is complete passes as it is, to the byte.

**Who is not ours:** services that the YAML does not name, and those of another namespace.

**The app's own service:** frameworks look themselves up, and must see their own registration come and go. So it is never
replaced by the sidecar, and an instance that the app itself took back is not kept.
"""

import enum
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.events import Event, ListWithheld
from sidecar.cluster.instance import Instance
from sidecar.facade.hosts import host_text, sidecar_text, speaks_dubbo
from sidecar.facade.lists import ListText, breath, joined
from sidecar.facade.names import Named
from sidecar.facade.wanted import Wanted

MOST_CLUSTERS = 64
"""Nacos clusters of one service that are remembered: a name for each stands in every list."""

MOST_WITHDRAWN = 1024
"""Instances that the app took back and that are remembered."""


class Lists(enum.Enum):
    """What `facade.lists` says."""

    GUARDED = "guarded"
    SIDECAR = "sidecar"


@dataclass(frozen=True, slots=True)
class Ours:
    """One service of the YAML; `address` is its own listener, None where it has none that can be named."""

    cluster: Cluster
    address: tuple[str, int] | None = None

    def text(self, named: Named, clusters: frozenset[str]) -> str:
        """The listener as a host in those of the clusters that may have instances of ours; empty where it has none."""
        if self.address is None:
            return ""
        discovery = self.cluster.policy.discovery
        ours = frozenset(discovery.clusters)
        within = (clusters & ours) or clusters or ours
        return sidecar_text(named, self.address, self.cluster.in_force(), within, discovery.metadata)


@dataclass(frozen=True, slots=True)
class Told:
    """The hosts of one list as the app gets it, and what of them did not come from the registry."""

    hosts: str
    added: frozenset[str]
    """Addresses of those that the guard has added."""
    signature: object
    """Equal where the app has to be told nothing: the addresses on it, or all of the text that we made."""

    @classmethod
    def nothing(cls) -> "Told":
        """Before the first list."""
        return cls("", frozenset(), None)


class Offer:
    """One service of the registry; several of the YAML may share it."""

    def __init__(
        self, named: Named, lists: Lists, members: Sequence[Ours], emit: Callable[[Sequence[Event]], None]
    ) -> None:
        self.named = named
        self.members = tuple(members)
        self.provided = False
        """The app registers itself as an instance of it."""
        self.withdrawn: dict[str, None] = {}
        """Addresses that the app has registered and taken back; the oldest first."""
        self.changed_at = -math.inf
        """When what is in force changed last; loop time."""
        self._lists = lists
        self._emit = emit
        self._clusters: set[str] = set()
        self._whole: tuple[Wanted, ListText] | None = None
        """The last complete list, and for whom it was complete."""
        self._raw: dict[str, str] = {}
        self._withholding = False

    def __repr__(self) -> str:
        return f"<Offer {self.named.grouped} {self._lists.value}>"

    def keep(self, older: "Offer") -> None:
        """Takes over what an earlier configuration has learnt of the same service."""
        self._clusters, self._whole, self._raw = older._clusters, older._whole, older._raw  # noqa: SLF001 - of our kind
        self._withholding = older._withholding  # noqa: SLF001
        self.provided, self.withdrawn = older.provided, older.withdrawn

    def registered(self, addresses: Iterable[str]) -> None:
        """The app wants to be called at these as an instance of it."""
        self.provided = True
        for address in addresses:
            self.withdrawn.pop(address, None)

    def deregistered(self, addresses: Iterable[str]) -> None:
        """It wants that no more."""
        self.withdrawn |= dict.fromkeys(addresses)
        while len(self.withdrawn) > MOST_WITHDRAWN:
            del self.withdrawn[next(iter(self.withdrawn))]

    def count(self, result: str) -> None:
        """Another list of it was passed on."""
        if self.members:
            self.members[0].cluster.stats.facade_lists[result] += 1

    @property
    def replaced(self) -> bool:
        """The app is told the sidecar's address instead of the instances."""
        return (
            self._lists is Lists.SIDECAR
            and not self.provided
            and any(one.address is not None for one in self.members)
            and not speaks_dubbo(self.named, self._in_force())
        )

    @property
    def known(self) -> bool:
        """There is a list to give without the registry."""
        return self.replaced or all(one.cluster.has_list for one in self.members)

    async def told(self, heard: ListText | None, wanted: Wanted, *, only: Collection[str] | None = None) -> Told:
        """The list for the app when the registry said `heard`, or nothing, to whoever asked.

        `only`: beside what was heard no other addresses than these, and those that are held.
        """
        await breath(heard.text if heard else "")
        if self.replaced:
            return self._sidecar(wanted)
        listed = heard.addresses if heard else frozenset()
        unlisted = [one for one in self._in_force() if one.address not in listed]
        missing = [one for one in unlisted if wanted.takes(one) and self._may_add(one, only)]
        await breath(heard.text if heard else "")
        raw = await self._texts(missing)
        hosts = joined(heard.hosts if heard else "", *(raw[one.address] for one in missing))
        return Told(hosts, frozenset(raw), listed | raw.keys())

    def heard(self, whole: ListText, told: Told, wanted: Wanted) -> None:
        """The registry said this, and the app was told that: counts it, and remembers how hosts are written."""
        if self.replaced:
            self.count("replaced")
            return
        self.count("withheld" if self.withholds(told, len(whole.addresses)) else "passed")
        known_for = self._whole[0] if self._whole is not None else wanted
        if whole.addresses and not told.added and wanted in {Wanted(), known_for}:
            self._whole = wanted, whole
            self._raw.clear()

    def withholds(self, told: Told, offered: int) -> bool:
        """Whether a list of so many was made better for the app, which is told of once.

        Somebody whom the registry has just left out may be with us for a moment longer: that is none yet.
        """
        held = any(address in one.cluster.guard.held for one in self.members for address in told.added)
        if held and not self._withholding:
            name = self.members[0].cluster.name
            self._emit([ListWithheld(service=name, offered=offered, kept=len(told.added))])
        self._withholding = held or (self._withholding and any(one.cluster.guard.held for one in self.members))
        return held

    def _sidecar(self, wanted: Wanted) -> Told:
        if len(self._clusters) < MOST_CLUSTERS:
            self._clusters |= {one.cluster for one in self._in_force()}
        clusters = wanted.clusters or frozenset(self._clusters)
        hosts = joined(*(one.text(self.named, clusters) for one in self.members))
        return Told(hosts, frozenset(), hosts)

    def _in_force(self) -> Iterable[Instance]:
        if len(self.members) == 1:
            return self.members[0].cluster.in_force()
        return {one.address: one for ours in self.members for one in ours.cluster.in_force()}.values()

    def _may_add(self, instance: Instance, only: Collection[str] | None) -> bool:
        if instance.address in self.withdrawn:
            return False
        if only is None or instance.address in only:
            return True
        return any(instance.address in one.cluster.guard.held for one in self.members)

    async def _texts(self, instances: Collection[Instance]) -> dict[str, str]:
        """Each as the registry wrote it last, else as we would; by address."""
        unknown = {one.address for one in instances} - self._raw.keys()
        if unknown and self._whole is not None:
            self._raw |= await self._whole[1].raw(unknown)
        texts = {one.address: self._raw.get(one.address) or host_text(one, self.named) for one in instances}
        self._raw = {address: text for address, text in self._raw.items() if address in texts}
        return texts


class Offers:
    """All of them, by their names in the registry."""

    def __init__(self) -> None:
        self._offers: Mapping[Named, Offer] = {}
        self._by_service: Mapping[str, Offer] = {}

    def __repr__(self) -> str:
        return f"<Offers {len(self._offers)}>"

    def __iter__(self) -> Iterator[Offer]:
        return iter(self._offers.values())

    def replace(
        self, ours: Mapping[Named, Sequence[Ours]], lists: Lists, emit: Callable[[Sequence[Event]], None]
    ) -> list[Offer]:
        """Puts a configuration in force; what has to be told: all of now, and without members those that are ours no more."""
        before, self._offers = self._offers, {named: Offer(named, lists, of, emit) for named, of in ours.items()}
        for named, offer in self._offers.items():
            if named in before:
                offer.keep(before[named])
        self._by_service = {one.cluster.name: offer for offer in self._offers.values() for one in offer.members}
        return [
            *self._offers.values(),
            *(Offer(named, lists, (), emit) for named in before.keys() - self._offers.keys()),
        ]

    def find(self, named: Named) -> Offer | None:
        """What the app is to be told of this service; None: whatever the registry says."""
        return self._offers.get(named)

    def of_service(self, name: str) -> Offer | None:
        """By its name in the YAML."""
        return self._by_service.get(name)
