"""Ten exact seconds."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.slots import SLOTS, Slots, SuccessRate


def test_a_count_is_part_of_ten_seconds_and_of_no_eleventh() -> None:
    """What second 5 counted is in the totals of seconds 5 to 14 and in no other."""
    slots = Slots()
    slots.add(5.9)
    assert [slots.total(second) for second in (5.9, 9.0, 14.99)] == [1, 1, 1]
    assert slots.total(15.0) == 0


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 9)), max_size=60))
def test_the_total_is_the_sum_over_the_last_ten_whole_seconds(steps: list[tuple[float, int]]) -> None:
    """However the seconds fall, the total equals the sum that a full record would give."""
    slots, record, now = Slots(), [], 1000.0
    for pause, amount in steps:
        now += pause
        slots.add(now, amount)
        record.append((int(now), amount))
        assert slots.total(now) == sum(n for second, n in record if second > int(now) - SLOTS)


def test_a_clock_that_starts_anywhere_is_no_matter() -> None:
    """A first count at a huge time is counted once and costs no walk through the seconds before it."""
    slots = Slots()
    slots.add(1e12)
    assert slots.total(1e12) == 1


def test_a_success_rate_means_nothing_before_ten_answers() -> None:
    """Nine bad answers of nine are no rate, the tenth makes it one."""
    rate = SuccessRate()
    for _ in range(9):
        rate.count(1.0, good=False)
    assert not rate.below(1.0, 1.0)
    rate.count(1.0, good=False)
    assert rate.below(0.5, 1.0)


def test_a_success_rate_at_the_threshold_is_good_enough() -> None:
    """Five good of ten are not below one half."""
    rate = SuccessRate()
    for good in (True, False) * 5:
        rate.count(1.0, good=good)
    assert not rate.below(0.5, 1.0)
    assert rate.below(0.51, 1.0)
