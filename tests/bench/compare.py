"""Rounds of load, in turns: what CPU a request costs each proxy, and what its callers see."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tests.bench.contender import Contender, Round
from tests.bench.load import wrk
from tests.bench.open_loop import at, offered
from tests.bench.work import Work

RATE = 2000.0
"""Calls a second of the open loop: a tenth of what the slowest can carry."""

TURN = 1
"""Seconds of a round where costs are compared to a tenth: whatever else runs on the machine comes and goes within a few
seconds, and should meet both of a pair."""

DIRECT = "direct"


def compare(contenders: Sequence[Contender], works: Sequence[Work], rounds: int, seconds: int, folder: Path) -> None:
    """So many rounds of each row by each proxy, after a short one to warm up."""
    for work in works:
        for number in range(rounds + 1):
            for one in contenders:
                if number:
                    one.rounds.setdefault(work.key, []).append(measure(one, work, seconds, folder))
                else:
                    wrk(one.peer.port, work, 1, folder)


def measure(one: Contender, work: Work, seconds: int, folder: Path) -> Round:
    """This process waits meanwhile: a look at the clock would disturb what it measures."""
    before = one.used()
    answered = wrk(one.peer.port, work, seconds, folder, look=one.resident)
    after = one.used()
    user, system = (late - early for early, late in zip(before, after, strict=True))
    return Round(
        user=user / answered.requests * 1e6,
        system=system / answered.requests * 1e6,
        busy=(user + system) / answered.seconds,
        rate=answered.requests / answered.seconds,
        p50=answered.p50,
        p99=answered.p99,
        resident=answered.resident,
    )


async def at_a_fixed_rate(ports: dict[str, int], rounds: int, seconds: float) -> dict[str, list[list[float]]]:
    """p50, p99 and p99.9 in seconds of each round, by name; `DIRECT` are calls without a proxy."""
    found: dict[str, list[list[float]]] = {name: [] for name in ports}
    for _ in range(rounds):
        for name, port in ports.items():
            async with offered(port, rate=RATE, seconds=seconds) as calls:
                await asyncio.sleep(0)
            took = sorted(took for _, took in calls.calls)
            found[name].append([at(took, 0.5), at(took, 0.99), at(took, 0.999)])
    return found
