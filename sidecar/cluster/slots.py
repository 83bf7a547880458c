"""Exact counts over the last ten seconds, in ten slots of one second: no decay, no approximation.

A slot is one whole second of the caller's clock. What was counted in second `s` is part of every total asked for
in the seconds `s` to `s + 9` and of none after that.
"""

SLOTS = 10

ENOUGH = 10
"""Answers before a success rate means anything."""


class Slots:
    """A sum over the last ten whole seconds, the present one included."""

    __slots__ = ("_earlier", "_next", "_present")

    def __init__(self) -> None:
        self._present = 0.0
        """What the present second has,"""
        self._next = 1
        """the second after it,"""
        self._earlier = [0.0] * SLOTS
        """and all ten, by their last digit; that of the present second is empty."""

    def add(self, now: float, amount: float = 1.0) -> None:
        """Counts `amount` in the present second."""
        if now >= self._next:
            self._advance(int(now))
        self._present += amount

    def total(self, now: float) -> float:
        """The sum over the last ten seconds."""
        if now >= self._next:
            self._advance(int(now))
        return sum(self._earlier) + self._present

    def _advance(self, second: int) -> None:
        """Puts the present second away, and empties the slots of those that have begun since."""
        self._earlier[(self._next - 1) % SLOTS] = self._present
        self._present = 0.0
        for passed in range(max(self._next, second - SLOTS + 1), second + 1):
            self._earlier[passed % SLOTS] = 0.0
        self._next = second + 1


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
