"""The one clock of the process: drives clusters that are due, probes, doubts, drain.

Why one: two hundred services with timers of their own would wake the process all the time; one comparison each,
twenty times a second, costs next to nothing.
"""

import asyncio
from collections.abc import Callable

PERIOD = 0.05
"""Seconds. Probes while requests wait are due every 100 ms; half of that keeps them on time."""

_SLOW = 5
"""Every so many beats comes what may take a quarter of a second: doubts, files, drain."""


class Heartbeat:
    """Calls itself again until stopped; both callbacks get the loop's time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        on_beat: Callable[[float], None],
        on_slow_beat: Callable[[float], None],
    ) -> None:
        self._loop = loop
        self._on_beat = on_beat
        self._on_slow_beat = on_slow_beat
        self._beats = 0
        self._timer = loop.call_later(PERIOD, self._beat)

    def stop(self) -> None:
        """No beat follows."""
        self._timer.cancel()

    def _beat(self) -> None:
        self._timer = self._loop.call_later(PERIOD, self._beat)
        now = self._loop.time()
        self._on_beat(now)
        self._beats += 1
        if self._beats % _SLOW == 0:
            self._on_slow_beat(now)
