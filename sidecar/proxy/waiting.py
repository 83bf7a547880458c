"""Requests held until something becomes usable: the only cure for the restart of a single replica.

First in, first out and bounded. Nobody is ever held longer than its own deadline; whoever leaves early leaves no
trace. The queue knows nothing of HTTP: a waiter is anything with two callbacks.
"""

from collections.abc import Callable
from typing import Protocol

from sidecar.errors import FAILURES, Failure, Sent

AGAIN_FIRST, AGAIN_MOST = 0.1, 1.0
"""Seconds before an endpoint is tried again, doubling: it just failed, and nobody else is there to ask."""


class Waiter(Protocol):
    """Somebody who is held."""

    def released(self, now: float) -> None:
        """Something is usable: choose again. May enter the queue again, at its end."""
        ...


class WaitingRoom:
    """A bounded first-in-first-out queue; a dict keeps the order and lets anyone leave at once."""

    __slots__ = ("_held", "max_queued")

    def __init__(self, max_queued: int) -> None:
        self.max_queued = max_queued
        self._held: dict[Waiter, None] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"<WaitingRoom {len(self._held)}/{self.max_queued}>"

    def enter(self, waiter: Waiter) -> bool:
        """False when the queue is full."""
        if len(self._held) >= self.max_queued:
            return False
        self._held[waiter] = None
        return True

    def leave(self, waiter: Waiter) -> bool:
        """The waiter's time is over, or its app has gone; False when it had been released already."""
        return self._held.pop(waiter, self) is None

    def release(self, now: float, while_: Callable[[], bool]) -> int:
        """Lets go of those who are held now, in order, as long as `while_()`; how many.

        Whoever comes back during the release waits for the next one: a round always ends.
        """
        released = 0
        for waiter in tuple(self._held):
            if not while_():
                break
            if waiter not in self._held:
                continue
            del self._held[waiter]
            released += 1
            waiter.released(now)
        return released


def why_nobody(last: Failure | None) -> Failure:
    """Why a wait was in vain: the last refusal, if that is what left nobody."""
    return last if last is not None and last.sent is Sent.NOTHING else FAILURES["no_instance"]
