"""How we stand with the registry's login: the token, when to renew it, when another try is allowed. Pure.

Why: a login costs the server a slow hash on purpose, and a fleet of sidecars with a wrong password must not keep it
busy; yet a token that is refused, or a password that was rotated, has to be made good within seconds.
Renewal: at 80 % of the token's life, while the old one is still shown.
Pauses, ±20 %, doubling from 1 s:
  in vain   after a login that brought nothing
  again     between logins that are made because a token was refused, for the next one may be refused as well; those
            of a minute ago are forgotten. Renewals in time do not wait for this pause.
At most 5 s; 30 s after a minute or two where somebody answered. Not sooner: real servers learn a new password or right
only after 15 s and more.
Recovery: another password than the one tried last is tried at once, and so is another server than the one that left
the last try unanswered: its silence says nothing of the others.
A token is shown until there is a better one, since what it is refused for (one service) may not be all it is good for.
"""

import math

from sidecar.clock import Rng
from sidecar.discovery.options import Server

RENEWED_AT = 0.8
FIRST_PAUSE = 1.0
UNANSWERED = (5.0, 5.0)
ANSWERED = (5.0, 30.0)
"""The longest pause, among the first tries in a row and later."""

FIRST_TRIES = 20
FORGOTTEN_AFTER = 60.0


class _Pause:
    """Grows with every try."""

    __slots__ = ("_ends_at", "_rng", "_tried_at", "streak")

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self.streak = 0
        self._tried_at = -math.inf
        self._ends_at = -math.inf

    def over(self, now: float) -> bool:
        return now >= self._ends_at

    def grow(self, longest: tuple[float, float], now: float) -> None:
        self.streak = 1 if now - self._tried_at > FORGOTTEN_AFTER else self.streak + 1
        self._tried_at = now
        nominal = min(FIRST_PAUSE * 2.0 ** min(self.streak - 1, 32), longest[self.streak > FIRST_TRIES])
        self._ends_at = now + nominal * (0.8 + 0.4 * self._rng.random())

    def end(self) -> None:
        self.streak = 0
        self._ends_at = -math.inf


class Renewal:
    """One user's token at one registry."""

    __slots__ = ("_again", "_in_vain", "_renew_at", "_silent", "_tried_password", "token")

    def __init__(self, *, rng: Rng) -> None:
        self.token: str | None = None
        self._renew_at = -math.inf
        self._in_vain = _Pause(rng)
        self._again = _Pause(rng)
        self._tried_password: str | None = None
        self._silent: Server | None = None

    def __repr__(self) -> str:
        return f"<Renewal: {'logged in' if self.token else 'not logged in'}, {self._in_vain.streak} tries in vain>"

    def due(self, now: float) -> bool:
        """There is no token, or it is time for the next one."""
        return now >= self._renew_at

    def may_try(self, password: str, server: Server, *, refused: bool, now: float) -> bool:
        """Whether a login is allowed just now; `refused`: it is wanted because the token was."""
        over = self._in_vain.over(now) or self._silent not in {None, server}
        return (over and not (refused and not self._again.over(now))) or password != self._tried_password

    def obtained(self, token: str, ttl: float, *, password: str, refused: bool, now: float) -> None:
        """A login succeeded; `ttl` in seconds."""
        self.token = token
        self._renew_at = now + ttl * RENEWED_AT
        self._tried_password = password
        self._in_vain.end()
        self._silent = None
        if refused:
            self._again.grow(ANSWERED, now)

    def failed(self, server: Server, *, password: str, answered: bool, now: float) -> None:
        """A login brought nothing."""
        self._silent = None if answered else server
        if password != self._tried_password:
            self._in_vain.end()
        self._tried_password = password
        self._in_vain.grow(ANSWERED if answered else UNANSWERED, now)
