"""The randomness that the core asks for: one method, so that a list of numbers can stand in for it."""

from typing import Protocol

JITTER = 0.2
"""Back-offs vary by this share either way, so that many sidecars do not knock in step."""


class Rng(Protocol):
    """A source of numbers in [0, 1); `random.Random` is one."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


def jittered(seconds: float, rng: Rng) -> float:
    """`seconds` ± 20 %."""
    return seconds * (1.0 - JITTER + 2.0 * JITTER * rng.random())
