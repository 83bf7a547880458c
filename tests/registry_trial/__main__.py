"""The command line of the trial: progress on stderr, the table on stdout, exit code 1 when a promise was not kept."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from tests.registry_trial import freshness, guard
from tests.registry_trial.cast import Cast
from tests.registry_trial.conduct import Act, Conductor
from tests.registry_trial.report import report
from tests.registry_trial.row import Ground, Row
from tests.support import own_network
from tests.support.java import TOOLS, build_all
from tests.support.needs import lacking

LIMIT = 570.0
"""Seconds for everything: ten minutes with the end of what was started."""

PAGE = Path("docs/registry-trial.md")

ACTS: tuple[Act, ...] = (
    (freshness.PRECISE,),
    (freshness.REAL, freshness.USERS, freshness.EMBEDDED),
    (guard.NACOS_3, guard.NACOS_2, guard.EMBEDDED),
    (guard.TWO_NODES,),
)


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 every promise kept, 1 not, 2 nothing played."""
    options = _options(argv)
    acts = [[[row for row in track if _wanted(row, options.only)] for track in act] for act in ACTS]
    if any(row.ground.is_real for row in _rows(acts)) and (missing := lacking(*TOOLS)):
        _say(f"this machine lacks {missing}")
        return 2
    if own_network.is_own():
        own_network.set_up()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        page, kept = runner.run(_trial(acts, options.folder))
    sys.stdout.write(page)
    if options.write:
        PAGE.write_text(page)
    return 0 if kept else 1


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.registry_trial", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name or registry contains this")
    parser.add_argument("--write", action="store_true", help=f"the table replaces {PAGE}")
    parser.add_argument("--folder", type=Path, help="where logs and configurations are kept (default: nowhere)")
    options = parser.parse_args(argv)
    if options.write and options.only:
        parser.error("--write wants every row")
    return options


def _wanted(row: Row, text: str) -> bool:
    return text.lower() in f"{row.event} {row.ground.value} {row.section.value}".lower()


def _rows(acts: Sequence[Act]) -> list[Row]:
    return [row for act in acts for track in act for row in track]


async def _trial(acts: Sequence[Act], kept_folder: Path | None) -> tuple[str, bool]:
    """The page, and whether every promise was kept."""
    now = asyncio.get_running_loop().time
    began = now()

    def say(text: str) -> None:
        _say(f"{now() - began:6.1f} s  {text}")

    with tempfile.TemporaryDirectory(prefix="registry-trial-") as temporary:
        conductor = Conductor(acts, cast := Cast(), kept_folder or Path(temporary), say)
        try:
            async with asyncio.timeout(LIMIT), cast:
                await _start(cast, _rows(acts))
                await conductor.play()
        except TimeoutError:
            say(f"not over within {LIMIT:.0f} s")
        results = conductor.results
        page = report(results, date=f"{datetime.now(UTC):%Y-%m-%d}", took=now() - began)
    return page, not any(result.misses for result in results)


async def _start(cast: Cast, rows: Sequence[Row]) -> None:
    """The servers that most rows share, so that no start disturbs the rows that measure milliseconds."""
    grounds = {row.ground for row in rows}
    async with asyncio.TaskGroup() as starting:
        if Ground.NACOS_3 in grounds:
            starting.create_task(cast.nacos("3.1.0"))
        if Ground.NACOS_2 in grounds:
            starting.create_task(cast.nacos("2.3.2"))


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    if not lacking(*TOOLS):
        build_all()  # where the trial goes next, nothing can be fetched
    own_network.enter("tests.registry_trial", sys.argv[1:])
    sys.exit(main(sys.argv[1:]))
