"""How much is done for one request that goes straight: counts, the same on every machine and under any load.

A limit is a tenth above what was counted when it was written. Who makes the path longer on purpose moves it, in the
same change, and says what the request gets for it.
"""

import gc
import sys
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from tests.bench.straight_path import ANSWER, BY_ADDRESS, StraightPath

PYTHON_CALLS = 45
"""Counted: 40, three of them of the fakes. A call costs about as much as ten bytecodes."""

LIBRARY_CALLS = 25
"""Counted: 23, of functions written in C."""

BYTECODES = 1690
"""Counted by Python 3.11: 1536."""


@pytest.fixture
def exchange() -> Iterator[StraightPath]:
    """One that has been run often enough for every memory to be warm, with the collector off."""
    path = StraightPath()
    for _ in range(50):
        path()
    path.written()
    gc.collect()
    gc.disable()
    yield path
    gc.enable()


def test_each_side_is_written_to_once(exchange: StraightPath) -> None:
    """A head and a body that came together go on together, in one system call."""
    exchange()
    to_app, to_instances = exchange.written()
    assert [len(to_app), len(to_instances)] == [1, 1]
    assert to_app[0].endswith(ANSWER[-60:])
    assert to_instances[0].startswith(b"GET /orders/7 HTTP/1.1\r\nHost: orders\r\n")


def calls(exchange: StraightPath) -> Counter[str]:
    """Of one exchange: `call` of our functions, `c_call` of those written in C."""
    counted: Counter[str] = Counter()

    def count(frame: FrameType, event: str, arg: object) -> None:
        counted[event] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    exchange()
    sys.setprofile(before)
    return counted


def bytecodes(exchange: StraightPath) -> int:
    """Of one exchange."""
    steps = 0

    def count(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal steps
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        steps += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    exchange()
    sys.settrace(before)
    return steps


def test_the_way_is_not_longer_than_it_was(exchange: StraightPath) -> None:
    """Calls from the first byte of the request to the last byte of the answer."""
    counted = calls(exchange)
    assert counted["call"] <= PYTHON_CALLS
    assert counted["c_call"] <= LIBRARY_CALLS


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="every version has bytecodes of its own")
def test_the_way_has_no_more_steps_than_it_had(exchange: StraightPath) -> None:
    """Bytecodes: what a loop or a longer condition adds without a call."""
    assert bytecodes(exchange) <= BYTECODES


@pytest.mark.usefixtures("exchange")
def test_by_address_the_way_is_as_long() -> None:
    """From a JVM that takes us for its proxy: a tenth more than by `Host` at most, a call counted as ten bytecodes."""
    works = []
    for path in (StraightPath(shared=True), StraightPath(BY_ADDRESS, shared=True)):
        for _ in range(50):
            path()
        counted = calls(path)
        works.append(bytecodes(path) + 10 * (counted["call"] + counted["c_call"]))
    by_host, by_address = works
    assert by_host < by_address <= 1.1 * by_host


def test_nothing_of_a_request_is_left_to_the_collector(exchange: StraightPath) -> None:
    """A circle in what a request is made of would keep hundreds of them, until a pause for all of them at once."""
    for _ in range(100):
        exchange()
    exchange.written()
    assert gc.collect() == 0


def test_a_thousand_requests_leave_no_memory_behind(exchange: StraightPath) -> None:
    """Blocks held by the interpreter before and after; a few come and go by themselves."""
    before = sys.getallocatedblocks()
    for _ in range(1000):
        exchange()
        exchange.written()
    assert sys.getallocatedblocks() - before < 100
