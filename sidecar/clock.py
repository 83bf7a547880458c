"""Time and randomness: the protocols that the core takes, and the only callers of the real ones."""

import random
import time
from typing import Protocol

monotonic = time.monotonic
"""Seconds of a clock that never jumps; the same clock as `loop.time()` on asyncio and uvloop."""

wall = time.time
"""Seconds since the epoch; for people's eyes only, nothing is decided by it."""


class Rng(Protocol):
    """The one kind of randomness that the core asks for."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


def system_rng() -> Rng:
    """A generator of its own, seeded by the operating system."""
    return random.Random()  # noqa: S311 - balancing and jitter, no secrets
