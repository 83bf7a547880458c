"""`make endurance`: every flood in full, one after the other; the page on stdout, exit code 1 when a bound was passed."""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from sidecar import __version__
from tests.endurance.ground import Seen
from tests.endurance.trials import TRIALS, Trial

LIMIT = 580.0
"""Seconds for everything."""

TIMES = 3
"""Each flood comes so often."""

LEAK = 0.5
"""MiB that every further flood may add: 10 000 connections that each left 50 bytes behind would show."""

PAGE = Path("docs/reference/endurance.md")

_MIB = 1 << 20

_HEAD = f"""\
# What floods leave behind

A sidecar process as it is by default (uvloop where it is installed) behind and before apps and instances that misbehave, one
flood after the other, each on a process of its own. While it lasts other apps call and are answered 200, each call over
a connection of its own. Memory is resident memory beyond that after 200 calls: the most at any moment of the flood; what is
left when its last connection has ended, which the allocator keeps for the next flood; and what each further flood of the
same kind added at least, in {TIMES} of them: that alone would be a leak. Descriptors are those left beyond the ones of the start.

"""


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 as promised, 1 not."""
    parser = argparse.ArgumentParser(prog="make endurance", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="floods whose name contains this")
    parser.add_argument("--write", action="store_true", help=f"the page replaces {PAGE}")
    options = parser.parse_args(argv)
    if options.write and options.only:
        parser.error("--write wants every flood")
    trials = [trial for trial in TRIALS if options.only in trial.what]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        text, objected = runner.run(_play(trials))
    sys.stdout.write(text)
    if options.write:
        PAGE.write_text(text)
    for objection in objected:
        _say(objection)
    return 1 if objected else 0


async def _play(trials: Sequence[Trial]) -> tuple[str, list[str]]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    seen: list[tuple[Trial, Seen]] = []
    async with asyncio.timeout(LIMIT):
        for trial in trials:
            _say(f"{trial.full} {trial.what}")
            with tempfile.TemporaryDirectory(prefix="endurance-") as folder:
                seen.append((trial, await trial.play(Path(folder), trial.full, TIMES)))
            _say(f"  {seen[-1][1]}")
    return "".join(_page(seen, loop.time() - began)), [text for one in seen for text in _objections(*one)]


def _page(seen: Sequence[tuple[Trial, Seen]], took: float) -> Iterator[str]:
    yield _HEAD
    yield f"`make endurance`, {datetime.now(UTC).date().isoformat()}: nacos-sidecar {__version__}, "
    yield f"Python {platform.python_version()}, {os.cpu_count()} cores; {took / 60:.1f} minutes.\n\n"
    yield "| flood | the app got | most, MiB | left, MiB | added by the next, MiB | descriptors left |\n"
    yield "|---|---|---|---|---|---|\n"
    for trial, one in seen:
        size = f"{trial.full:,}".replace(",", " ")
        memory = " | ".join(f"{amount / _MIB:.1f}" for amount in (one.peak, one.kept, one.again))
        yield f"| {size} {trial.what} | {one.told[0]} | {memory} | {one.files} |\n"


def _objections(trial: Trial, seen: Seen) -> Iterator[str]:
    for told in seen.told:
        if not trial.told.fullmatch(told):
            yield f"{trial.what}: {told}"
    if seen.peak > trial.peak * _MIB:
        yield f"{trial.what}: {seen.peak / _MIB:.1f} MiB at the most, {trial.peak} were promised"
    if seen.again > LEAK * _MIB:
        yield f"{trial.what}: {seen.again / _MIB:.1f} MiB are added by every further flood, {LEAK} were promised"
    if seen.files > 0:
        yield f"{trial.what}: {seen.files} descriptors too many are left"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
