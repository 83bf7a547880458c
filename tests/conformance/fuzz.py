"""`python -m tests.conformance.fuzz`: readers compared on odd bytes for as long as one likes, by a seed that can be repeated.

Four kinds of play share the time:
- `requests`: streams of an app, read by h11, the sidecar, and h11 at the instance;
- `nginx`: the same streams, and a real nginx behind a tee as the instance;
- `answers`: answers of an instance, read by a lenient reader there, the sidecar, and h11 at the app;
- `guided`: the pure readers of the product, whole against split, against each other and h11, led by coverage.
"""

import argparse
import asyncio
import itertools
import logging
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from sidecar import clock
from tests.conformance import answering, differential, nginx_behind
from tests.conformance.wire import wired
from tests.support.mutations import cuts, streams

Stream = tuple[bytes, list[bytes]]
Play = Callable[[int, int], None]

STREAMS: st.SearchStrategy[Stream] = streams().flatmap(lambda stream: st.tuples(st.just(stream), cuts(stream)))
"""What an app sends, and in which packets."""

_ROUND = 100
"""Examples of one seed: a few seconds."""

_log = logging.getLogger("fuzz")


def play_requests(start: int, examples: int = _ROUND, *, shrinks: bool = True) -> None:
    """h11 on both sides; raises with the smallest stream that the readers disagree on."""
    with asyncio.Runner() as runner:
        wire = runner.run((stage := wired()).__aenter__())

        @_examples(start, examples, shrinks=shrinks)
        @given(STREAMS)
        def readers_agree(stream: Stream) -> None:
            runner.run(differential.judge(wire, *stream))

        try:
            readers_agree()
        finally:
            runner.run(stage.__aexit__(None, None, None))


def play_nginx(start: int, examples: int = _ROUND, *, shrinks: bool = True) -> None:
    """The same with nginx behind."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        wire, nginx = runner.run((stage := nginx_behind.nginx_behind(Path(folder))).__aenter__())

        @_examples(start, examples, shrinks=shrinks)
        @given(STREAMS)
        def nginx_agrees(stream: Stream) -> None:
            runner.run(nginx_behind.judge(wire, nginx, *stream))

        try:
            nginx_agrees()
        finally:
            runner.run(stage.__aexit__(None, None, None))
        assert nginx.count, "nginx has seen nothing"


def play_answers(start: int, examples: int = _ROUND, *, shrinks: bool = True) -> None:
    """Whatever an instance says, each request gets its own answer, and once."""
    with asyncio.Runner() as runner:
        instance = runner.run((stage := answering.Answering()).__aenter__())

        @_examples(start, examples, shrinks=shrinks)
        @given(answering.exchanges())
        def answers_are_their_own(exchange: list[answering.Said]) -> None:
            runner.run(answering.judge(instance, exchange))

        try:
            answers_are_their_own()
        finally:
            runner.run(stage.close())


def _examples(start: int, count: int, *, shrinks: bool) -> Callable[[Any], Callable[[], None]]:
    """The same ones for the same `start`, and none that are remembered from an earlier run."""
    phases = (Phase.generate, Phase.shrink) if shrinks else (Phase.generate,)
    quiet = settings(
        max_examples=count, deadline=None, database=None, phases=phases, suppress_health_check=list(HealthCheck)
    )
    return lambda test: seed(start)(quiet(test))


PLAYS: Mapping[str, Play] = {"requests": play_requests, "nginx": play_nginx, "answers": play_answers}


@dataclass(frozen=True)
class Share:
    """How long one play goes on: by the clock, or by a number of examples, which are then the same on every machine."""

    seconds: float = math.inf
    examples: float = math.inf


def in_rounds(name: str, share: Share, start: int) -> int:
    """Rounds of one play, one at least, each by the next seed; how many examples that were."""
    end = clock.monotonic() + share.seconds
    for number in itertools.count(start):
        try:
            PLAYS[name](number, _ROUND)
        except BaseException:
            _log.error("%s: found by --only %s --seed %d", name, name, number)
            raise
        played = (number - start + 1) * _ROUND
        if played >= share.examples or clock.monotonic() >= end:
            return played
    raise AssertionError("count() has no end")


def guided(share: Share, start: int) -> str:
    """The play that coverage leads, in a process of its own: atheris instruments what is imported, and never returns."""
    bounds = {"seconds": share.seconds, "examples": share.examples}
    given = (f"--{name}={round(bound)}" for name, bound in bounds.items() if bound < math.inf)
    command = (sys.executable, "-m", "tests.conformance.guided", f"--seed={start}", *given)
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if done.returncode:
        raise AssertionError(f"found by python -m tests.conformance.guided --seed={start}:\n{done.stdout}{done.stderr}")
    return next(line for line in done.stderr.splitlines() if line.startswith("Done "))


def fuzz(seconds: float, start: int, names: list[str]) -> None:
    """Each named play for its share of the time; raises with what it has found."""
    share = Share(seconds=seconds / len(names))
    for name in names:
        if name == "guided":
            _log.info("guided: %s", guided(share, start))
        else:
            _log.info("%s: %d examples from seed %d on", name, in_rounds(name, share, start), start)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="make fuzz", description="Readers compared on odd bytes.")
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--seed", type=int, default=int(clock.wall()), help="of the first round; the next ones follow")
    parser.add_argument("--only", choices=[*PLAYS, "guided"], action="append", help="instead of all four")
    options = parser.parse_args(arguments)
    fuzz(options.seconds, options.seed, options.only or [*PLAYS, "guided"])
    _log.info("nothing was found")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    main(sys.argv[1:])
