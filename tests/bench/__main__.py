"""What the sidecar costs beside nginx, HAProxy and Envoy, in one run (`make bench`, and `make bench-quick` for one row).

The proxy under test alone on one core, load and backend on the other. What is compared is user and system time a request,
by the account that the kernel keeps of each process: other work on the machine disturbs it less than a rate. Rounds alternate
between the proxies.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.bench.compare import DIRECT, at_a_fixed_rate, compare
from tests.bench.contender import contenders, own_core
from tests.bench.during import disturb
from tests.bench.ground import ECHO_MODULE, Ground, ground
from tests.bench.growth import grow, largest
from tests.bench.page import write
from tests.bench.report import report
from tests.bench.results import ORDER, OURS, Results, bars
from tests.bench.start import starts
from tests.bench.ways import ways
from tests.bench.work import MAIN, PLACES, WORK
from tests.peers.nginx import RELAY_MODULE
from tests.support import cpu
from tests.support.needs import find

_PARTS = ("rows", "rate", "during", "growth", "address", "start")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 all bars are met, 2 not measured, 3 some are not."""
    options = _options(argv)
    if lacking := list(_lacking()):
        sys.stderr.write(f"this machine lacks {', '.join(lacking)}\n")
        return 2
    began = time.perf_counter()
    results = Results.read(options.results)
    try:
        asyncio.run(_run(options, results))
    finally:
        results.save(options.results)
    text = report(results)
    sys.stdout.write(f"{text}\n{time.perf_counter() - began:.0f} s\n")
    if options.write:
        write(results, text, rounds=options.rounds, seconds=options.seconds)
    return 0 if all(one.met for one in bars(results)) else 3


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one row only: 60 bytes, 32 connections")
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=_PARTS, help="parts to measure (all)")
    parser.add_argument("--rows", nargs="+", choices=[work.key for work in WORK], help="rows to measure (all)")
    parser.add_argument("--rounds", type=int, default=3, help="of each, in turns (3)")
    parser.add_argument("--seconds", type=int, default=3, help="a round (3)")
    parser.add_argument("--repeats", type=int, default=20, help="of a push, a scrape, a reload (20)")
    parser.add_argument("--results", type=Path, help="a file with parts measured before, to which these are added")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args(argv)
    if options.quick:
        options.only, options.rows = ("rows",), [MAIN]
    return options


def _lacking() -> Iterable[str]:
    yield from (tool for tool in ("wrk", "nginx", "haproxy") if find(tool) is None)
    yield from (f"{module.name} of nginx" for module in (ECHO_MODULE, RELAY_MODULE) if not module.exists())
    if len(cpu.cores()) < 2:
        yield "a second core"


async def _run(options: argparse.Namespace, results: Results) -> None:
    own_core()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        async with ground(folder) as around:
            if "rows" in options.only or "rate" in options.only:
                await _rows(options, around, folder, results)
            if "during" in options.only:
                for one in ("nginx", "envoy", "sidecar"):
                    _say(f"push, scrape, reload: {one}")
                    results.during[one] = await disturb(one, around, options.repeats, folder / f"during-{one}")
            if "growth" in options.only:
                for one in ORDER:
                    _say(f"growth: {one}")
                    place = folder / f"growth-{one}"
                    results.sizes[one] = await grow(one, around, 2 * options.rounds * options.seconds, place)
                results.sizes[OURS].append(await largest(around, folder / "largest"))
            if "address" in options.only:
                _say("by address")
                results.ways = await ways(around, 2 * options.rounds * options.seconds, folder / "ways")
            if "start" in options.only:
                _say("starts")
                results.starts = await starts(around, 5, folder / "starts")


async def _rows(options: argparse.Namespace, around: Ground, folder: Path, results: Results) -> None:
    wanted = options.rows or [work.key for work in WORK]
    for setting, place in PLACES.items():
        rows = [work for work in WORK if work.setting == setting and work.key in wanted and "rows" in options.only]
        rate = setting == "one" and "rate" in options.only
        if not rows and not rate:
            continue
        async with contenders(ORDER, setting, around, folder) as running:
            for one in running:
                results.titles[one.name] = one.title
                if setting == "one":
                    results.fresh[one.name] = one.resident()
            for work in rows:
                _say(f"{place}: {work.title}")
                compare(running, [work], options.rounds, options.seconds, folder)
                for one in running:
                    results.rounds.setdefault(one.name, {})[work.key] = one.rounds[work.key]
            if rate:
                _say("fixed rate")
                ports = {DIRECT: around.port, **{one.name: one.peer.port for one in running}}
                results.fixed = await at_a_fixed_rate(ports, 5 * options.rounds, 2.0)


def _say(what: str) -> None:
    sys.stderr.write(f"{what} …\n")


if __name__ == "__main__":
    sys.exit(main())
