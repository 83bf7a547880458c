"""Ranges and sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.policy import Range
from sidecar.config import units


def test_a_range_has_a_low_and_a_high_end() -> None:
    """`LOW..HIGH` reads both ends, equal ones included."""
    assert units.backoff("100ms..5s") == Range(0.1, 5.0)
    assert units.backoff("1s..1s") == Range(1.0, 1.0)
    assert units.backoff_text(Range(0.1, 5.0)) == "100ms..5s"


@pytest.mark.parametrize("text", ["5s..100ms", "1s", "1s..", "..1s", "1s...2s", "0s..1s", 5])
def test_anything_else_is_no_range(text: object) -> None:
    """One end alone, ends the wrong way round and a zero are refused."""
    with pytest.raises(ValueError, match=r"a range LOW\.\.HIGH"):
        units.backoff(text)


@pytest.mark.parametrize(("text", "count"), [("512B", 512), ("64KiB", 65536), ("1MiB", 1048576), ("0B", 0)])
def test_a_size_is_a_whole_number_with_a_unit(text: str, count: int) -> None:
    """Units are binary, and a size is written in the largest that fits."""
    assert units.size(text) == count
    assert units.size_text(count) == text


@pytest.mark.parametrize("text", ["64", "64KB", "1.5MiB", "64 KiB", 64, None])
def test_anything_else_is_no_size(text: object) -> None:
    """A number without unit, decimal units and fractions are refused."""
    with pytest.raises(ValueError, match="a size such as"):
        units.size(text)


@given(st.integers(0, 1 << 40))
def test_a_size_survives_being_written(count: int) -> None:
    """What `size_text` writes reads as the same number of bytes."""
    assert units.size(units.size_text(count)) == count
