"""What the sidecar promises of a row, and whether it kept that. Pure.

**Excused**, each by its id: a POST that was already sent to a process which was then killed, frozen or cut off, and
one sent to a frozen or cut off one before its silence could show; a 5xx that a provider itself gave to a POST, so many as
make an ejection; a POST lost on an idle connection before its endpoint's first idle close could be known.

A *miss* is a broken promise. A *doubt* is why a row shows nothing: the machine was too slow for it, or nothing was
at stake.
"""

import enum
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.trial.counts import Count, Fate, Harm
from tests.trial.load import Call

FULL_RATE = 0.95
"""Below this share of the rate the load was not the one promised."""

PUNCTUAL = 0.25
"""Seconds: when more than one call in a hundred leaves later than that, latencies are the machine's. In bursts they do."""

VISIBLE = 0.01
"""Share of its calls that the direct caller loses at least where something is at stake."""

AWAY = 2.0
"""Seconds that providers may be away where nobody else is there."""

SILENCE = 1.5
"""Seconds after which a silent process is known: `stall_after`, or a connect that times out, and looks and queues."""

_TRIPS = {502: 3, 503: 3, 504: 3}
"""`consecutive_gateway_failure`."""

_TRIPS_ELSE = 5
"""`consecutive_5xx`."""

_LOST = ("UC closed", "UR reset")
"""How x-sidecar-error begins when the connection to an instance was lost."""


class Excuse(enum.Enum):
    """Why nobody could have helped."""

    KILLED = "was on it when it was killed"
    FROZEN = "was on it when it was frozen"
    CUT_OFF = "was on it when it was cut off"
    SILENT = "was sent to it before its silence could show"
    OWN_ANSWER = "the provider's own answer"
    FIRST_IDLE_CLOSE = "was lost before it was known to close idle connections"


_HARMED = {Fate.KILLED: Excuse.KILLED, Fate.FROZEN: Excuse.FROZEN, Fate.CUT_OFF: Excuse.CUT_OFF}


@dataclass(frozen=True, slots=True)
class Books:
    """What the sidecar says of itself after the load: its counters, its access log and its event log."""

    counted: int
    """Sum of `sidecar_requests_total`."""
    logged: int
    """Lines of the access log."""
    upstreams: Mapping[str, str]
    """The last instance that was asked, by the id of the call."""
    losses: Sequence["Loss"]
    """In order."""
    rescued: Mapping[str, int]
    """By what: retry, wait, guard, proof, address."""
    ejections: int
    refused: int
    """Lists that it did not believe."""
    errors: Sequence[str]
    """Event lines of level error, `crash` among them."""


@dataclass(frozen=True, slots=True)
class Loss:
    """An attempt that ended with its connection, whatever became of the call."""

    id: str
    """Of the call."""
    address: str
    after: float
    """Seconds from the begin of the call."""


@dataclass(frozen=True, slots=True)
class Excused:
    """A failed call that is none of the sidecar's failures."""

    call: Call
    address: str
    why: Excuse


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one row."""

    sidecar: Count
    direct: Count | None
    books: Books
    harms: Sequence[Harm]
    away: Sequence[float]
    """Seconds, each time, that nobody was there: empty where somebody always was."""
    idle_closes: bool
    """Providers close idle connections."""
    seconds: float
    rate: float
    bursts: bool
    direct_fails: bool
    lied_to: bool

    @property
    def excused(self) -> list[Excused]:
        """In the order of their ends."""
        return [
            Excused(call, self.books.upstreams.get(call.id, "-"), why)
            for call in self.sidecar.failed
            if (why := self._excuse(call)) is not None
        ]

    @property
    def inexcusable(self) -> list[Call]:
        return [call for call in self.sidecar.failed if self._excuse(call) is None]

    @property
    def misses(self) -> list[str]:
        """Promises that were not kept."""
        return [text for wrong, text in self._promises() if wrong]

    @property
    def doubts(self) -> list[str]:
        """Why the row shows nothing."""
        return [text for wrong, text in self._conditions() if wrong]

    def _promises(self) -> Iterator[tuple[object, str]]:
        books, calls = self.books, len(self.sidecar.calls)
        yield self.inexcusable, f"{len(self.inexcusable)} calls failed without excuse"
        yield self.sidecar.duplicated, f"{len(self.sidecar.duplicated)} POSTs were executed twice"
        yield self.sidecar.invented, f"{len(self.sidecar.invented)} calls were answered and never executed"
        yield books.counted != calls, f"{calls} calls, but {books.counted} in sidecar_requests_total"
        yield books.logged != calls, f"{calls} calls, but {books.logged} lines in the access log"
        yield books.errors, f"the sidecar logged {len(books.errors)} errors"
        for status, given in sorted(Counter(call.status for call in self._own_answers()).items()):
            most = _TRIPS.get(status, _TRIPS_ELSE) * max(1, books.ejections)
            yield given > most, f"{given} answers {status} were passed on, at {books.ejections} ejections"

    def _conditions(self) -> Iterator[tuple[object, str]]:
        reached = len(self.sidecar.calls) / self.seconds
        yield reached < FULL_RATE * self.rate, f"only {reached:.0f} of {self.rate:.0f} calls/s were sent"
        late = self.sidecar.late(0.99)
        yield (
            late > PUNCTUAL and not self.bursts,
            f"calls left {late * 1000:.0f} ms late (p99): times are the machine's",
        )
        longest = max(self.away, default=0.0)
        yield longest > AWAY, f"providers were away for {longest:.1f} s, longer than {AWAY:g} s"
        yield self.lied_to and not self.books.refused, "no list was refused: nothing was at stake"
        if self.direct is not None and self.direct_fails:
            share = self.direct.failed_share
            yield share < VISIBLE, f"the direct caller lost {share:.1%} of its calls: nothing was at stake"

    def _own_answers(self) -> list[Call]:
        return [call for call in self.sidecar.failed if _is_own(call)]

    def _excuse(self, call: Call) -> Excuse | None:
        if _is_own(call):
            return Excuse.OWN_ANSWER if call.method == "POST" else None
        if call.method != "POST":
            return None
        address = self.books.upstreams.get(call.id)
        for harm in self.harms:
            if harm.address == address and (why := _met(call, harm)) is not None:
                return why
        early = self.idle_closes and call.error.startswith(_LOST) and call.started <= self._first_loss(address)
        return Excuse.FIRST_IDLE_CLOSE if early else None

    def _first_loss(self, address: str | None) -> float:
        """The moment from which the sidecar knew, by a loss at the latest, that this endpoint closes idle connections."""
        started = {call.id: call.started for call in self.sidecar.calls}
        moments = (started[loss.id] + loss.after for loss in self.books.losses if loss.address == address)
        return min(moments, default=math.inf)


def _is_own(call: Call) -> bool:
    """A 5xx that an instance gave; those of the sidecar say so."""
    return call.status >= 500 and not call.error


def _met(call: Call, harm: Harm) -> Excuse | None:
    """It was on the way when the harm was done, or left so soon after that nothing could be known."""
    killed = harm.fate is Fate.KILLED
    if call.ended < harm.began or (killed and not call.error.startswith(_LOST)):
        return None
    if call.started <= harm.began:
        return _HARMED[harm.fate]
    return Excuse.SILENT if not killed and call.started <= harm.began + SILENCE else None
