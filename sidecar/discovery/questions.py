"""What to ask registry nodes about doubted lists, and when. Pure: `now` is an argument, nothing is sent from here.

Two questions a service, while something of it is held:
  everything   is it disabled, or gone? At once, then about every second.
  offered      does another node miss it too? Where that may be asked: 2 s after the doubt began (a change takes 1.6 s
               from node to node), then about every second.
Bounds: 20 questions a second in all, 8 on their way, one of each kind a service; a long list is asked for more rarely,
as its reading takes its time. Jitter of up to 20 %, so that a fleet that saw the same restart does not ask in step.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.clock import Rng
from sidecar.cluster.instance import View
from sidecar.discovery.planner import PER_INSTANCE
from sidecar.discovery.session import ServiceKey

PATIENCE = 2.0
INTERVAL = 1.0
SPACING = 1 / 20
MAX_ON_THEIR_WAY = 8


@dataclass(frozen=True, slots=True)
class Enquiry:
    """What is to be found out about one service."""

    clusters: frozenset[str] = frozenset()
    """Nacos clusters of what is held."""
    elsewhere: bool = False
    """Nodes other than the session's may be asked."""

    def __or__(self, other: "Enquiry") -> "Enquiry":
        """For two services of the YAML that are one to the registry."""
        return Enquiry(self.clusters | other.clusters, self.elsewhere or other.elsewhere)


@dataclass(slots=True, eq=False)
class Question:
    """One of the two about one service, asked again and again."""

    key: ServiceKey
    view: View
    due_at: float
    enquiry: Enquiry
    on_its_way: bool = field(default=False)


class Questions:
    """The questions of all services in doubt, and their turns."""

    __slots__ = ("_next_slot", "_on_their_way", "_questions", "_rng")

    def __init__(self, *, rng: Rng) -> None:
        self._rng = rng
        self._questions: dict[tuple[ServiceKey, View], Question] = {}
        self._on_their_way = 0
        self._next_slot = -math.inf

    def __repr__(self) -> str:
        return f"<Questions: {len(self._questions)}, {self._on_their_way} on their way>"

    def __bool__(self) -> bool:
        return bool(self._questions)

    def about(self, enquiries: Mapping[ServiceKey, Enquiry], now: float) -> None:
        """Replaces what is to be found out; questions that stay keep their turns."""
        wanted = {
            (key, view): enquiry
            for key, enquiry in enquiries.items()
            for view in (View.EVERYTHING, View.OFFERED)
            if view is View.EVERYTHING or enquiry.elsewhere
        }
        kept = {name: question for name, question in self._questions.items() if name in wanted}
        for name, enquiry in wanted.items():
            key, view = name
            if name not in kept:
                kept[name] = Question(
                    key, view, now + (self._jittered(PATIENCE) if view is View.OFFERED else 0.0), enquiry
                )
            kept[name].enquiry = enquiry
        self._questions = kept

    def due(self, now: float) -> Question | None:
        """What to ask now; the caller reports `asked` or `passed` before it calls again."""
        question, at = self._next()
        return question if at <= now else None

    def wake_at(self) -> float:
        """When `due` will have something if nothing happens before; infinite while nothing may be asked."""
        return self._next()[1]

    def asked(self, question: Question, now: float) -> None:
        """It is on its way."""
        question.on_its_way = True
        question.due_at = now + self._jittered(INTERVAL)
        self._on_their_way += 1
        self._next_slot = now + SPACING

    def answered(self, question: Question, instances: int, now: float) -> None:
        """Its way has ended; with a list of so many instances, or with none."""
        question.on_its_way = False
        question.due_at = max(question.due_at, now + self._jittered(PER_INSTANCE * instances))
        self._on_their_way -= 1

    def passed(self, question: Question, now: float) -> None:
        """There is nobody to ask just now, which costs no turn of the others."""
        question.due_at = now + INTERVAL

    def _next(self) -> tuple[Question | None, float]:
        free = [question for question in self._questions.values() if not question.on_its_way]
        if not free or self._on_their_way >= MAX_ON_THEIR_WAY:
            return None, math.inf
        question = min(free, key=_due_at)
        return question, max(question.due_at, self._next_slot)

    def _jittered(self, seconds: float) -> float:
        return seconds * (1.0 + 0.2 * self._rng.random())


def _due_at(question: Question) -> float:
    return question.due_at
