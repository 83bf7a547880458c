"""So many a second, and a few at once after a rest: what may begin, of things that cost the loop.

Why: after a registry has lost its memory, ten thousand endpoints may wait for a dial, and a dial costs a quarter of a
millisecond. Whoever hands out turns shares one of these among all services.
"""

_ROUNDING = 1e-6


class Allowance:
    """A bucket that fills evenly."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        """`rate` a second; full at first."""
        self._rate = rate
        self._burst = float(burst)
        self._left = self._burst
        self._at = now

    def __repr__(self) -> str:
        return f"<Allowance of {self._rate:g} a second, {self._left:.1f} left>"

    def spent(self, now: float) -> bool:
        """Whether nothing may begin now."""
        if now > self._at:
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
            self._at = now
        return self._left < 1.0 - _ROUNDING

    def take(self) -> None:
        """Something begins."""
        self._left -= 1.0

    def next_at(self) -> float:
        """From when on something may begin."""
        return self._at + max(0.0, 1.0 - self._left) / self._rate
