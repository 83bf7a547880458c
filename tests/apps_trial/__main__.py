"""The command line of the trial: progress on stderr, the tables on stdout, exit code 1 when something is not proven."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from tests.apps.stacks import STACKS
from tests.apps_trial import network
from tests.apps_trial.caller import caller
from tests.apps_trial.conduct import play
from tests.apps_trial.report import report
from tests.apps_trial.rows import ROWS
from tests.apps_trial.stage import staged
from tests.apps_trial.ways import WAYS
from tests.support.nacos_server import NacosServer


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 proven, 1 not, 2 nothing played."""
    options = _options(argv)
    network.set_up()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_trial(options))


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.apps_trial", description=__doc__)
    parser.add_argument("--rows", default="", metavar="TEXT,TEXT", help="rows whose name contains one of these (all)")
    parser.add_argument("--ways", default="", metavar="TEXT,TEXT", help="ways whose name contains one of these (all)")
    parser.add_argument("--stacks", default="a,b", metavar="ID,ID", help="of the apps (a,b)")
    parser.add_argument("--nacos", default="2.3.2", help="version of the server (2.3.2)")
    parser.add_argument("--folder", type=Path, help="where logs and configurations are kept (default: nowhere)")
    return parser.parse_args(argv)


async def _trial(options: argparse.Namespace) -> int:
    now = asyncio.get_running_loop().time
    began = now()

    def say(text: str) -> None:
        sys.stderr.write(f"{now() - began:6.1f} s  {text}\n")
        sys.stderr.flush()

    stacks = [stack for stack in STACKS if stack.id in options.stacks.split(",")]
    rows = [row for row in ROWS if any(text in row.name for text in options.rows.split(","))]
    ways = [way for way in WAYS if any(text in way.name for text in options.ways.split(","))]
    with tempfile.TemporaryDirectory(prefix="trial-apps-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        say("Nacos and the providers start")
        async with AsyncExitStack() as running:
            server = await running.enter_async_context(NacosServer(options.nacos))
            stage = await running.enter_async_context(staged(server, folder, network.HOST))
            registry = f"{network.HOST}:{server.http_port}"
            say("the apps start")
            for stack in stacks:
                for way in ways:
                    one = caller(
                        stack, way, registry, folder / f"{stack.id}-{way.name.replace(' ', '-')}", network.HOST
                    )
                    stage.callers.append(await running.enter_async_context(one))
            scores = await play(stage, rows, say)
        say("over")
    sys.stdout.write(report(scores))
    return 1 if any(score.objections() for score in scores) else 0


if __name__ == "__main__":
    network.enter("tests.apps_trial", sys.argv[1:])
    sys.exit(main(sys.argv[1:]))
