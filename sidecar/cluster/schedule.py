"""When time alone, or a dial, is to do something to an endpoint of one service; and how many dials may go out.

Why a limit: an undoubted list may bring five thousand endpoints that were never dialled, a doubted one leaves as many
to be asked again each second. A dial costs a quarter of a millisecond, and the loop that makes it carries calls.
Quarantined ones come before held ones, which are in use anyway; of either kind the longest untried first.
"""

import math
from collections.abc import Iterable

from sidecar.cluster.agenda import Agenda
from sidecar.cluster.allowance import Allowance
from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.policy import Probe, ServicePolicy
from sidecar.cluster.verdict import due_at

PROBES_AT_ONCE = 64
"""Dials of one service in the air at a time: five hundred dead addresses must not cost a thousand sockets."""

PROBES_A_SECOND = 160.0
"""Dials of one service that may begin in a second: some 4 % of a core."""

BURST = 16
"""Dials of one service that may begin at once after a rest: four milliseconds."""

AT_ONCE = 64
"""Endpoints that get their turn in one step; the others whose time has come get it in the next."""

LOOKS = 256
"""Endpoints that one search for dials asks; thousands may need none any more, because their holds have ended."""

RAMP_STEP = 0.5
"""Seconds between two weights of an endpoint that ramps up."""

_HELD = 1e12
"""Later than any time."""

_NEVER_PROBED = frozenset({State.DRAINING, State.DISABLED})


