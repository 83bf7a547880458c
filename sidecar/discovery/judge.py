"""Whether a session is still to be trusted. Pure: answers and failures go in, a verdict comes out.

Why: the client looks healthy while it is deaf, so its word is not taken; what it answers is.
Trip conditions: two unanswered queries in a row, the second sent after the first had failed (one pause of the
server that swallows eight queries at once is one failure) · an error that disowns the connection · a list that
differs from the last push and still does when asked again after 1 s and after 3 s (1.5 s while the data path doubts
the list as well: a listed instance refuses) · age.
Recovery: none; a session in trouble is replaced. An answered error for one service is no trouble, and a
difference alone proves nothing: queries of a healthy server lag a change by up to 0.8 s.
"""

from sidecar.clock import Rng
from sidecar.discovery.session import DISOWNING, ServiceKey, Trouble

SECOND_LOOK = 1.0
GRACE = 3.0
GRACE_IN_DOUBT = 1.5
"""Twice the lag of a healthy server's queries."""

MAX_AGE = 3600.0


class Judge:
    """All that speaks against one session."""

    __slots__ = ("_differs_since", "_ends_at", "_failed_at")

    def __init__(self, *, rng: Rng, now: float) -> None:
        self._ends_at = now + MAX_AGE * (0.9 + 0.2 * rng.random())
        self._failed_at: float | None = None
        self._differs_since: dict[ServiceKey, float] = {}

    @property
    def ends_at(self) -> float:
        """When the session is too old, ±10 % so that a fleet does not move in step."""
        return self._ends_at

    def expired(self, now: float) -> Trouble | None:
        """Trouble once the session is too old."""
        return Trouble.MAX_AGE if now >= self._ends_at else None

    def answered(self) -> None:
        """Any answer, even an error, shows that somebody is there."""
        self._failed_at = None

    def unanswered(self, *, asked_at: float, now: float) -> Trouble | None:
        """A query got nothing back."""
        if self._failed_at is None:
            self._failed_at = now
            return None
        return Trouble.QUERY_FAILED if asked_at >= self._failed_at else None

    @staticmethod
    def error(code: int) -> Trouble | None:
        """A query was answered with an error code."""
        return Trouble.UNHEALTHY if code in DISOWNING else None

    def agrees(self, key: ServiceKey) -> None:
        """A push came, or an answer said what the last push said."""
        self._differs_since.pop(key, None)

    def differs(self, key: ServiceKey, now: float, *, grace: float = GRACE) -> Trouble | None:
        """An answer said something else than the last push."""
        since = self._differs_since.setdefault(key, now)
        return Trouble.LIST_MISMATCH if now - since >= grace else None

    def look_again_at(self, key: ServiceKey, now: float, *, grace: float = GRACE) -> float:
        """When a differing service is to be asked again."""
        since = self._differs_since[key]
        return since + SECOND_LOOK if now < since + SECOND_LOOK else since + grace
