"""Counters."""

import pytest

from sidecar.cluster.stats import DURATION_BUCKETS, Histogram, ProcessStats, ServiceStats


@pytest.mark.parametrize(("value", "bucket"), [(0.0, 0), (0.001, 0), (0.0011, 1), (60.0, 14), (60.1, 15)])
def test_a_value_falls_into_the_first_bucket_that_holds_it(value: float, bucket: int) -> None:
    """Bounds are inclusive; what is above the last one goes to +Inf."""
    histogram = Histogram(DURATION_BUCKETS)
    histogram.observe(value)
    assert histogram.counts.index(1) == bucket
    assert histogram.total == value


def _is_zero(value: object) -> bool:
    if isinstance(value, ServiceStats):
        return all(_is_zero(getattr(value, name)) for name in value.__slots__)
    return not any(value.counts) if isinstance(value, Histogram) else not value


@pytest.mark.parametrize("kind", [ServiceStats, ProcessStats])
def test_new_counters_are_zero(kind: type[ServiceStats | ProcessStats]) -> None:
    """Nothing is counted before it happened."""
    stats = kind()
    assert all(_is_zero(getattr(stats, name)) for name in kind.__slots__)
