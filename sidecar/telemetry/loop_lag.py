"""How late the event loop runs: a timer that notes by how much it was missed.

Why: one slow callback delays every request of every service, and no other metric shows it. The lag also answers
`/healthz`, the only thing a restart of the sidecar can cure.
"""

import asyncio
from collections.abc import Callable, Sequence

from sidecar.cluster.events import Event, LoopLag
from sidecar.cluster.stats import ProcessStats

INTERVAL = 0.5
NOTABLE = 1.0
"""Seconds of lag that are worth an event."""


class LagMeter:
    """Samples the lag of one loop."""

    __slots__ = ("_due", "_emit", "_last", "_loop", "_stats", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, stats: ProcessStats, emit: Callable[[Sequence[Event]], None]
    ) -> None:
        self._loop = loop
        self._stats = stats
        self._emit = emit
        self._due = 0.0
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to sample; the first sample is half a second away."""
        self._due = self._loop.time() + INTERVAL
        self._timer = self._loop.call_at(self._due, self._sample)

    def stop(self) -> None:
        """Ends sampling."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def lag(self) -> float:
        """Seconds: the last sample, or by how much the next one is overdue just now if that is more."""
        overdue = self._loop.time() - self._due if self._timer is not None else 0.0
        return max(self._last, overdue)

    def _sample(self) -> None:
        self._last = max(0.0, self._loop.time() - self._due)
        self._stats.loop_lag.observe(self._last)
        if self._last >= NOTABLE:
            self._emit([LoopLag(lag_s=round(self._last, 3))])
        self.start()
