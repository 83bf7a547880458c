"""The command line of the trial: progress on stderr, the tables on stdout, exit code 1 when something is not proven."""

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from sidecar import clock
from tests.apps.stacks import A1, B3, STACKS, A, B, Stack
from tests.apps_trial import network
from tests.apps_trial.caller import FEW_CALLS, Caller, caller
from tests.apps_trial.conduct import play
from tests.apps_trial.report import page, report
from tests.apps_trial.rows import (
    EMPTY_15,
    EMPTY_40,
    EXCHANGED,
    OTHER_ADDRESSES_AND_LISTS,
    ROLLING,
    SAME_ADDRESSES,
    Row,
)
from tests.apps_trial.stage import staged
from tests.apps_trial.verdict import Score
from tests.apps_trial.ways import DIRECT, FORWARD_PROXY, GUARDED, OF_ONE, TRANSPARENT, WAYS, Way
from tests.support import own_network
from tests.support.java import SERVERS, TOOLS, JavaProgram
from tests.support.nacos_server import NacosServer, Version
from tests.support.needs import lacking

Say = Callable[[str], None]

LIMIT = 1500.0
"""Seconds for everything."""

_AT_ONCE = 2
"""Apps that start side by side: more of them only take the processor from each other."""

PAGE = Path("docs/trial-apps.md")


@dataclass(frozen=True, slots=True)
class Part:
    """Apps that are played with at the same time."""

    nacos: Version
    stacks: Sequence[Stack]
    rows: Sequence[Row]
    ways: Sequence[Way] = WAYS
    retry: Mapping[str, Any] = field(default_factory=lambda: FEW_CALLS)


Act = Sequence[Part]
"""Parts that are played side by side."""

_THREE_ROWS = (ROLLING, EXCHANGED, EMPTY_40)
WHOLE: Sequence[Act] = (
    (Part("2.3.2", (A, B), SAME_ADDRESSES),),
    (Part("2.3.2", (A, B), OTHER_ADDRESSES_AND_LISTS),),
    (Part("2.3.2", (A1,), _THREE_ROWS), Part("3.1.0", (B3,), _THREE_ROWS)),
)

_SHORT = tuple(replace(row, aftermath=5.0) for row in (ROLLING, EMPTY_15, EXCHANGED))
BRIEF: Sequence[Act] = (
    (Part("2.3.2", (A, B), _SHORT, (DIRECT, FORWARD_PROXY, TRANSPARENT, GUARDED, OF_ONE), retry={}),),
)
"""What the tests play, with sidecars at their defaults: nobody freezes, and a machine may be busy."""


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 proven, 1 not, 2 not played to the end."""
    options = _options(argv)
    network.set_up()
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="trial-apps-") as temporary:
        folder: Path = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # some sidecars are somebody else
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                scores = runner.run(trial(_acts(options), folder, watch.say))
        except TimeoutError:
            watch.say(f"not over within {LIMIT:.0f} s")
            return 2
    watch.say("over")
    sys.stdout.write(report(scores))
    if options.write:
        PAGE.write_text(page(scores, date=f"{datetime.now(UTC):%Y-%m-%d}", took=watch.seconds))
    return 1 if any(score.objections() for score in scores) else 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.apps_trial", description=__doc__)
    parser.add_argument("--brief", action="store_true", help="the three rows of two stacks that the tests play")
    parser.add_argument("--rows", default="", metavar="TEXT,TEXT", help="only rows whose name contains one of these")
    parser.add_argument("--ways", default="", metavar="TEXT,TEXT", help="only ways whose name contains one of these")
    parser.add_argument("--stacks", default=",".join(stack.id for stack in STACKS), metavar="ID,ID", help="only these")
    parser.add_argument("--write", action="store_true", help=f"the tables replace {PAGE}")
    parser.add_argument("--folder", type=Path, help="where logs and configurations are kept (default: nowhere)")
    options = parser.parse_args(argv)
    if options.write and (options.brief or options.rows or options.ways):
        parser.error("--write wants everything")
    return options


def _acts(options: argparse.Namespace) -> list[Act]:
    """Those that have something to do."""
    acts = [[_narrowed(part, options) for part in act] for act in (BRIEF if options.brief else WHOLE)]
    return [found for act in acts if (found := [part for part in act if part.stacks and part.rows and part.ways])]


def _narrowed(part: Part, options: argparse.Namespace) -> Part:
    return replace(
        part,
        stacks=[stack for stack in part.stacks if stack.id in options.stacks.split(",")],
        rows=[row for row in part.rows if any(text in row.name for text in options.rows.split(","))],
        ways=[way for way in part.ways if any(text in way.name for text in options.ways.split(","))],
    )


def _programs(acts: Sequence[Act]) -> set[JavaProgram]:
    """All that are started."""
    parts = [part for act in acts for part in act]
    stacks = {
        *(stack for part in parts for stack in part.stacks),
        *(row.life.stack for part in parts for row in part.rows),
    }
    return {*(SERVERS[part.nacos] for part in parts), *(stack.provider for stack in stacks)}


async def trial(acts: Sequence[Act], folder: Path, say: Say) -> list[Score]:
    """The scores of everything, part after part."""
    names = (f"part-{number}" for number in itertools.count(1))
    scores: list[Score] = []
    async with asyncio.timeout(LIMIT):
        for act in acts:
            played = await asyncio.gather(*(_play(part, folder / next(names), say) for part in act))
            scores += itertools.chain(*played)
    return scores


async def _play(part: Part, folder: Path, say: Say) -> list[Score]:
    say(f"Nacos {part.nacos} and the providers start")
    await asyncio.to_thread(folder.mkdir)
    async with AsyncExitStack() as running:
        server = await running.enter_async_context(NacosServer(part.nacos))
        stage = await running.enter_async_context(staged(server, folder))
        say(f"the apps start: {', '.join(stack.id for stack in part.stacks)}")
        starting = asyncio.Semaphore(_AT_ONCE)

        async def start(stack: Stack, way: Way) -> Caller:
            async with starting:
                one = caller(stack, way, stage.registry, folder / f"{stack.id}-{way.slug}", part.retry)
                return await running.enter_async_context(one)

        stage.callers += await asyncio.gather(*(start(stack, way) for stack in part.stacks for way in part.ways))
        return await play(stage, part.rows, say)


class Stopwatch:
    """Puts the seconds since its making before a line."""

    def __init__(self) -> None:
        self._began = clock.monotonic()

    @property
    def seconds(self) -> float:
        return clock.monotonic() - self._began

    def say(self, text: str) -> None:
        _say(f"{self.seconds:6.1f} s  {text}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    if missing := lacking(*TOOLS, *network.TOOLS):
        _say(f"this machine lacks {missing}")
        sys.exit(2)
    for program in _programs(_acts(_options(sys.argv[1:]))):
        program.build()  # where the trial goes next, nothing can be fetched
    own_network.enter("tests.apps_trial", sys.argv[1:])
    sys.exit(main(sys.argv[1:]))
