"""What a second registry node says of those that are held: does it miss them too?

Its newest answer counts, and no other: it may have missed them a while ago and list them again. An answer counts for
as long as the list that it is held against: one that was asked for before that list came may tell of the time before,
and one that was asked for under an earlier session may be from the very node whose list is in force now.

A node that never says anything is none: a machine that is gone, or a port that a firewall closes, would turn every
doubt into one that only time ends. An error is something: who answers one is there, and may have a list in a moment.
"""

import enum
import math
from collections.abc import Collection

IN_VAIN = 3
"""Questions without any answer after which nobody is there; one that is being restarted has until `confirm` to speak."""


class Verdict(enum.Enum):
    """How the second node's list compares with what is held; the value is the word that operators read."""

    AGREES = "agrees"
    PARTLY = "partly"
    DISAGREES = "disagrees"
    SILENT = "silent"


class SecondOpinion:
    """The second node's newest answer, while it counts."""

    __slots__ = ("_asked_at", "_in_vain", "_offered", "_told", "available")

    def __init__(self) -> None:
        self.available = False
        """There is another node to ask."""
        self._asked_at = -math.inf
        """When it was asked what it answered last, or since when questions count; loop time."""
        self._offered: frozenset[str] | None = None
        self._in_vain = 0
        """Questions that nobody answered, while it has not answered any that count."""
        self._told: tuple[Verdict, frozenset[str]] | None = None
        """Of the list in force: the verdict, and whom of those held the node still lists."""

    def __repr__(self) -> str:
        return f"<SecondOpinion {'unknown' if self._offered is None else f'{len(self._offered)} offered'}>"

    def begin_anew(self, now: float) -> None:
        """Another list is in force, or another session: only what is asked from now on counts."""
        self._asked_at, self._in_vain, self._offered, self._told = now, 0, None, None

    def answered(self, offered: frozenset[str], asked_at: float) -> bool:
        """The node gives these addresses for use; False when the answer is too old to count."""
        if asked_at < self._asked_at:
            return False
        self._asked_at, self._offered = asked_at, offered
        return True

    def unanswered(self, asked_at: float) -> bool:
        """Nobody answered at all; True when that makes it silent."""
        if asked_at < self._asked_at or self._offered is not None:
            return False
        self._in_vain += 1
        return self._in_vain == IN_VAIN

    @property
    def silent(self) -> bool:
        """There is nobody, as far as the list in force goes: it was asked often enough."""
        return self._offered is None and self._in_vain >= IN_VAIN

    def missed(self, held: Collection[str]) -> frozenset[str]:
        """Those that the second node misses too; nobody before it has answered."""
        return frozenset() if self._offered is None else frozenset(held) - self._offered

    def news(self, held: Collection[str]) -> Verdict | None:
        """Its verdict, if it says something else than what was told last, or is the first on the list in force."""
        missed = self.missed(held)
        verdict = Verdict.DISAGREES if not missed else Verdict.AGREES if len(missed) == len(held) else Verdict.PARTLY
        before, self._told = self._told, (verdict, frozenset(held) - missed)
        return None if before == self._told else verdict
