"""Two hundred services and ten thousand instances in one sidecar, and what many sidecars ask of a registry; 8 minutes.

One service has 5 000 instances, 198 have 25 each, one has 50 and is called. All of them listen on loopback, so probes
find them. The registry is the embedded one, in a process of its own; a relay counts what passes between it and the
sidecar. Where a real Nacos can be had, it is asked as often as a thousand sidecars would ask.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.scale import fleet, library, node
from tests.scale.calls import Noticed, notice
from tests.scale.fleet import FLEET, Talk, at_rest, together
from tests.scale.report import FEW, Found, Memory, costs, missed, table
from tests.scale.size import BIG, BUSY, Size
from tests.scale.stage import Ground, Sidecar, ground, listed, sidecar
from tests.scale.turns import Turns, held, settled, watch_turns
from tests.support.cpu import used
from tests.support.java import TOOLS
from tests.support.memory import kept
from tests.support.needs import lacking


def main(argv: Sequence[str] | None = None, size: Size | None = None) -> int:
    """The exit code: 0 all promises are kept, 3 one is not."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of changes to the large service (3)")
    parser.add_argument("--pushes", type=int, default=5, help="lists that come while calls are timed (5)")
    parser.add_argument("--rest", type=float, default=60.0, help="seconds of rest in which is counted (60)")
    parser.add_argument("--fleet", type=int, default=8, help="sidecars started together (8)")
    parser.add_argument("--without-nacos", action="store_true", help="no real server")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        found = asyncio.run(_measure(Path(name), size or Size(), options))
    sys.stdout.write("".join(f"{line}\n" for line in (*table(found), *costs(found))))
    lines = list(missed(found))
    sys.stdout.write("".join(f"MISSED: {line}\n" for line in lines))
    return 3 if lines else 0


async def _measure(folder: Path, size: Size, options: argparse.Namespace) -> Found:
    services = [*size.small, BUSY, BIG]
    async with ground(folder, size) as around:
        await around.put_called()
        memory = [await _weigh(around, services, size.called)]
        await around.put_small()
        memory.append(await _weigh(around, services, size.without_big))
        async with sidecar(around, services, watched=True) as one:
            turns = await _turns(around, one, options.rounds)
            doubt = await _doubt(around, one, options.rest / 4)
            noticed = await _notice(around, one, options.pushes)
        async with sidecar(around, services) as one:
            _say("at rest")
            memory.append(await _look(one, size.all))
            rest = await _rest(around, one, options.rest)
        fleets = []
        for count in sorted({1, options.fleet}):
            _say(f"{count} sidecars of {FEW} services")
            few = services[:FEW]
            fleets.append(await together(around, few, len(few) * size.each, count=count, seconds=options.rest / 2))
    return Found(
        size=size,
        memory=memory,
        turns=turns,
        library_ms=library.taking(size.many),
        noticed=noticed,
        doubt=doubt,
        rest=rest,
        fleets=fleets,
        node=await _node(size, fleets[-1].rest, options),
    )


async def _weigh(around: Ground, services: Sequence[str], instances: int) -> Memory:
    """Of a sidecar that finds so many instances at its start."""
    _say(f"{len(services)} services, {instances} instances")
    async with sidecar(around, services) as one:
        return await _look(one, instances)


async def _look(one: Sidecar, instances: int) -> Memory:
    await listed(one, instances)
    await asyncio.sleep(fleet.SETTLED)
    return Memory(instances, kept(one.child.pid).resident)


async def _turns(around: Ground, one: Sidecar, rounds: int) -> list[Turns]:
    """From the moment when the large service appears."""
    size = around.size
    await listed(one, size.without_big)
    _say(f"a service of {size.many} appears, and changes")
    lists = (await one.look("begin")).lists
    await around.put_big()
    first = Turns(f"a service of {size.many} appears", [await settled(one, lists + 1)])
    await listed(one, size.all)
    return [first, *await watch_turns(around, one, rounds)]


async def _doubt(around: Ground, one: Sidecar, seconds: float) -> tuple[float, Talk]:
    """While most of the large service is held; afterwards it is whole."""
    size = around.size
    _say("most of it is held")
    await one.ask(f"/services/{BIG}/obey", method="POST")  # what is still held of the changes before
    await around.take(BIG, size.few, size.many - size.few)
    await held(one, size.many - size.few)
    await one.look("off")
    found = await _rest(around, one, seconds)
    await around.put_big()
    await held(one, 0)
    return found


async def _notice(around: Ground, one: Sidecar, pushes: int) -> Noticed:
    _say("calls")
    async with sidecar(around, [*around.size.small, BUSY]) as other:
        await listed(other, around.size.without_big)
        return await notice(around, one, other, pushes=pushes)


async def _rest(around: Ground, one: Sidecar, seconds: float) -> tuple[float, Talk]:
    before = sum(used(one.child.pid))
    talk = await at_rest(around, 1, seconds)
    return (sum(used(one.child.pid)) - before) / talk.seconds * 100, talk


async def _node(size: Size, rest: Talk, options: argparse.Namespace) -> node.Node | None:
    if options.without_nacos or lacking(*TOOLS):
        return None
    _say(f"a real node, asked as by {FLEET}")
    rate = rest.requests_a_second * FLEET
    return await node.measure(size.small[:FEW], size.each, rate=rate, seconds=options.rest / 3)


def _say(what: str) -> None:
    sys.stderr.write(f"scale: {what} …\n")


if __name__ == "__main__":
    sys.exit(main())
