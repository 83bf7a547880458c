"""An event loop whose idle waits take no wall time; sockets still work.

When nothing is ready and the next thing to happen is a timer, the loop's clock jumps to that timer. Bytes in
flight on loopback get two milliseconds of real time to land first, so that a test that mixes sockets and timers
sees them in the order that a patient observer would.
"""

import asyncio
import selectors
from typing import Any

_LANDING_TIME = 0.002


class _Jump(selectors.DefaultSelector):
    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout is None or timeout <= 0:
            return ready or super().select(timeout)
        ready = super().select(min(_LANDING_TIME, timeout))
        if not ready:
            self.loop.skipped += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop with a clock that skips idle time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.skipped = 0.0
        selector = _Jump()
        selector.loop = self
        super().__init__(selector, *args, **kwargs)

    def time(self) -> float:
        """Monotonic seconds plus all that was skipped."""
        return super().time() + self.skipped
