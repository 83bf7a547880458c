"""The page that a recorded run is written to: what stands between its two marks, and the pictures beside it."""

import platform
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import plot
from tests.bench.results import Results

PAGE = Path("docs/performance.md")
PICTURES = PAGE.with_suffix("")
BEGIN, END = "<!-- recorded run -->\n", "<!-- end of the recorded run -->\n"


def write(results: Results, tables: str, *, rounds: int, seconds: int) -> None:
    """Replaces the run that stood there; a picture of a part that was not measured stays."""
    PICTURES.mkdir(exist_ok=True)
    if results.rounds:
        (PICTURES / "cpu.svg").write_text(plot.costs(results))
    if results.fixed:
        (PICTURES / "latency.svg").write_text(plot.latency(results))
    PAGE.write_text(placed(PAGE.read_text(), f"{_about(rounds, seconds)}\n\n{tables}"))


def placed(page: str, run: str) -> str:
    """The page with this run in it; raises ValueError where it has no marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for a run")
    return f"{before}{begin}\n{run}\n{end}{after}"


def _about(rounds: int, seconds: int) -> str:
    day = datetime.now(UTC).date()
    return (
        f"{day}, Python {platform.python_version()}, {platform.machine()}, two shared cores; {rounds} rounds of {seconds} s each,"
        " in turns. Take the ratios, not the times."
    )
