"""When what happens, in seconds. Pure.

The whole run stays under a minute even where everything is slow: what the start has cost is taken off the load, and
a story that is late is told to its end at the cost of the reserve, not of its last step.
"""

from dataclasses import dataclass

LATEST = 48.0
"""Seconds after the start at which the load is over whatever happens. The rest of the minute is for the interpreter's
own start, a last answer (5 s) and for ending everything (5 s at most for each of two rounds, 2 s as a rule)."""

SHORTEST = 5.0
"""Of a load that is wanted; it goes on until the story is told, so three restarts make it somewhat longer."""

LONGEST = 45.0
"""Leaves three seconds for the start."""

_STORY = 10.0
"""What three restarts and a lie take: each restart a second of farewell, and one or two to come back."""


@dataclass(frozen=True, slots=True)
class Moments:
    """After the load began: when each restart and the lie begin at the earliest, and how long the lie lasts."""

    restarts: tuple[float, ...]
    lie: float
    lie_lasts: float


def moments(seconds: float, restarts: int) -> Moments:
    """Spreads the restarts over two thirds of the load; then the lie, and a quiet end."""
    return Moments(
        restarts=tuple(seconds * (0.05 + 0.66 * number / restarts) for number in range(restarts)),
        lie=seconds * 0.75,
        lie_lasts=seconds * 0.1,
    )


def affordable(wanted: float, spent: float) -> float | None:
    """How long the load may be when the start took `spent`; None when too little time is left for any."""
    left = LATEST - spent
    return min(wanted, left) if left >= _STORY else None
