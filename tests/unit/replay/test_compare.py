"""What has no counterpart."""

from sidecar.replay.compare import MOMENT, TOLERANCE, Comparison, Difference, compare
from sidecar.replay.decision import Decision

A, B, C = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"


def ended(at: float, endpoint: str = A, by: str = "confirmed", *, by_time: bool = False) -> Decision:
    return Decision(at, "hold_ended", endpoint, (("by", by),), by_time=by_time)


def removed(at: float, endpoint: str = A) -> Decision:
    return Decision(at, "endpoint_removed", endpoint)


def refused(at: float, kept: int = 3) -> Decision:
    return Decision(at, "push_refused", None, (("kept", kept),))


def compared(recorded: list[Decision], now: list[Decision], ends: float = 1000.0) -> Comparison:
    return compare(recorded, now, ends=ends)


def test_the_same_a_little_later_is_the_same() -> None:
    """A heartbeat, or a busy machine, lies between; beyond the tolerance it is a difference."""
    assert compared([ended(10.0)], [ended(10.0 + TOLERANCE)]) == Comparison(1, 1, ())
    assert compared([ended(10.0)], [ended(10.0 - TOLERANCE)]) == Comparison(1, 1, ())
    assert compared([ended(10.0)], [ended(10.1 + TOLERANCE)]).same == 0


def test_each_decision_has_one_counterpart() -> None:
    """Recorded twice, decided once: one is left."""
    found = compared([removed(10.0), removed(10.5)], [removed(10.2)])
    assert (found.recorded, found.same) == (2, 1)
    assert found.differences == (Difference(10.5, (removed(10.5),), ()),)


def test_other_facts_are_another_decision() -> None:
    """Three kept is not two kept; both are told together."""
    found = compared([refused(10.0, kept=3)], [refused(10.0, kept=2)])
    assert found.differences == (Difference(10.0, (refused(10.0, kept=3),), (refused(10.0, kept=2),)),)


def test_what_happened_together_is_one_difference() -> None:
    """A doubt here, a removal there, at the same list; what came a minute later is another."""
    found = compared([refused(10.0)], [removed(10.0, A), removed(10.0 + MOMENT, B), removed(70.0, C)])
    assert found.differences == (
        Difference(10.0, (refused(10.0),), (removed(10.0, A), removed(10.0 + MOMENT, B))),
        Difference(70.0, (), (removed(70.0, C),)),
    )


def test_what_time_brings_about_may_only_come_at_another_time() -> None:
    """A longer `confirm`: two holds end together, fifty seconds later."""
    found = compared([ended(20.0, A), ended(20.0, B)], [ended(70.0, A), ended(70.0, B)])
    (difference,) = found.differences
    assert (difference.at, difference.later) == (20.0, 50.0)
    assert difference.recorded == (ended(20.0, A), ended(20.0, B))
    assert difference.now == (ended(70.0, A), ended(70.0, B))


def test_one_that_is_only_shifted_does_not_take_another_along() -> None:
    """A ends later, B earlier, and C by another cause: three differences."""
    found = compared(
        [ended(20.0, A), ended(20.0, B), ended(20.0, C)], [ended(10.0, B), ended(20.0, C, "expired"), ended(70.0, A)]
    )
    assert [(one.at, one.later) for one in found.differences] == [(10.0, -10.0), (20.0, 50.0), (20.0, None)]


def test_a_removal_at_another_list_is_not_the_same_removal() -> None:
    """What facts bring about is not shifted: it belongs to its list."""
    found = compared([removed(10.0)], [removed(500.0)])
    assert [one.later for one in found.differences] == [None, None]


def test_what_time_alone_brings_about_at_the_end_may_not_be_recorded_yet() -> None:
    """The file was saved between the due time and the heartbeat; what a fact brings about counts to the end."""
    late = ended(999.5, by_time=True)
    assert compared([], [late], ends=1000.0).differences == ()
    assert compared([], [ended(998.9, by_time=True)], ends=1000.0).differences != ()
    assert compared([], [ended(1000.0)], ends=1000.0).differences != ()


def test_a_later_recording_is_more_patient() -> None:
    """By as much as its own event loop was late."""
    found = compare([ended(10.0)], [ended(13.0)], ends=1000.0, tolerance=TOLERANCE + 2.5)
    assert found.same == 1
