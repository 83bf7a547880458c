"""What each app's calls came to in each row, counted from both ends. Pure: calls and ids in, objections out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.apps.stacks import Stack
from tests.apps_trial.caller import AppCall, Carried
from tests.apps_trial.rows import Row
from tests.apps_trial.stage import Harm
from tests.apps_trial.ways import Way

FULL_RATE = 0.9
"""Below this share of the rate the load was not the one promised, and the row proves nothing."""

HURT = 0.02
"""A direct app that loses less than this share has not been hurt."""


_SENT = ("closed", "reset", "response_timeout", "app_left", "via_upstream")
"""How the sidecar calls the end of a request that an instance had been sent, answered in the end or not."""


@dataclass(frozen=True, slots=True)
class Excuse:
    """A POST that an instance had been sent when harm came to it: nobody may repeat it."""

    call: AppCall
    harm: Harm


@dataclass(frozen=True, slots=True)
class Score:
    """One app in one row."""

    nacos: str
    """Version of the server."""
    row: Row
    stack: Stack
    way: Way
    calls: Sequence[AppCall]
    executed: Mapping[str, int]
    """How often a call was carried out, by `METHOD ID`."""
    carried: Sequence[Carried]
    harms: Sequence[Harm]
    seconds: float
    rate: float

    @property
    def failed(self) -> list[AppCall]:
        return [call for call in self.calls if not call.answered]

    def excused(self) -> list[Excuse]:
        sent = {one.id: one.endpoint for one in self.carried if one.method == "POST" and one.details in _SENT}
        return [
            Excuse(call, harm)
            for call in self.failed
            if call.id in sent and (harm := _harm_to(sent[call.id], call, self.harms)) is not None
        ]

    def inexcusable(self) -> list[AppCall]:
        excused = {excuse.call.id for excuse in self.excused()}
        return [call for call in self.failed if call.id not in excused]

    def rescued(self) -> Counter[str]:
        """How many of the calls that were answered the sidecar has rescued, by what."""
        answered = {call.id for call in self.calls if call.answered}
        return Counter(one.rescued for one in self.carried if one.rescued and one.id in answered)

    def twice(self) -> list[AppCall]:
        """POSTs that were carried out more than once."""
        return [call for call in self.calls if call.method == "POST" and self.executed.get(f"POST {call.id}", 0) > 1]

    def invented(self) -> list[AppCall]:
        """Answered 200, and carried out by nobody."""
        return [call for call in self.calls if call.answered and f"{call.method} {call.id}" not in self.executed]

    def share(self, client: str) -> float:
        """Of the calls by this client, those that failed without excuse."""
        mine = sum(call.client == client for call in self.calls)
        return sum(call.client == client for call in self.inexcusable()) / mine if mine else 0.0

    @property
    def is_cured(self) -> bool:
        """Whether the way promises that nothing fails here."""
        return self.row.trouble in self.way.cures

    @property
    def is_witness(self) -> bool:
        """Whether it has to lose calls, lest the row prove nothing."""
        return not self.way.has_sidecar and self.stack.balancer in self.row.hurts

    def objections(self) -> list[str]:
        """Why this does not show what it should; empty when it does."""
        failed, twice, invented = self.inexcusable(), self.twice(), self.invented()
        lost = len(self.failed) / len(self.calls) if self.calls else 0.0
        reached = len(self.calls) / self.seconds if self.seconds else 0.0
        found = (
            (self.is_cured and failed, f"{len(failed)} calls failed without excuse: {_some(failed)}"),
            (self.is_cured and twice, f"{len(twice)} POSTs were carried out twice: {_some(twice)}"),
            (invented, f"{len(invented)} calls were answered and never carried out: {_some(invented)}"),
            (self.is_witness and lost < HURT, f"lost only {100 * lost:.1f} %: nothing was at stake"),
            (reached < FULL_RATE * self.rate, f"only {reached:.1f} of {self.rate:.0f} calls/s were sent"),
        )
        return [text for wrong, text in found if wrong]


def _harm_to(address: str, call: AppCall, harms: Sequence[Harm]) -> Harm | None:
    """The one that came to this provider while the call was under way."""
    found = (one for one in harms if one.address == address and call.started <= one.over and call.ended >= one.began)
    return next(found, None)


def _some(calls: Sequence[AppCall]) -> str:
    return ", ".join(f"{call.method} {call.id} {call.status} {call.error or _cause(call.body)}" for call in calls[:3])


def _cause(body: bytes) -> str:
    """What the app says of it."""
    return body.decode(errors="replace").partition('"message":"')[2].partition('"')[0][:120]
