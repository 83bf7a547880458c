"""The command line of the trial: progress on stderr, the table on stdout and in docs/, exit code 1 when a bar is missed."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from tests.registry_trial import freshness
from tests.registry_trial.cast import Cast
from tests.registry_trial.conduct import Act, Conductor
from tests.registry_trial.report import report
from tests.registry_trial.row import Row
from tests.support.java import TOOLS
from tests.support.needs import lacking

LIMIT = 600.0
"""Seconds for everything."""

ACTS: tuple[Act, ...] = (([*freshness.ROWS],),)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 every promise kept, 1 not, 2 not staged."""
    options = _options(argv)
    acts = [[[row for row in track if _wanted(row, options)] for track in act] for act in ACTS]
    if any(row.ground.is_real for act in acts for track in act for row in track) and (missing := lacking(*TOOLS)):
        _say(f"this machine lacks {missing}")
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_trial(acts, options))


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.registry_trial", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name or registry contains this")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the table goes there as well")
    parser.add_argument("--folder", type=Path, help="where logs and configurations are kept (default: nowhere)")
    return parser.parse_args(argv)


def _wanted(row: Row, options: argparse.Namespace) -> bool:
    return options.only.lower() in f"{row.event} {row.ground.value}".lower()


async def _trial(acts: Sequence[Act], options: argparse.Namespace) -> int:
    now = asyncio.get_running_loop().time
    began = now()

    def say(text: str) -> None:
        _say(f"{now() - began:6.1f} s  {text}")

    with tempfile.TemporaryDirectory(prefix="registry-trial-") as temporary:
        folder = options.folder or Path(temporary)
        try:
            async with asyncio.timeout(LIMIT), Cast() as cast:
                results = await Conductor(cast, folder, say).play(acts)
        except TimeoutError:
            say("not over within ten minutes")
            return 2
    page = report(results, date=f"{datetime.now(UTC):%Y-%m-%d}", took=now() - began)
    sys.stdout.write(page)
    if options.write:
        options.write.write_text(page)
    return 1 if any(result.misses for result in results) else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
