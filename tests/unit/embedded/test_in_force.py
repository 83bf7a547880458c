"""Which conditions apply."""

from sidecar.embedded.faults import Answer, PushTiming, Starting
from sidecar.embedded.in_force import CONDITIONS, Faults


def test_without_a_condition_the_defaults_hold() -> None:
    """A healthy server is one on which nothing was set."""
    assert Faults().now(PushTiming) == PushTiming()
    assert Faults().find(Starting) is None


def test_the_narrower_key_wins() -> None:
    """An answer for one request type goes before the one for all."""
    faults = Faults()
    faults.set(Answer(error=500))
    faults.set(Answer("ServiceQueryRequest", error=503))
    assert faults.find(Answer, "ServiceQueryRequest") == Answer("ServiceQueryRequest", error=503)
    assert faults.find(Answer, "HealthCheckRequest") == Answer(error=500)


def test_a_condition_with_times_ends_by_itself() -> None:
    """Looking does not count, taking does; setting it again starts anew."""
    faults = Faults()
    faults.set(Answer(error=300, times=2))
    faults.find(Answer)
    assert faults.take(Answer) is not None
    faults.set(Answer(error=300, times=2))
    assert [faults.take(Answer) is not None for _ in range(3)] == [True, True, False]
    assert faults.in_force() == {}


def test_conditions_are_cleared_by_kind_or_all_at_once() -> None:
    """What is left is listed by name with its fields, and in the repr."""
    faults = Faults()
    faults.set(Starting())
    faults.set(PushTiming(delay_s=0.0))
    faults.clear(Starting)
    assert faults.in_force() == {"push_timing": [{"delay_s": 0.0, "second": True, "resend_s": 1.0}]}
    assert repr(faults) == "<Faults push_timing>"
    faults.clear()
    assert repr(faults) == "<Faults none>"


def test_actions_are_no_conditions() -> None:
    """Only what stays in force can be lifted."""
    assert "starting" in CONDITIONS
    assert "restart" not in CONDITIONS
