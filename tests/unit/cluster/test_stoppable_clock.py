"""A clock that can be stopped."""

from sidecar.cluster.stoppable_clock import StoppableClock


def test_a_stopped_clock_stands_still() -> None:
    """Only running time counts, however often it is stopped or started."""
    clock = StoppableClock(10.0)
    clock.stop(15.0)
    clock.stop(20.0)
    assert (clock.read(100.0), clock.running) == (5.0, False)
    clock.start(100.0)
    clock.start(101.0)
    assert (clock.read(102.0), clock.running) == (7.0, True)
