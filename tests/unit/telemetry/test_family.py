"""Rows of the catalogue."""

from sidecar.telemetry.family import Family, Kind


def _itself(number: int) -> int:
    return number


def test_a_row_is_itself_whatever_it_says() -> None:
    """Two rows alike are still two: templates made for one must not serve the other."""
    first, second = (Family("n", Kind.GAUGE, "h", _itself) for _ in range(2))
    assert len({first, second}) == 2
    assert first.read(3) == 3
