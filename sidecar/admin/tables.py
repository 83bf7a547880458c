"""Columns for people (pure). Apart from `views`, because `status` has to start at once and needs nothing of the core."""

from collections.abc import Iterable
from typing import Any

_COLUMNS = ("SERVICE", "ENDPOINT", "STATE", "IN-FLIGHT", "REQUESTS", "FAILURES", "UNTIL")


def status_table(clusters: dict[str, Any]) -> str:
    """The body of /clusters?format=json as columns for people; a service without endpoints has one row too."""
    rows = [
        (cluster["name"], e["address"], e["state"], e["in_flight"], e["requests"], e["failures"], e["until"] or "-")
        for cluster in clusters["clusters"]
        for e in cluster["endpoints"] or [_NO_ENDPOINT]
    ]
    return table((_COLUMNS, *rows))


_NO_ENDPOINT = {"address": "-", "state": "-", "in_flight": "-", "requests": "-", "failures": "-", "until": None}


def table(rows: Iterable[tuple[object, ...]]) -> str:
    """Left-aligned columns, two spaces apart, a line a row."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "".join([f"{line}\n" for line in lines])
