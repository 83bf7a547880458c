"""What was counted from both ends: by the app, and by the providers. Pure: calls and ids in, figures out."""

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.trial.load import Call


@dataclass(frozen=True, slots=True)
class Mark:
    """Something happened; `at` is the loop's time."""

    at: float
    text: str


class Fate(enum.Enum):
    """What became of a process."""

    KILLED = "killed"
    FROZEN = "frozen"
    CUT_OFF = "cut off"


@dataclass(frozen=True, slots=True)
class Harm:
    """What was done to an instance; a call that started after `began`, on the loop's clock, was not sent before it."""

    address: str
    fate: Fate
    began: float


@dataclass(frozen=True, slots=True)
class Count:
    """One caller's calls in one row."""

    calls: Sequence[Call]
    executed: Mapping[str, int]
    """How often the providers carried a call out, by `METHOD ID`; ids are of all callers."""

    @property
    def failed(self) -> list[Call]:
        return [call for call in self.calls if not call.answered]

    @property
    def failed_share(self) -> float:
        return len(self.failed) / len(self.calls) if self.calls else 0.0

    @property
    def failed_but_executed(self) -> list[Call]:
        """The app was told of a failure, and a provider had carried it out."""
        return [call for call in self.failed if self._times(call)]

    @property
    def duplicated(self) -> list[Call]:
        """POSTs that were carried out more than once."""
        return [call for call in self.calls if call.method == "POST" and self._times(call) > 1]

    @property
    def repeated(self) -> list[Call]:
        """GETs that were carried out more than once, which does no harm."""
        return [call for call in self.calls if call.method == "GET" and self._times(call) > 1]

    @property
    def invented(self) -> list[Call]:
        """Calls answered 200 that no provider carried out."""
        return [call for call in self.calls if call.answered and not self._times(call)]

    def late(self, share: float) -> float:
        """Seconds after its moment by which that share of the calls had left."""
        return _at(sorted(call.started - call.due for call in self.calls), share) or 0.0

    def took(self, share: float) -> float | None:
        """Seconds within which that share of the answers came."""
        return _at(sorted(call.ended - call.started for call in self.calls if call.answered), share)

    def _times(self, call: Call) -> int:
        return self.executed.get(f"{call.method} {call.id}", 0)


def kinds(calls: Sequence[Call]) -> Counter[str]:
    """`POST 502 UC closed`, and how often."""
    return Counter(f"{call.method} {call.status} {' '.join(call.error.split(' ')[:2])}" for call in calls)


def _at(ordered: Sequence[float], share: float) -> float | None:
    """The value with that share of all at or below it."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None
