"""The command line of the trial; the table on stdout, its progress on stderr, exit code 1 when something is not proven."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import uvloop

from tests.support.java import TOOLS
from tests.support.nacos_server import NacosServer, Version
from tests.support.needs import find
from tests.trial.play import play, rolling
from tests.trial.report import report
from tests.trial.stage import sidecar_of, staged

_STAGING = 120.0
"""Seconds that a busy machine may take beside the load itself: to start everything, and for slow steps."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 proven, 1 not, 2 not staged."""
    options = _options(argv)
    missing = [tool for tool in TOOLS if find(tool) is None]
    if missing:
        _say(f"this machine lacks {', '.join(missing)}")
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_trial(options))


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.trial", description=__doc__)
    parser.add_argument("--duration", type=float, default=120.0, metavar="SECONDS", help="of the load (120)")
    parser.add_argument(
        "--rate", type=float, default=300.0, metavar="N", help="calls a second, half GET, half POST (300)"
    )
    parser.add_argument("--nacos", choices=get_args(Version), default="3.1.0", help="version of the server (3.1.0)")
    parser.add_argument("--folder", type=Path, help="where logs and lists are kept (default: nowhere)")
    return parser.parse_args(argv)


async def _trial(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="trial-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            async with asyncio.timeout(options.duration + _STAGING):
                return await _staged_trial(options, folder)
        except TimeoutError:
            _say("a step did not come to its end in time")
            return 2


async def _staged_trial(options: argparse.Namespace, folder: Path) -> int:
    _say(f"starting Nacos {options.nacos}, three Java providers and the sidecar")
    async with (
        NacosServer(options.nacos) as server,
        staged(server, folder) as stage,
        sidecar_of(stage, folder) as sidecar,
    ):
        await sidecar.ready()
        _say(f"{options.rate:.0f} calls/s for {options.duration:.0f} s, half GET, half POST")
        played = await play(
            stage, sidecar, rolling(stage), rate=options.rate, seconds=options.duration, say=_Stopwatch().say
        )
    sys.stdout.write(report(played.verdict, played.phases, played.healed))
    return 1 if played.verdict.objections else 0


class _Stopwatch:
    """Puts the seconds since its making before a line."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._began = self._now()

    def say(self, text: str) -> None:
        _say(f"{self._now() - self._began:6.1f} s  {text}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