class Schedule:
    """Whose turn it is, of the endpoints of one service. Times are loop time."""

    __slots__ = (
        "_dials",
        "_hurried",
        "_hurrying",
        "_next_step",
        "_overdue",
        "_probes",
        "_probes_out",
        "_ramps_until",
        "_shared",
        "_turns",
        "_waiting",
        "policy",
    )

    def __init__(self, policy: ServicePolicy, now: float, dials: Allowance) -> None:
        """`dials`: those that all services together may begin."""
        self.policy = policy
        self._waiting = 0
        self._hurried = False
        """Requests wait since a moment ago: all that refuse are to be tried earlier than planned,"""
        self._hurrying: list[Endpoint] = []
        """and these have not been told so."""
        self._turns = Agenda()
        """Whom time alone may do something to, and when."""
        self._probes = Agenda()
        """When they are to be dialled."""
        self._overdue = Agenda()
        """That time has come, by the time of their last try."""
        self._probes_out = 0
        self._dials = Allowance(PROBES_A_SECOND, BURST, now)
        self._shared = dials
        self._next_step = math.inf
        self._ramps_until = -math.inf

    def __repr__(self) -> str:
        return f"<Schedule: {len(self._turns)} turns, {len(self._probes)} probes, {len(self._overdue)} overdue>"

    @property
    def waiting(self) -> int:
        """Requests held until something is usable. While there are any, probes hurry."""
        return self._waiting

    @waiting.setter
    def waiting(self, count: int) -> None:
        self._hurried = self._hurried or (count > 0 and not self._waiting)
        self._waiting = count

    def follow(self, endpoint: Endpoint, now: float) -> None:
        """Its facts changed: its turns are those of the facts."""
        self._turns.put(endpoint, self.turn_at(endpoint))
        self._probes.put(endpoint, self.probe_at(endpoint))
        if endpoint.ramp_from is not None:
            until = endpoint.ramp_from + self.policy.load_balancing.slow_start
            if until > now:
                self._ramps_until = max(self._ramps_until, until)
                self._next_step = min(self._next_step, now + RAMP_STEP)

    def forget(self, endpoint: Endpoint) -> None:
        """It is none of ours any more."""
        for agenda in (self._turns, self._probes, self._overdue):
            agenda.drop(endpoint)

    def hurry(self, endpoints: Iterable[Endpoint]) -> None:
        """Gives those that refuse the earlier turns that waiting requests ask for, a slice of them."""
        if self._hurried:
            self._hurried = False
            self._hurrying = [one for one in endpoints if one.state is State.QUARANTINED]
        slice_, self._hurrying = self._hurrying[:AT_ONCE], self._hurrying[AT_ONCE:]
        for endpoint in slice_:
            if endpoint.state is State.QUARANTINED:
                self._turns.put(endpoint, self.turn_at(endpoint))
                self._probes.put(endpoint, self.probe_at(endpoint))

    def take_turns(self, now: float) -> list[Endpoint]:
        """Those to whom time does something now, a slice of them; `follow` plans their next turn."""
        return self._turns.take(now, most=AT_ONCE)

    def take_step(self, now: float) -> bool:
        """Whether weights of those that ramp up are to be taken anew."""
        if now < self._next_step:
            return False
        self._next_step = now + RAMP_STEP if now < self._ramps_until else math.inf
        return True

    def dial(self, now: float, *, most: int = BURST) -> list[Endpoint]:
        """Endpoints to dial now, at most so many; each is reported by `dialled` exactly once."""
        for endpoint in self._probes.take(now, most=AT_ONCE):
            self._overdue.put(endpoint, _rank(endpoint))
        chosen: list[Endpoint] = []
        for _ in range(LOOKS):
            if not self._overdue or len(chosen) >= most or not self._may_dial(now):
                break
            endpoint = self._overdue.pop()
            if (at := self.probe_at(endpoint)) > now:
                self._probes.put(endpoint, at)
                continue
            endpoint.probing = True
            self._probes_out += 1
            self._dials.take()
            self._shared.take()
            chosen.append(endpoint)
        return chosen

    def dialled(self, endpoint: Endpoint) -> None:
        """A probe ended."""
        endpoint.probing = False
        self._probes_out -= 1

    def next_due(self) -> float:
        """When something is to be done. Overdue probes without a free slot wait for a result."""
        if self._hurried or self._hurrying:
            return -math.inf
        due = min(self._turns.first(), self._probes.first(), self._next_step)
        if self._overdue and self._probes_out < PROBES_AT_ONCE:
            due = min(due, max(self._dials.next_at(), self._shared.next_at()))
        return due

    def turn_at(self, endpoint: Endpoint) -> float:
        """When time alone will do something to this endpoint, probes and ramps apart."""
        due = min(self.trial_at(endpoint) if not endpoint.trial else math.inf, due_at(endpoint))
        if endpoint.shut:
            due = min(due, endpoint.shut_until)
        if endpoint.ejected and endpoint.ejection is not None:
            due = min(due, endpoint.ejection.until)
        return min(due, endpoint.leaving_until) if endpoint.leaving_until > -math.inf else due

    def probe_at(self, endpoint: Endpoint) -> float:
        """When it is to be dialled in the background."""
        if endpoint.probing or self.policy.protection.probe is Probe.NONE:
            return math.inf
        if endpoint.state is State.QUARANTINED and endpoint.quarantine is not None:
            due = endpoint.quarantine.due_at(impatient=self._waiting > 0)
            return due if endpoint.hold is None else min(due, endpoint.hold.next_probe)
        if endpoint.hold is not None and endpoint.state not in _NEVER_PROBED:
            return endpoint.hold.next_probe
        return math.inf

    def trial_at(self, endpoint: Endpoint) -> float:
        """When one request may try a quarantined endpoint that is never probed."""
        if endpoint.state is not State.QUARANTINED or endpoint.quarantine is None or endpoint.on_trial:
            return math.inf
        if self.policy.protection.probe is not Probe.NONE:
            return math.inf
        return endpoint.quarantine.due_at(impatient=self._waiting > 0)

    def _may_dial(self, now: float) -> bool:
        return self._probes_out < PROBES_AT_ONCE and not self._dials.spent(now) and not self._shared.spent(now)


def _rank(endpoint: Endpoint) -> float:
    """Lowest first."""
    if endpoint.quarantine is not None:
        return endpoint.quarantine.tried
    return _HELD + endpoint.hold.next_probe if endpoint.hold is not None else math.inf
