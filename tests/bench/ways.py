"""Whether a call by address costs more than one by name: the shared listener of one sidecar, in turns.

By address is how a JVM asks that takes the sidecar for its proxy: it has chosen an instance, and names no service.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.compare import TURN, measure
from tests.bench.contender import contender
from tests.bench.ground import Ground
from tests.bench.load import wrk
from tests.bench.work import Work

HOST, ADDRESS = "by Host", "by address"

_IN_TURN = """\
local requests, turn = {{{requests}}}, 0
function request()
    turn = turn % #requests + 1
    return requests[turn]
end
"""

_BY_HOST = "GET /orders/7 HTTP/1.1\\r\\nHost: busy\\r\\nConnection: keep-alive\\r\\n\\r\\n"
_BY_ADDRESS = (
    "GET http://{instance}/orders/7 HTTP/1.1\\r\\nHost: {instance}\\r\\nProxy-Connection: keep-alive\\r\\n\\r\\n"
)

Ways = Mapping[str, Sequence[float]]
"""Microseconds of CPU a request, of each round."""


async def ways(ground: Ground, seconds: int, folder: Path) -> Ways:
    """By `HOST` and `ADDRESS`, so many seconds of each; three instances of the service, another service beside it."""
    instances = ground.instances(3)
    services = {"busy": instances, "other": ground.instances(1, first=4)}
    works = {
        HOST: Work("way-host", HOST, script=_script([_BY_HOST])),
        ADDRESS: Work("way-address", ADDRESS, script=_script([_BY_ADDRESS.format(instance=one) for one in instances])),
    }
    found: dict[str, list[float]] = {way: [] for way in works}
    async with contender("sidecar", services, folder) as one:
        for number in range(seconds // TURN + 1):
            for way, work in works.items():
                if number:
                    found[way].append(measure(one, work, TURN, folder).cost)
                else:
                    wrk(one.peer.port, work, 1, folder)
    return found


def ratio(found: Ways) -> float:
    """By address to by Host, the median of pairs of rounds."""
    return statistics.median(late / early for early, late in zip(found[HOST], found[ADDRESS], strict=True))


def _script(requests: Sequence[str]) -> str:
    """For wrk."""
    return _IN_TURN.format(requests=", ".join(f'"{request}"' for request in requests))
