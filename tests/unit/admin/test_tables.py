"""Columns that line up."""

from sidecar.admin.tables import status_table, table


def _endpoint(address: str, until: str | None = None) -> dict[str, object]:
    return {"address": address, "state": "held", "in_flight": 1, "requests": 20, "failures": 3, "until": until}


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """Two spaces apart, no spaces at the end of a line."""
    assert table([("a", "bb", 1), ("ccc", "d", "")]) == "a    bb  1\nccc  d\n"


def test_the_status_table_has_a_row_an_endpoint() -> None:
    """A service without endpoints is not passed over."""
    orders = {"name": "orders", "endpoints": [_endpoint("10.0.0.1:8080"), _endpoint("10.0.0.2:8080", "2026-01-31T…Z")]}
    assert status_table({"clusters": [orders, {"name": "empty", "endpoints": []}]}).splitlines() == [
        "SERVICE  ENDPOINT       STATE  IN-FLIGHT  REQUESTS  FAILURES  UNTIL",
        "orders   10.0.0.1:8080  held   1          20        3         -",
        "orders   10.0.0.2:8080  held   1          20        3         2026-01-31T…Z",
        "empty    -              -      -          -         -         -",
    ]
