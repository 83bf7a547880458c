"""What the trial counted from both ends, and what it proves. Pure: calls and ids in, objections out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.trial.load import Call

FULL_RATE = 0.95
"""Below this share of the rate the load was not the one promised, and nothing is proven."""

_LOST = ("UC closed", "UR reset")
"""How x-sidecar-error begins when the connection to an instance was lost."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A provider's violent end, on the loop's clock: the signal went out after `began`, at `over` it was gone."""

    address: str
    began: float
    over: float


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the trial; it lasts until the next one begins."""

    name: str
    began: float


@dataclass(frozen=True, slots=True)
class Books:
    """What the sidecar itself says after the load: its counters, its access log and its event log."""

    counted: int
    """Sum of `sidecar_requests_total`."""
    logged: int
    """Lines of the access log."""
    rescued: Mapping[str, int]
    """By what: retry, wait, guard, proof, address."""
    events: Mapping[str, int]
    """By kind, with what tells two of a kind apart: `push_refused empty`."""
    errors: Sequence[str]
    """Event lines of level error, `crash` among them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One trial. `executed` are the providers' lines, `METHOD ID` each time one carried a call out."""

    calls: Sequence[Call]
    executed: Sequence[str]
    kills: Sequence[Kill]
    refused: Mapping[str, int]
    """Lists that the sidecar refused in each step after which the registry had forgotten what it knew."""
    books: Books
    seconds: float
    rate: float

    @property
    def failed(self) -> list[Call]:
        return [call for call in self.calls if not call.answered]

    @property
    def excused(self) -> list[Call]:
        """Non-idempotent calls that were in flight on a process when it was killed: nobody may repeat them."""
        return [call for call in self.failed if any(_in_flight(call, kill) for kill in self.kills)]

    @property
    def inexcusable(self) -> list[Call]:
        excused = {call.id for call in self.excused}
        return [call for call in self.failed if call.id not in excused]

    def repeated(self, method: str) -> list[str]:
        """The ids of a method that were carried out more than once."""
        return [
            line.partition(" ")[2]
            for line, times in Counter(self.executed).items()
            if times > 1 and line.startswith(f"{method} ")
        ]

    @property
    def invented(self) -> list[Call]:
        """Calls answered 200 that no provider carried out."""
        executed = set(self.executed)
        return [call for call in self.calls if call.answered and f"{call.method} {call.id}" not in executed]

    @property
    def reached(self) -> float:
        """Calls a second that really left."""
        return len(self.calls) / self.seconds if self.seconds else 0.0

    @property
    def objections(self) -> tuple[str, ...]:
        """Why the run does not show what it should; empty when it does."""
        books, calls = self.books, len(self.calls)
        unharmed = [step for step, lists in self.refused.items() if not lists]
        found = (
            (self.inexcusable, f"{len(self.inexcusable)} calls failed without excuse"),
            (self.repeated("POST"), f"{len(self.repeated('POST'))} POSTs were executed twice"),
            (self.invented, f"{len(self.invented)} calls were answered and never executed"),
            (books.counted != calls, f"{calls} calls, but {books.counted} in sidecar_requests_total"),
            (books.logged != calls, f"{calls} calls, but {books.logged} lines in the access log"),
            (books.errors, f"the sidecar logged {len(books.errors)} errors"),
            (unharmed, f"no list was refused when {', '.join(unharmed)}: nothing was at stake"),
            (self.reached < FULL_RATE * self.rate, f"only {self.reached:.0f} of {self.rate:.0f} calls/s were sent"),
        )
        return tuple(text for wrong, text in found if wrong)


def _in_flight(call: Call, kill: Kill) -> bool:
    """The sidecar lost it on that process, and it was under way when the process died."""
    return (
        call.method == "POST"
        and call.error.startswith(_LOST)
        and kill.address in call.error.split(" ")
        and call.started <= kill.over
        and call.ended >= kill.began
    )
