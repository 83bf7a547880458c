"""A service on a stage: lists, calls and time in a few words. Letters name endpoints: `a` is 10.0.0.1:80."""

import random
from collections.abc import Collection, Iterable
from typing import Any

from sidecar.cluster.addresses import Claims
from sidecar.cluster.backlog import Backlog
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.events import Event
from sidecar.cluster.instance import Instance, Origin, Push, Via
from sidecar.cluster.policy import Protection, ServicePolicy
from sidecar.errors import FAILURES

QUIET = Protection(shrink_threshold=1.0)
"""Only empty lists are doubted."""


def instance(letter: str, **changes: Any) -> Instance:
    """The instance that `letter` names."""
    return Instance(f"10.0.0.{ord(letter) - ord('a') + 1}", 80, **changes)


def at(letter: str) -> str:
    """Its address."""
    return instance(letter).address


def at_all(letters: Iterable[str]) -> frozenset[str]:
    """Their addresses."""
    return frozenset(at(letter) for letter in letters)


def letter_of(address: str) -> str:
    """The name of an address."""
    return chr(int(address.removeprefix("10.0.0.").removesuffix(":80")) + ord("a") - 1)


class Even:
    """Randomness without surprise: always the middle, so that jitter adds nothing."""

    def random(self) -> float:
        """Half."""
        return 0.5


class Stage:
    """One cluster, its clock, and everything that it said so far."""

    def __init__(
        self,
        *,
        rng: Any = None,
        now: float = 100.0,
        own: Collection[str] = (),
        claims: Claims | None = None,
        **policy: Any,
    ) -> None:
        self.now = now
        self.cluster = Cluster(
            ServicePolicy("orders", **policy),
            rng=rng or random.Random(1),
            now=now,
            own_addresses=at_all(own),
            claims=claims,
        )
        self.events: list[Event] = []
        self._take_list = self.cluster.apply
        self._sequence = 0

    def __getitem__(self, letter: str) -> Endpoint:
        return self.cluster.endpoints[at(letter)]

    def state(self, letter: str) -> State:
        """Its state at present."""
        return self[letter].state

    def lists(
        self, letters: str | Iterable[Instance], *, origin: Origin = Origin.NACOS, via: Via = Via.PUSH, **rest: Any
    ) -> list[Event]:
        """A list arrives; letters, or instances made to measure."""
        self._sequence += 1
        instances = tuple(instance(one) if isinstance(one, str) else one for one in letters)
        rest = {"epoch": 1, "sequence": self._sequence, **rest}
        return self._said(self._take_list(Push("orders", instances, origin, via=via, **rest), self.now))

    def drop(self) -> None:
        """The cluster is over, and what it said."""
        self.events.clear()
        del self.cluster, self._take_list

    def hesitate(self) -> None:
        """From now on lists come into force endpoint by endpoint, each when `go_on` or time asks for it."""
        self._take_list = self.cluster.take
        self.cluster._members.backlog = Backlog(1)

    def go_on(self) -> list[Event]:
        """One endpoint more."""
        return self._said(self.cluster.go_on(self.now))

    def wait(self, seconds: float, *, alive: str = "", step: float = 0.05) -> list[Event]:
        """Time passes as it does in the application: a tick and probes whenever they are due.

        Probes of the letters in `alive` succeed, all others are refused.
        """
        end, said = self.now + seconds, len(self.events)
        while self.now < end - 1e-9:
            self.now = min(end, max(self.now + step, min(self.cluster.next_due, end)))
            if self.now >= self.cluster.next_due:
                self._said(self.cluster.tick(self.now))
                self.probe(alive)
        return self.events[said:]

    def probe(self, alive: str = "") -> list[str]:
        """Dials whoever is due now; returns their letters in order."""
        due = self.cluster.probes_due(self.now)
        for endpoint in due:
            well = letter_of(endpoint.address) in alive
            self._said(self.cluster.probed(endpoint, None if well else FAILURES["refused"], self.now))
        return [letter_of(endpoint.address) for endpoint in due]

    def begin(self, letter: str) -> Endpoint:
        """An attempt on a chosen endpoint; it is not reported yet."""
        if (drawn := self.cluster.pick(self.now)) is not None:
            drawn.in_flight -= 1
        self[letter].in_flight += 1
        return self[letter]

    def call(self, outcome: int | str = 200, *, on: str | None = None, **facts: Any) -> str | None:
        """One attempt from choice to report, on a chosen endpoint or on one `on` which we insist; its letter."""
        endpoint = self._take(on)
        if endpoint is None:
            return None
        if isinstance(outcome, int):
            self._said(self.cluster.report_answer(endpoint, outcome, self.now, **facts))
        else:
            self._said(self.cluster.report_failure(endpoint, FAILURES[outcome], self.now, **facts))
        return letter_of(endpoint.address)

    def chosen(self, count: int) -> set[str]:
        """Whom so many calls went to, all answered well."""
        return {letter for _ in range(count) if (letter := self.call()) is not None}

    def chosen_warily(self, count: int) -> set[str]:
        """The same of calls that must not be lost."""
        letters = set()
        for _ in range(count):
            if (endpoint := self.cluster.pick(self.now, wary=True)) is not None:
                letters.add(letter_of(endpoint.address))
                self._said(self.cluster.report_answer(endpoint, 200, self.now))
        return letters

    def kinds(self) -> list[str]:
        """The kinds of all events so far, in order."""
        return [event.kind for event in self.events]

    def clear(self) -> None:
        """Forgets what was said."""
        self.events.clear()

    def _take(self, on: str | None) -> Endpoint | None:
        return self.cluster.pick(self.now) if on is None else self.begin(on)

    def _said(self, events: Iterable[Event]) -> list[Event]:
        said = list(events)
        self.events += said
        return said
