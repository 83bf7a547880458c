"""An instance and what we saw of it.

Each endpoint is in exactly one state. The facts behind it change one at a time; `PRECEDENCE` reads them in order
and the first row that holds names the state.
"""

import enum
import math
from collections import deque
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import NamedTuple

from sidecar.cluster.guard import Hold
from sidecar.cluster.instance import Instance
from sidecar.cluster.quarantine import Quarantine, Reach
from sidecar.cluster.slots import SuccessRate
from sidecar.cluster.standing import Ejection, Standing

ZOMBIE_AFTER = 10.0
"""Seconds of refusing after which a listed endpoint is no longer merely restarting."""


class State(enum.Enum):
    """What an operator reads; the order is the precedence."""

    DRAINING = "draining"
    DISABLED = "disabled"
    UNHEALTHY = "unhealthy"
    QUARANTINED = "quarantined"
    EJECTED = "ejected"
    PROBATION = "probation"
    HELD = "held"
    LEAVING = "leaving"
    STALLED = "stalled"
    AVAILABLE = "available"

    __hash__ = object.__hash__  # as good for members and not Python code: the hot path asks for it


@dataclass(frozen=True, slots=True)
class LastFailure:
    """The newest failed attempt: loop time in seconds, and a reason of `errors.py` or the status of the answer."""

    at: float
    reason: str


class GivenUp(NamedTuple):
    """An attempt that nobody waits for any more: when it was sent, and until when it counts as owed."""

    sent: float
    until: float


