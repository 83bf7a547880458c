"""Instances kept alive by HTTP beats, as those of 1.x clients are. Pure: `now` is seconds of any one clock.

Limits of the Java server: unhealthy 15 s after the last beat, deleted after 30 s.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.embedded.model import ServiceName

CHECK_EVERY = 5.0
UNHEALTHY_AFTER = 15.0
DELETED_AFTER = 30.0


class Verdict(enum.Enum):
    """What a check found about one address."""

    RECOVERED = "recovered"
    UNHEALTHY = "unhealthy"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Beating:
    """One address of one service that has to beat."""

    service: ServiceName
    ip: str
    port: int


class Heartbeats:
    """The last beat of each address."""

    __slots__ = ("_last", "_unhealthy")

    def __init__(self) -> None:
        self._last: dict[Beating, float] = {}
        self._unhealthy: set[Beating] = set()

    def __repr__(self) -> str:
        return f"<Heartbeats {len(self._last)} beating, {len(self._unhealthy)} unhealthy>"

    def begin(self, who: Beating, now: float) -> None:
        """Registered now: as good as a beat."""
        self._last[who] = now
        self._unhealthy.discard(who)

    def end(self, who: Beating) -> None:
        self._last.pop(who, None)
        self._unhealthy.discard(who)

    def beat(self, who: Beating, now: float) -> Verdict | None:
        """None: as expected. DELETED: not known (any more), it has to register again."""
        if who not in self._last:
            return Verdict.DELETED
        self._last[who] = now
        if who in self._unhealthy:
            self._unhealthy.remove(who)
            return Verdict.RECOVERED
        return None

    def check(self, now: float) -> Iterator[tuple[Beating, Verdict]]:
        """Every address whose state changed by silence; to be called every `CHECK_EVERY` seconds."""
        for who, last in tuple(self._last.items()):
            if now - last >= DELETED_AFTER:
                self.end(who)
                yield who, Verdict.DELETED
            elif now - last >= UNHEALTHY_AFTER and who not in self._unhealthy:
                self._unhealthy.add(who)
                yield who, Verdict.UNHEALTHY

    def clear(self) -> None:
        """As a restart does."""
        self._last.clear()
        self._unhealthy.clear()
