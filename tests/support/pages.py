"""What the pages have in common that trials write."""

import os
import platform
from collections.abc import Sequence

from sidecar import __version__


def versions() -> str:
    """What was tried, and on what."""
    return f"nacos-sidecar {__version__}, Python {platform.python_version()}, {os.cpu_count()} cores"


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of Markdown; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