class Endpoint:
    """One `ip:port` of a service: live counts and the facts that make its state. Compared by identity.

    The proxy keeps `connections`, `pooled`, `idle_ceiling`, `owed` and `heard`; all else belongs
    to the cluster. `owed` goes up by one when a request is written completely, and down by one when its answer
    begins or the attempt ends before that. `heard` is set to True at every byte that comes from the endpoint.
    """

    __slots__ = (
        "__weakref__",
        "address",
        "closes",
        "connections",
        "consecutive_failures",
        "consecutive_gateway",
        "counted",
        "ejection",
        "ejections",
        "failures",
        "given_up",
        "heard",
        "heard_after",
        "heard_at",
        "hold",
        "host",
        "idle_ceiling",
        "in_flight",
        "instance",
        "is_self",
        "keeps_alive",
        "last_failure",
        "leaving_until",
        "listed",
        "on_trial",
        "owed",
        "owing_since",
        "penalty",
        "plain",
        "pooled",
        "port",
        "present",
        "probing",
        "quarantine",
        "ramp_from",
        "rate",
        "requests",
        "shunned",
        "shut_until",
        "since",
        "stalled",
        "state",
        "told",
        "trial",
        "unheard_until",
        "weight",
    )

    def __init__(self, instance: Instance, now: float) -> None:
        self.instance = instance
        self.address = instance.address
        self.host = instance.host
        self.port = instance.port
        self.in_flight = 0
        self.requests = 0
        self.failures = 0
        self.connections = 0
        """Open ones,"""
        self.pooled: Sized = ()
        """and those of them that wait for a request."""
        self.idle_ceiling: float | None = None
        self.owed = 0
        self.heard = False
        self.penalty = 0
        self.probing = False
        self.is_self = False
        self.counted: State | None = None
        """The state under which the cluster counts it among those present."""
        self.shut_until = -math.inf
        """Until when the operator keeps it out, loop time. An order about the address: whoever answers there."""
        self.begin_anew(now)

    def begin_anew(self, now: float) -> None:
        """Forgets all that was seen of it but the live counts: another process may answer at this address."""
        self.state = State.AVAILABLE
        self.since = now
        """When it entered its state."""
        self.present = True
        self.listed = True
        self.shunned = False
        """Left out for the registry's health bit."""
        self.hold: Hold | None = None
        self.quarantine: Quarantine | None = None
        self.trial = False
        """Quarantined, never probed, and due: one request may try it."""
        self.on_trial = False
        """That one, or the one of a probation, is under way; others may be left from before."""
        self.ejection: Ejection | None = None
        self.rate: SuccessRate | None = None
        self.ejections = 0
        self.consecutive_failures = 0
        self.consecutive_gateway = 0
        self.last_failure: LastFailure | None = None
        self.leaving_until = -math.inf
        self.closes = 0
        """Answers in a row that said `Connection: close`."""
        self.keeps_alive = False
        """It has kept a connection open before, so that closing one tells something."""
        self.stalled = False
        self.heard_at = now
        """When it was found that a byte had come; at first when it began."""
        self.heard_after = -math.inf
        """A time after which that byte came: that of the look before."""
        self.owing_since: float | None = None
        self.given_up: deque[GivenUp] | None = None
        self.unheard_until = -math.inf
        """It was stalled, and nothing has shown that it no longer is."""
        self.told: str | None = None
        """The verdict that was told of and still stands."""
        self.weight = self.instance.weight
        """What it counts at present: the registry's weight, less while it ramps up."""
        self.ramp_from: float | None = None
        self.plain = False
        """Nothing about it needs attention when it answers well: the straight path."""

    def __repr__(self) -> str:
        why = f" ({self.quarantine.reason})" if self.state is State.QUARANTINED and self.quarantine else ""
        return f"<Endpoint {self.address} {self.state.value}{why}, {self.in_flight} in flight>"

    @property
    def connections_idle(self) -> int:
        """Those that wait for a request."""
        return len(self.pooled)

    @property
    def connections_active(self) -> int:
        """Those that serve one, or carry another protocol."""
        return self.connections - len(self.pooled)

    @property
    def switched_off(self) -> bool:
        """Whether the list takes it out of use, or it is ourselves."""
        return self.is_self or not self.instance.enabled or self.instance.weight <= 0

    @property
    def shut(self) -> bool:
        """Whether the operator keeps it out."""
        return self.shut_until > -math.inf

    @property
    def refusing(self) -> bool:
        """Whether its last dial failed."""
        return self.quarantine is not None and self.quarantine.reach is Reach.REFUSING

    @property
    def ejected(self) -> bool:
        """Whether it serves an ejection at present."""
        return self.ejection is not None and self.ejection.standing is Standing.EJECTED

    @property
    def on_probation(self) -> bool:
        """Whether it has served an ejection and not yet answered well."""
        return self.ejection is not None and self.ejection.standing is Standing.PROBATION

    def forget_announcements(self) -> None:
        """Its process is gone: what that one announced or owed says nothing of the next."""
        self.forget_farewell()
        self.stalled = False
        self.given_up = None
        self.unheard_until = -math.inf

    def forget_farewell(self) -> None:
        """It accepts again: whoever took leave has gone."""
        self.leaving_until = -math.inf
        self.closes = 0

    def verdict(self, now: float) -> str | None:
        """Where the registry and we disagree, None where we do not.

        `zombie`: listed as healthy, but has refused for 10 s · `ghost`: not listed, but answers.
        """
        if self.hold is not None and not self.listed:
            return "ghost" if self.hold.alive else None
        return "zombie" if now >= self.zombie_at else None

    @property
    def zombie_at(self) -> float:
        """When it becomes a zombie unless a dial succeeds before; infinite while nothing points that way.

        One that is switched off is not dialled, so nothing is known of it.
        """
        quarantine = self.quarantine
        if quarantine is None or self.state is not State.QUARANTINED or not self.refusing or not self.instance.healthy:
            return math.inf
        return quarantine.since + ZOMBIE_AFTER if self.listed else math.inf

    def until(self) -> float | None:
        """When the state may end by time alone, loop time; None when it does not. A hold's end is the guard's."""
        if self.state is State.QUARANTINED and self.quarantine is not None:
            return self.quarantine.next_try
        if self.state is State.EJECTED and self.ejection is not None:
            return self.ejection.until
        if self.state is State.DISABLED:
            return self.shut_until if self.shut and not self.switched_off else None
        return self.leaving_until if self.state is State.LEAVING else None


PRECEDENCE: tuple[tuple[State, Callable[[Endpoint], bool]], ...] = (
    (State.DRAINING, lambda e: not e.present),
    (State.DISABLED, lambda e: e.switched_off or e.shut),
    (State.UNHEALTHY, lambda e: e.shunned and e.hold is None),
    (State.QUARANTINED, lambda e: e.quarantine is not None),
    (State.EJECTED, lambda e: e.ejected),
    (State.PROBATION, lambda e: e.on_probation),
    (State.HELD, lambda e: e.hold is not None),
    (State.LEAVING, lambda e: e.leaving_until > -math.inf),
    (State.STALLED, lambda e: e.stalled),
    (State.AVAILABLE, lambda _: True),
)
"""The first row that holds names the state."""


def state_of(endpoint: Endpoint) -> State:
    """The state that the facts amount to."""
    for state, holds in PRECEDENCE:
        if holds(endpoint):
            return state
    raise AssertionError("the last row always holds")
