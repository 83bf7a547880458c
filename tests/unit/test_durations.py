"""Durations."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("10s", 10.0), ("5m", 300.0), ("1.5h", 5400.0), ("10us", 0.00001), ("0.5s", 0.5)],
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    """Every unit of the contract counts, with fractions, to the very float that the decimal names."""
    assert durations.duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["10", "10 seconds", "-1s", "1e3s", "s", "", "1s ", "1s\n", "٣s", ".5s", "1d", 10, None, True]
)
def test_anything_else_is_no_duration(text: object) -> None:
    """Numbers without unit, signs, blanks and other scripts' digits are refused."""
    with pytest.raises(ValueError, match="a duration such as 250ms, 10s or 5m"):
        durations.duration(text)


def test_zero_counts_only_where_it_has_a_meaning() -> None:
    """`0s` is refused unless the key says that zero switches something off."""
    assert durations.duration("0s", zero=True) == 0.0
    with pytest.raises(ValueError, match="above zero"):
        durations.duration("0ms")


def test_a_duration_beyond_a_century_is_a_mistake() -> None:
    """No event loop is handed a delay it cannot count."""
    assert durations.duration("876000h") == 3_153_600_000.0
    with pytest.raises(ValueError, match="at most"):
        durations.duration("876001h")


@given(count=st.integers(1, 10**7), unit=st.sampled_from(["us", "ms", "s", "m", "h"]))
def test_a_duration_survives_being_written(count: int, unit: str) -> None:
    """What `duration_text` writes reads as the same float."""
    try:
        seconds = durations.duration(f"{count}{unit}")
    except ValueError:
        return
    assert durations.duration(durations.duration_text(seconds)) == seconds


@given(st.floats(1e-6, 1e9))
def test_any_float_of_seconds_can_be_written(seconds: float) -> None:
    """Even one that no text with a short fraction yields comes back within a microsecond's billionth part."""
    text = durations.duration_text(seconds)
    number, unit = text.rstrip("umsh"), text.lstrip("0123456789.")
    factor = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}[unit]
    assert float(number) * factor == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0s"), (60.0, "60s"), (0.1, "100ms"), (300.0, "5m"), (90.0, "90s"), (86400.0, "24h")]
)
def test_a_duration_is_written_as_people_write_it(seconds: float, text: str) -> None:
    """The largest unit without a fraction, a single minute apart."""
    assert durations.duration_text(seconds) == text


def test_reading_a_duration_loads_no_library() -> None:
    """Commands that a pod starts again and again need neither YAML nor models."""
    code = "import sys, sidecar.durations, sidecar.config.address; print(*{'yaml', 'pydantic', 'asyncio'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
