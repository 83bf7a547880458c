"""What was found, put in tables, and which promises were not kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.scale.calls import RATE, Noticed, figures
from tests.scale.fleet import FLEET, Fleet, Talk
from tests.scale.node import Node
from tests.scale.size import Size
from tests.scale.turns import Turns

TURN_MS = 10.0
"""CPU time of one turn of the event loop (issue 4)."""

IDLE_PERCENT = 2.0
"""Of a core (the same)."""

P99_MS = 10.0
"""That a call may take longer by while lists of thousands come, one after another: a turn."""

FEW = 10
"""Services of a sidecar as most pods have it."""

_MIB, _KIB = 1 << 20, 1 << 10


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of a sidecar when so many instances were listed at its start."""

    instances: int
    resident: int


@dataclass(frozen=True, slots=True)
class Found:
    """All that was measured."""

    size: Size
    memory: Sequence[Memory]
    turns: Sequence[Turns]
    library_ms: float
    noticed: Noticed
    doubt: tuple[float, Talk]
    """Percent of a core, and what was said, while most of the large service is held;"""
    rest: tuple[float, Talk]
    """while nothing happens."""
    fleets: Sequence[Fleet]
    """The last is the largest."""
    node: Node | None
    """None: this machine has no real one."""

    @property
    def for_each_instance(self) -> float:
        """Bytes."""
        first, last = self.memory[0], self.memory[-1]
        return (last.resident - first.resident) / (last.instances - first.instances)


def table(found: Found) -> Iterator[str]:
    """About one sidecar."""
    size, noticed = found.size, found.noticed
    yield f"{'longest turn of the event loop, CPU':60}{'least':>9}{'median':>12}{'most':>12}"
    for row in found.turns:
        yield f"  {row.what:56}{row.least:8.1f} ms{row.median:9.1f} ms{row.most:9.1f} ms"
    yield f"{f'calls, {RATE:.0f} a second':60}{'p50':>9}{'p99':>12}{'failed':>12}"
    for calls in figures(noticed):
        yield f"  {calls.when:56}{calls.p50:8.1f} ms{calls.p99:9.1f} ms{calls.failed:12}"
    yield f"a list of {size.many} of another weight: {noticed.cpu * 1000:.0f} ms of CPU in all; the client library,"
    yield f"  of which that part is not used, would take {found.library_ms:.0f} ms in one piece"
    yield f"{f'memory at start, {size.services + 2} services':60}{'resident':>9}"
    for look in found.memory:
        yield f"  {f'{look.instances} instances':56}{look.resident / _MIB:7.1f} MiB"
    yield f"  {'for each instance more':56}{found.for_each_instance / _KIB:7.1f} KiB"
    yield f"{'CPU, percent of a core':60}"
    yield f"  {f'at rest, {size.services + 2} services, {size.all} instances':56}{found.rest[0]:8.1f}"
    yield f"  {f'while {size.many - size.few} of {size.many} are held and probed':56}{found.doubt[0]:8.1f}"


def costs(found: Found) -> Iterator[str]:
    """About the registry."""
    size, largest = found.size, found.fleets[-1]
    yield f"{'to a registry node, in a second':60}{'requests':>9}{'KiB':>12}{'connections':>12}"
    for what, talk in (
        (f"a sidecar of {size.services + 2} services, {size.all} instances", found.rest[1]),
        (f"the same while {size.many - size.few} of {size.many} are held", found.doubt[1]),
        *(
            (f"a sidecar of {FEW} services of {size.each}, {one.rest.sidecars} started", one.rest)
            for one in found.fleets
        ),
    ):
        yield _line(what, talk, 1)
    yield _line(f"{FLEET} of these, multiplied", largest.rest, FLEET)
    start = largest.start
    yield f"at its start each of them: {start.requests_each:.0f} requests, {start.bytes_each / _KIB:.0f} KiB"
    yield f"a list of {size.many} changes: {found.noticed.traffic.total / _MIB:.2f} MiB to each that has it, and as much for a second look"
    kinds = ", ".join(f"{kind} {count}" for kind, count in largest.rest.requests.most_common())
    yield f"requests of {largest.rest.sidecars} sidecars at rest: {kinds}"
    if found.node is not None:
        node = found.node
        yield f"Nacos {node.version}, {node.asked:.0f} queries a second: {node.busy:.0f} % of a core, at rest {node.rest:.0f} %,"
        yield f"  {node.each_ms:.2f} ms a query"


def missed(found: Found) -> Iterator[str]:
    """One line for each promise that was not kept."""
    for row in found.turns:
        if row.median > TURN_MS:
            yield f"{row.what}: a turn of {row.median:.1f} ms, more than {TURN_MS:.0f}"
    if found.rest[0] > IDLE_PERCENT:
        yield f"{found.rest[0]:.1f} % of a core at rest, more than {IDLE_PERCENT:.0f}"
    longer = found.noticed.here.p99 - found.noticed.elsewhere.p99
    if longer > P99_MS:
        yield f"p99 of calls {longer:.1f} ms longer where lists are taken, more than {P99_MS:.0f}"
    for calls in figures(found.noticed):
        if calls.failed:
            yield f"{calls.failed} calls failed: {calls.when}"


def _line(what: str, talk: Talk, times: int) -> str:
    requests, volume = talk.requests_a_second * times, talk.bytes_a_second * times / _KIB
    return f"  {what:56}{requests:11.2f}{volume:12.1f}{talk.connections // talk.sidecars * times:12}"
