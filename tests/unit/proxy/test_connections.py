"""What drain waits for, and what it ends."""

from typing import Any

from sidecar.errors import FAILURES, Failure
from sidecar.proxy.connections import AppConnections


class Side:
    def __init__(self, *, busy: bool) -> None:
        self.busy = busy
        self.ended: str | None = None

    def close(self) -> None:
        self.ended = "closed"

    def cut(self, failure: Failure) -> None:
        self.ended = failure.reason

    def uses(self, upstream: Any) -> bool:
        return self.busy and upstream == "old"

    def look_for_stall(self, upstream: Any, now: float) -> None: ...


def test_idle_ones_are_closed_and_active_ones_are_cut() -> None:
    """Each kind by its own call, counted."""
    connections = AppConnections()
    idle, busy = Side(busy=False), Side(busy=True)
    connections.add(idle)
    connections.add(busy)
    assert repr(connections) == "<AppConnections 2 open, 1 busy>"
    assert connections.close_idle() == 1
    assert (idle.ended, busy.ended) == ("closed", None)
    assert connections.abort_active(FAILURES["cut_by_drain"]) == 1
    assert busy.ended == "cut_by_drain"
    assert len(connections) == 2


def test_requests_in_flight_are_known_by_the_service_they_began_under() -> None:
    """A replaced upstream is needed as long as one request of it is in flight."""
    connections = AppConnections()
    idle, busy = Side(busy=False), Side(busy=True)
    connections.add(idle)
    assert not connections.in_flight_under("old")
    connections.add(busy)
    assert connections.in_flight_under("old")
    assert not connections.in_flight_under("new")
    connections.discard(busy)
    assert not connections.in_flight_under("old")
    assert (len(connections), connections.met) == (1, 2)
