"""Exact counts over the last ten seconds, in ten slots of one second: no decay, no approximation.

A slot is one whole second of the caller's clock. What was counted in second `s` is part of every total asked for
in the seconds `s` to `s + 9` and of none after that.
"""

SLOTS = 10


class Slots:
    """A sum over the last ten whole seconds, the present one included."""

    __slots__ = ("_counts", "_newest")

    def __init__(self) -> None:
        self._counts = [0.0] * SLOTS
        self._newest = 0

    def add(self, now: float, amount: float = 1.0) -> None:
        """Counts `amount` in the present second."""
        self._advance(int(now))
        self._counts[self._newest % SLOTS] += amount

    def total(self, now: float) -> float:
        """The sum over the last ten seconds."""
        self._advance(int(now))
        return sum(self._counts)

    def _advance(self, second: int) -> None:
        if second <= self._newest:
            return
        for passed in range(max(self._newest + 1, second - SLOTS + 1), second + 1):
            self._counts[passed % SLOTS] = 0.0
        self._newest = second
