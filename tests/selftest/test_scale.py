"""That `make scale` measures what it says, and calls a miss what is one."""

import asyncio
import gc
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sidecar.embedded.model import ServiceName
from sidecar.embedded.registry import EmbeddedRegistry
from tests.scale import calls, fleet, library, turns
from tests.scale.__main__ import main
from tests.scale.calls import Calls, Noticed
from tests.scale.fleet import Fleet, Talk
from tests.scale.lists import Lists, addresses
from tests.scale.relay import Traffic, relay
from tests.scale.report import FEW, Found, Memory, missed
from tests.scale.size import Size
from tests.scale.watched import Look
from tests.scale.watched import Turns as Watched
from tests.support.ports import free_port
from tests.trial.load import Call

TINY = Size(many=60, new=6, few=4, services=12, each=3, called=2)


@pytest.mark.own_process
def test_a_small_run_measures_everything(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Real processes, a hundred instances: each table is filled, and what is missed is told by the exit code."""
    for module, pause in ((calls, "PAUSE"), (fleet, "SETTLED"), (turns, "AFTERMATH")):
        monkeypatch.setattr(module, pause, 0.2)
    arguments = ["--rounds", "1", "--pushes", "1", "--rest", "2", "--fleet", "1", "--without-nacos"]
    code = main(arguments, TINY)
    gc.collect()  # whatever was left open is found here, not in a later test
    shown = capsys.readouterr().out
    assert code == (3 if "MISSED" in shown else 0)
    for told in ("60 shrink to 4", "by the one that takes them", "98 instances", "14 services", "1000 of these"):
        assert told in shown
    asked = re.search(r"at its start each of them: (\d+) requests", shown)
    assert asked is not None
    assert int(asked[1]) >= len(TINY.small[:FEW])


async def test_a_turn_that_works_long_is_seen_and_one_that_waits_is_told_apart() -> None:
    """By CPU time and by the wall; the watch forgets when it is told to."""
    watched = Watched(asyncio.get_running_loop())
    await asyncio.sleep(0)
    busy_until = time.thread_time() + 0.05
    while time.thread_time() < busy_until:
        pass
    await _some_turns()
    assert watched.cpu >= 0.05
    watched.begin()
    time.sleep(0.05)  # noqa: ASYNC251 - a turn that is held up without working
    await _some_turns()
    assert watched.wall >= 0.05
    assert watched.cpu < watched.wall
    watched.switch(on=False)


async def test_the_relay_counts_every_byte_each_way() -> None:
    """What was read from one side and written to the other, over as many connections as there were."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(2 * await reader.readexactly(5))
        writer.close()

    target = free_port((0, 1000))
    async with await asyncio.start_server(serve, "127.0.0.1", target), relay(free_port((0, 1000)), target) as between:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", between.port)
            writer.write(b"hello")
            assert await reader.read() == b"hellohello"
            writer.close()
        assert between.traffic == Traffic(to_registry=15, to_sidecar=30)


async def test_lists_are_put_and_taken_by_numbers() -> None:
    """Each number is one address, so what is taken was put; what is no command is refused."""
    async with EmbeddedRegistry(push_delay_s=0) as registry:
        lists = Lists(registry)
        lists.do("put orders 0 300 8080 1.0")
        lists.do("take orders 10 280 8080")
        listing = registry.naming.listing(ServiceName("orders"))
        assert {host["ip"] for host in listing.as_dict(0)["hosts"]} == {*addresses(0, 10), *addresses(290, 10)}
        assert len(set(addresses(0, 200_000))) == 200_000
        with pytest.raises(ValueError, match="no command"):
            lists.do("drop orders")


def test_what_the_client_library_needs_grows_with_the_list() -> None:
    """It is measured at all, in one piece."""
    assert library.taking(2000, times=1) > library.taking(20, times=1) > 0


def longest(*milliseconds: float) -> turns.Turns:
    return turns.Turns("a change", [Look(turns=9, cpu_ms=cpu_ms, wall_ms=cpu_ms) for cpu_ms in milliseconds])


def answered(*took_ms: float, status: int = 200) -> Calls:
    return Calls("then", [Call("GET", "c", 0.0, 0.0, ms / 1000, status) for ms in took_ms])


QUICK = answered(1.0, 1.0)
TALK = Talk(2, 10.0, Counter(ServiceQueryRequest=40), Traffic(5000, 15_000), 2)
KEPT = Found(
    size=TINY,
    memory=[Memory(0, 60 << 20), Memory(1024, 62 << 20)],
    turns=[longest(4.0, 10.0, 30.0)],
    library_ms=80.0,
    noticed=Noticed(QUICK, QUICK, answered(1.0, 11.0), Traffic(), 0.1),
    doubt=(9.0, TALK),
    rest=(2.0, TALK),
    fleets=[Fleet(TALK, TALK)],
    node=None,
)


def _missing() -> Iterator[tuple[Found, str]]:
    yield replace(KEPT, turns=[longest(4.0, 10.1, 30.0)]), "a change: a turn of 10.1 ms, more than 10"
    yield replace(KEPT, rest=(2.1, TALK)), "2.1 % of a core at rest, more than 2"
    noticed = replace(KEPT.noticed, here=answered(1.0, 40.0))
    yield replace(KEPT, noticed=noticed), "p99 of calls 39.0 ms longer where lists are taken, more than 10"
    noticed = replace(KEPT.noticed, calm=answered(1.0, 1.0, status=503))
    yield replace(KEPT, noticed=noticed), "2 calls failed: then"


def test_what_is_within_its_bars_is_no_miss() -> None:
    """Up to the bar itself."""
    assert list(missed(KEPT)) == []


@pytest.mark.parametrize(("found", "miss"), list(_missing()))
def test_each_promise_can_be_missed(found: Found, miss: str) -> None:
    """By a turn as it is as a rule, by the CPU at rest, by calls that take longer or fail."""
    assert [line.partition("ms longer")[2] or line for line in missed(found)] == [
        miss.partition("ms longer")[2] or miss
    ]


def test_figures_of_many_are_those_of_one() -> None:
    """A fleet of two said so much in ten seconds; an instance takes what is between two sizes."""
    assert TALK.requests_a_second == 2.0
    assert TALK.bytes_a_second == 1000.0
    assert KEPT.for_each_instance == 2048


async def _some_turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)
