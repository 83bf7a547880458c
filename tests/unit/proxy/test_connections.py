"""What drain waits for, and what it ends."""

from typing import Any

from sidecar.errors import FAILURES, Failure
from sidecar.proxy.connections import AppConnections


class Side:
    def __init__(self, *, busy: bool, unwritten: int = 0) -> None:
        self.busy = busy
        self.unwritten = unwritten
        self.ended: str | None = None

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"

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


def test_the_rest_of_an_answer_is_not_cut_as_if_it_were_whole() -> None:
    """At the very end: FIN, which the kernel sends for a process that leaves, may mean that this was all."""
    connections = AppConnections()
    done, slow = Side(busy=False), Side(busy=False, unwritten=1)
    connections.add(done)
    connections.add(slow)
    connections.close_idle()
    assert connections.abort_active(FAILURES["cut_by_drain"]) == 0
    assert (done.ended, slow.ended) == ("closed", "aborted")


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
