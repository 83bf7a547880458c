"""An instance and what we saw of it.

Each endpoint is in exactly one state. The facts behind it change one at a time; `PRECEDENCE` reads them in order
and the first row that holds names the state.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from sidecar.cluster.instance import Instance
from sidecar.cluster.outlier import Ejection, Standing
from sidecar.cluster.quarantine import Quarantine, Reach


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


@dataclass(frozen=True, slots=True)
class LastFailure:
    """The newest failed attempt: monotonic seconds and a reason of `errors.py` (or `status` for a 5xx)."""

    at: float
    reason: str


class Endpoint:
    """One `ip:port` of a service: live counts and the facts that make its state. Compared by identity.

    The proxy keeps `connections_active`, `connections_idle`, `idle_ceiling`, `owed` and `heard`; all else belongs
    to the cluster. `owed` goes up by one when a request is written completely and down by one when its answer
    begins or the attempt ends before that. `heard` is set to True at every byte that comes from the endpoint.
    """

    __slots__ = (
        "__weakref__",
        "address",
        "connections_active",
        "connections_idle",
        "consecutive_failures",
        "ejection",
        "ejections",
        "failures",
        "heard",
        "host",
        "idle_ceiling",
        "in_flight",
        "instance",
        "last_failure",
        "owed",
        "owns",
        "penalty",
        "port",
        "present",
        "probing",
        "quarantine",
        "requests",
        "since",
        "state",
        "weight",
    )

    def __init__(self, instance: Instance, now: float) -> None:
        self.instance = instance
        self.address = instance.address
        self.host = instance.host
        self.port = instance.port
        self.state = State.AVAILABLE
        self.since = now
        self.in_flight = 0
        self.requests = 0
        self.failures = 0
        self.consecutive_failures = 0
        self.ejections = 0
        self.last_failure: LastFailure | None = None
        self.connections_active = 0
        self.connections_idle = 0
        self.idle_ceiling: float | None = None
        self.owed = 0
        self.heard = False
        self.present = True
        self.owns = False
        self.probing = False
        self.quarantine: Quarantine | None = None
        self.ejection: Ejection | None = None
        self.weight = instance.weight
        self.penalty = 0

    def __repr__(self) -> str:
        return f"<Endpoint {self.address} {self.state.value}, {self.in_flight} in flight>"


PRECEDENCE: tuple[tuple[State, Callable[[Endpoint], bool]], ...] = (
    (State.DRAINING, lambda e: not e.present),
    (State.DISABLED, lambda e: e.owns or not e.instance.enabled or e.instance.weight <= 0),
    (State.QUARANTINED, lambda e: e.quarantine is not None and e.quarantine.reach is not Reach.REACHABLE),
    (State.EJECTED, lambda e: e.ejection is not None and e.ejection.standing is Standing.EJECTED),
    (State.PROBATION, lambda e: e.ejection is not None and e.ejection.standing is Standing.PROBATION),
    (State.AVAILABLE, lambda _: True),
)
"""The first row that holds names the state."""


def state_of(endpoint: Endpoint) -> State:
    """The state that the facts amount to."""
    return next(state for state, holds in PRECEDENCE if holds(endpoint))
