"""Whose turn it is: endpoints by a number, mostly a time, lowest first.

Why: among five thousand endpoints a handful has something to do now. Asking all of them after each result of a probe
would take the loop for seconds.
"""

import math
from heapq import heapify, heappop, heappush
from itertools import count

from sidecar.cluster.endpoint import Endpoint

SLACK = 64
"""Entries out of force, beyond as many as are in force, that are not worth a clean-up."""


class Agenda:
    """Each endpoint stands in it once, no later than it was put last: who is taken may find that it is too early.

    So a turn that moves away, as most do, costs nothing; whoever takes an endpoint puts it back if need be.
    """

    __slots__ = ("_at", "_heap", "_order")

    def __init__(self) -> None:
        self._at: dict[Endpoint, float] = {}
        self._heap: list[tuple[float, int, Endpoint]] = []
        self._order = count()

    def __repr__(self) -> str:
        return f"<Agenda of {len(self._at)}>"

    def __len__(self) -> int:
        return len(self._at)

    def put(self, endpoint: Endpoint, at: float) -> None:
        """Gives it a turn at `at` at the latest; one that it has before stays. Infinite: no turn is needed."""
        if at < self._at.get(endpoint, math.inf):
            self._at[endpoint] = at
            heappush(self._heap, (at, next(self._order), endpoint))
            if len(self._heap) > 2 * len(self._at) + SLACK:
                self._heap = [entry for entry in self._heap if self._at.get(entry[2]) == entry[0]]
                heapify(self._heap)

    def drop(self, endpoint: Endpoint) -> None:
        """It has left."""
        self._at.pop(endpoint, None)

    def first(self) -> float:
        """The lowest number; infinite when nobody stands here."""
        heap, at = self._heap, self._at
        while heap and at.get(heap[0][2]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else math.inf

    def pop(self) -> Endpoint:
        """Takes out the first, of equals the one put first; there has to be one."""
        self.first()
        endpoint = heappop(self._heap)[2]
        del self._at[endpoint]
        return endpoint

    def take(self, now: float, *, most: float = math.inf) -> list[Endpoint]:
        """Takes out those whose turn has come, at most so many."""
        taken: list[Endpoint] = []
        while len(taken) < most and self.first() <= now:
            taken.append(self.pop())
        return taken
