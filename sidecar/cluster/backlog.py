"""What is decided for many endpoints and not yet done to each: a slice at a time, so that nothing else waits for it.

Why: a list of five thousand costs a tenth of a second, and the event loop that takes it carries calls. The decision
itself is quick; what follows for each endpoint can wait for its turn, because an endpoint that is not yet touched is
as it was a moment ago.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from sidecar.cluster.events import Event

SLICE = 64
"""Endpoints done at a time: a millisecond or two."""

T = TypeVar("T")


class _Job:
    """Knows its next item, so that one whose last is done is over."""

    __slots__ = ("_next", "_rest", "do", "weight")

    def __init__(self, items: Iterable[Any], do: Callable[[Any, float], Sequence[Event]], weight: int) -> None:
        self._rest = iter(items)
        self._next = next(self._rest, _NOTHING)
        self.do = do
        self.weight = weight

    @property
    def over(self) -> bool:
        return self._next is _NOTHING

    def take(self) -> Any:
        item, self._next = self._next, next(self._rest, _NOTHING)
        return item


_NOTHING = object()


class Backlog:
    """Jobs in the order in which they were put; each is done item by item."""

    __slots__ = ("_jobs", "_slice")

    def __init__(self, endpoints: int = SLICE) -> None:
        self._slice = endpoints
        self._jobs: deque[_Job] = deque()

    def __repr__(self) -> str:
        return f"<Backlog of {len(self._jobs)} jobs>"

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def put(self, items: Iterable[T], do: Callable[[T, float], Sequence[Event]], *, weight: int = 1) -> None:
        """Has `do(item, now)` called for each item, after all that was put before.

        `weight`: as how many endpoints an item counts. The items are asked for one by one, when their turn comes.
        """
        job = _Job(items, do, weight)
        if not job.over:
            self._jobs.append(job)

    def work(self, now: float) -> list[Event]:
        """Does one slice, at least one item; returns what happened."""
        events: list[Event] = []
        left = self._slice
        while self._jobs and left > 0:
            job = self._jobs[0]
            while not job.over and left > 0:
                left -= job.weight
                events += job.do(job.take(), now)
            if job.over:
                self._jobs.popleft()
        return events
