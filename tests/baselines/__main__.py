"""The command line: the page on stdout, progress on stderr, exit code 1 when the sidecar is not what is promised of it."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from tests.baselines.report import Played, objections, page
from tests.baselines.rows import ROWS, Row
from tests.peers.start import PEERS, TOOLS
from tests.support.needs import lacking

LIMIT = 540.0
"""Seconds for everything."""

PAGE = Path("docs/reference/baselines.md")


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 as promised, 1 not, 2 nothing played."""
    parser = argparse.ArgumentParser(prog="make baselines", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="situations whose name contains this")
    parser.add_argument("--write", action="store_true", help=f"the page replaces {PAGE}")
    options = parser.parse_args(argv)
    if options.write and options.only:
        parser.error("--write wants every situation")
    if missing := lacking(*TOOLS):
        _say(f"this machine lacks {missing}")
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        text, objected = runner.run(_play([row for row in ROWS if options.only in row.name]))
    sys.stdout.write(text)
    if options.write:
        PAGE.write_text(text)
    for objection in objected:
        _say(objection)
    return 1 if objected else 0


async def _play(rows: Sequence[Row]) -> tuple[str, list[str]]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    played: list[tuple[Row, Played]] = []
    async with asyncio.timeout(LIMIT):
        for row in rows:
            _say(row.name)
            played.append((row, await _outcomes(row)))
            _say("  " + ", ".join(f"{name} {outcome.share:.1f} %" for name, outcome in played[-1][1].items()))
    today = datetime.now(UTC).date().isoformat()
    return page(played, date=today, took=loop.time() - began), list(objections(played))


async def _outcomes(row: Row) -> Played:
    with tempfile.TemporaryDirectory(prefix="baselines-") as folder:
        if row.together:
            outcomes = await asyncio.gather(*(row.play(peer, Path(folder)) for peer in PEERS))
            return dict(zip(PEERS, outcomes, strict=True))
        return {peer: await row.play(peer, Path(folder)) for peer in PEERS}


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
