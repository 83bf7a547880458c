"""`python -m tests.conformance.fuzz`: the differential test for as long as one likes, with another seed each round."""

import argparse
import asyncio
import itertools
import logging
import sys

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from sidecar import clock
from tests.conformance.differential import judge
from tests.conformance.wire import Wire, wired
from tests.support.mutations import cuts, streams

_ROUND = 1000
_log = logging.getLogger("fuzz")


def play(wire: Wire, runner: asyncio.Runner, *, examples: int, start: int | None = None) -> None:
    """So many streams through the data path; raises with the smallest one that readers disagree on."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def readers_agree(data: st.DataObject) -> None:
        stream = data.draw(streams(), label="stream")
        packets = data.draw(cuts(stream), label="packets")
        runner.run(judge(wire, stream, packets))

    (readers_agree if start is None else seed(start)(readers_agree))()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="make fuzz", description="h11, the sidecar and an instance read alike.")
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--seed", type=int, default=int(clock.wall()), help="of the first round; the next ones follow")
    options = parser.parse_args(arguments)
    end = clock.monotonic() + options.seconds
    with asyncio.Runner() as runner:
        for number in itertools.count(options.seed):
            wire = runner.run((stage := wired()).__aenter__())
            play(wire, runner, examples=_ROUND, start=number)
            runner.run(stage.__aexit__(None, None, None))
            left = end - clock.monotonic()
            _log.info("seed %d: %d streams, %.0f s left", number, _ROUND, max(0.0, left))
            if left <= 0:
                return


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    main(sys.argv[1:])
