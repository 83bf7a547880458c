"""One coarse timer wheel per process: a deadline of a connection costs an attribute write, not a heap entry.

Why: every request moves its deadlines several times and hardly ever reaches one. `loop.call_later` and its
cancellation cost as much as reading the request's head.

How: a timer lies in the bucket of the tick at which it should be looked at. Moving the deadline later is only a
write; when its bucket comes up, a timer whose deadline is still ahead is put into a later bucket. Moving it
earlier than its bucket moves it to another one. A timer never fires early, and at most one tick late.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Protocol

RESOLUTION = 0.1
"""Seconds a tick: head, response and idle limits are seconds long, nobody notices a tenth."""

_HORIZON = 100
"""Ticks: nothing is filed further ahead, so that there are at most so many buckets."""

_NOWHERE = 1 << 62


class CallLater(Protocol):
    """`loop.call_later`."""

    def __call__(self, delay: float, callback: Callable[[], None], /) -> object: ...


def _forgotten(now: float) -> None:
    """What a cancelled timer calls."""


class Timer:
    """A deadline that somebody moves; `expired(now)` is called once after it has passed."""

    __slots__ = ("deadline", "expired", "looked_at", "tick")

    def __init__(self, expired: Callable[[float], None]) -> None:
        self.deadline = math.inf
        self.expired = expired
        self.tick = _NOWHERE
        """The wheel's own: the bucket it lies in,"""
        self.looked_at = math.inf
        """and when that bucket comes up."""

    def disarm(self) -> None:
        """No deadline for now."""
        self.deadline = math.inf


def _ring(timer: Timer, now: float) -> None:
    """One broken callback must not stop the clocks of all other connections; the loop's handler is told."""
    try:
        timer.expired(now)
    except Exception as error:  # noqa: BLE001 - reported, as the loop does for its own callbacks
        context = {"message": f"a timer's callback failed: {timer.expired!r}", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


class Wheel:
    """All timers of the process; it ticks only while it holds any."""

    __slots__ = ("_buckets", "_call_later", "_last", "_now", "_ticking")

    def __init__(self, call_later: CallLater, now: Callable[[], float]) -> None:
        self._call_later = call_later
        self._now = now
        self._buckets: dict[int, dict[Timer, None]] = {}
        self._last = int(now() / RESOLUTION)
        self._ticking = False

    def __repr__(self) -> str:
        return f"<Wheel {sum(map(len, self._buckets.values()))} timers>"

    def arm(self, timer: Timer, deadline: float) -> None:
        """Moves the deadline (seconds of the wheel's clock), earlier or later; `math.inf` is none."""
        timer.deadline = deadline
        if deadline < timer.looked_at:
            self.file(timer)

    def file(self, timer: Timer) -> None:
        """Needed when the deadline was moved to before `looked_at`; `arm` does both."""
        if not self._ticking:
            self._last = int(self._now() / RESOLUTION)
            self._start(self._now())
        tick = min(max(int(timer.deadline / RESOLUTION), self._last) + 1, self._last + _HORIZON)
        if tick >= timer.tick:
            return
        self._take_out(timer)
        timer.tick = tick
        timer.looked_at = tick * RESOLUTION
        self._buckets.setdefault(tick, {})[timer] = None

    def cancel(self, timer: Timer) -> None:
        """Never again; lets go of it, and of its callback's owner, at once.

        An app that connects for each call would else leave a hundred thousand of them behind, those of ten seconds.
        """
        self._take_out(timer)
        timer.deadline = math.inf
        timer.expired = _forgotten

    def _take_out(self, timer: Timer) -> None:
        bucket = self._buckets.get(timer.tick)
        if bucket is not None:
            del bucket[timer]
            if not bucket:
                del self._buckets[timer.tick]
        timer.tick, timer.looked_at = _NOWHERE, math.inf

    def _start(self, now: float) -> None:
        self._ticking = True
        self._call_later((self._last + 1) * RESOLUTION - now, self._turn)

    def _turn(self) -> None:
        now = self._now()
        current = int(now / RESOLUTION)
        # Filing during the turn must land ahead of it, so the mark moves first.
        first, self._last = self._last + 1, current
        try:
            # However long the process stood still: what was filed before lies within the horizon from there.
            for tick in range(first, min(current + 1, first + _HORIZON)):
                bucket = self._buckets.pop(tick, None)
                if bucket is not None:
                    self._sift(bucket, now)
        finally:
            if self._buckets:
                self._start(now)
            else:
                self._ticking = False

    def _sift(self, bucket: Iterable[Timer], now: float) -> None:
        for timer in bucket:
            timer.tick, timer.looked_at = _NOWHERE, math.inf
            if timer.deadline <= now:
                timer.deadline = math.inf
                _ring(timer, now)
            elif timer.deadline != math.inf:
                self.file(timer)
