"""Exact counts over the last ten seconds, in ten slots of one second: no decay, no approximation.

A slot is one whole second of the caller's clock. What was counted in second `s` is part of every total asked for
in the seconds `s` to `s + 9` and of none after that.
"""

SLOTS = 10

ENOUGH = 10
"""Answers before a success rate means anything."""


class Slots:
    """A sum over the last ten whole seconds, the present one included."""

    __slots__ = ("_counts", "_newest")

    def __init__(self) -> None:
        self._counts = [0.0] * SLOTS
        self._newest = 0

    def add(self, now: float, amount: float = 1.0) -> None:
        """Counts `amount` in the present second."""
        second = int(now)
        if second > self._newest:
            self._advance(second)
        self._counts[self._newest % SLOTS] += amount

    def total(self, now: float) -> float:
        """The sum over the last ten seconds."""
        second = int(now)
        if second > self._newest:
            self._advance(second)
        return sum(self._counts)

    def _advance(self, second: int) -> None:
        """Empties the slots of the seconds that have begun since."""
        for passed in range(max(self._newest + 1, second - SLOTS + 1), second + 1):
            self._counts[passed % SLOTS] = 0.0
        self._newest = second


class SuccessRate:
    """Good and bad answers of one endpoint over ten exact seconds."""

    __slots__ = ("_all", "_good")

    def __init__(self) -> None:
        self._all = Slots()
        self._good = Slots()

    def count(self, now: float, *, good: bool) -> None:
        """Adds one answer."""
        self._all.add(now)
        if good:
            self._good.add(now)

    def below(self, threshold: float, now: float) -> bool:
        """Whether ten answers or more were good less often than `threshold`."""
        total = self._all.total(now)
        return total >= ENOUGH and self._good.total(now) < threshold * total
