"""How much is done for one request that goes straight: counts, the same on every machine and under any load.

A limit is a tenth above what was counted when it was written. Who makes the path longer on purpose moves it, in the
same change, and says what the request gets for it.
"""

import gc
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import pytest

from tests.bench.straight_path import ANSWER, BY_ADDRESS, CHUNKED, PIECE, POST, REQUEST, StraightPath, large, upload
from tests.support.needs import CPYTHON_3_11

one_version = pytest.mark.needs(CPYTHON_3_11)  # every version has bytecodes of its own

PYTHON_CALLS = 45
"""Counted: 40, three of them of the fakes. A call costs about as much as ten bytecodes."""

LIBRARY_CALLS = 25
"""Counted: 23, of functions written in C."""

BYTECODES = 1690
"""Counted by Python 3.11: 1583."""

POST_BYTECODES = 2110
"""Counted: 1948. It looks at its connection, and asks the kernel what was acknowledged."""

CHUNKED_BYTECODES = 2410
"""Counted: 2224."""

PIECE_BYTECODES = {"answer": 170, "upload": 250}
"""What each further piece of a large body costs. Counted: 153 and 228."""


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


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    """One that the kernel calls alive, and knows what was acknowledged on."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as ours,
        server.accept()[0],
    ):
        ours.setblocking(False)
        yield ours


def test_each_side_is_written_to_once(exchange: StraightPath) -> None:
    """A head and a body that came together go on together, in one system call."""
    exchange()
    to_app, to_instances = exchange.written()
    assert [len(to_app), len(to_instances)] == [1, 1]
    assert to_app[0].endswith(ANSWER[-60:])
    assert to_instances[0].startswith(b"GET /orders/7 HTTP/1.1\r\nHost: orders\r\n")


def calls(done: Callable[[], None]) -> Counter[str]:
    """`call` of our functions, `c_call` of those written in C."""
    counted: Counter[str] = Counter()

    def count(frame: FrameType, event: str, arg: object) -> None:
        counted[event] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    done()
    sys.setprofile(before)
    return counted


def steps(done: Callable[[], None]) -> int:
    """Bytecodes: they also show what a loop or a longer condition adds without a call."""
    counted = 0

    def count(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal counted
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        counted += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    done()
    sys.settrace(before)
    return counted


def test_the_way_is_not_longer_than_it_was(exchange: StraightPath) -> None:
    """Calls from the first byte of the request to the last byte of the answer."""
    counted = calls(exchange)
    assert counted["call"] <= PYTHON_CALLS
    assert counted["c_call"] <= LIBRARY_CALLS


@one_version
def test_the_way_has_no_more_steps_than_it_had(exchange: StraightPath) -> None:
    """From the first byte of the request to the last byte of the answer."""
    assert steps(exchange) <= BYTECODES


@one_version
def test_a_post_and_a_chunked_answer_have_no_more_steps_than_they_had(connection: socket.socket) -> None:
    """A body that came with its head, and an answer as Java applications write it."""
    path = StraightPath(sock=connection)
    for _ in range(50):
        path([POST])
        path(answer=[CHUNKED])
    assert steps(lambda: path([POST])) <= POST_BYTECODES
    assert steps(lambda: path(answer=[CHUNKED])) <= CHUNKED_BYTECODES


@one_version
def test_a_large_body_costs_a_few_steps_for_each_piece_that_is_read(connection: socket.socket) -> None:
    """Whatever its size: nothing is gathered, and nothing looked at twice."""
    path = StraightPath(sock=connection)

    def more(request: Callable[[int], list[bytes]], answer: Callable[[int], list[bytes]]) -> int:
        """Steps for a fifth piece."""
        counts = []
        for pieces in (4, 5):
            sent, answered = request(pieces), answer(pieces)
            path(sent, answered)
            counts.append(steps(partial(path, sent, answered)))
        return counts[1] - counts[0]

    assert more(lambda _: [REQUEST], large) <= PIECE_BYTECODES["answer"]
    assert more(upload, lambda _: [ANSWER]) <= PIECE_BYTECODES["upload"]


def test_a_large_body_goes_on_in_the_pieces_in_which_it_came(exchange: StraightPath) -> None:
    """Without a copy: beside blocks of this size another one makes malloc take memory from the kernel each time."""
    pieces = large(3)
    exchange(answer=pieces)
    to_app, _ = exchange.written()
    assert list(map(len, to_app[1:])) == [PIECE] * 3
    assert [sent is came for sent, came in zip(to_app[2:], pieces[1:], strict=True)] == [True, True]


@one_version
@pytest.mark.parametrize("instances", [50, 500])
def test_a_request_among_many_instances_has_no_more_steps_than_among_three(instances: int) -> None:
    """Once each has been called: not a step more for hundreds of them."""
    few, many = StraightPath(3), StraightPath(instances)
    for path, times in ((few, 60), (many, 20 * instances)):
        for _ in range(times):
            path()
    assert max(steps(many) for _ in range(10)) <= max(steps(few) for _ in range(10))


@one_version
def test_a_request_among_many_services_has_no_more_steps_than_to_the_only_one() -> None:
    """Once each has been called: not a step more where two hundred share the listener, whichever is meant."""
    only, many = StraightPath(shared=True), StraightPath(shared=True, services=200)
    requests = [REQUEST, *(REQUEST.replace(b": orders", b": orders%d" % number) for number in range(1, 200))]
    for request in 20 * requests:
        only()
        many([request])
    costliest = max(steps(partial(many, [request])) for request in requests[::20])
    assert costliest <= max(steps(only) for _ in range(10))


@pytest.mark.usefixtures("exchange")
def test_by_address_the_way_is_as_long() -> None:
    """From a JVM that takes us for its proxy: a tenth more than by `Host` at most, a call counted as ten bytecodes."""
    path = StraightPath(shared=True)
    works = []
    for request in (REQUEST, BY_ADDRESS):
        for _ in range(50):
            path([request])
        once = partial(path, [request])
        counted = calls(once)
        works.append(steps(once) + 10 * (counted["call"] + counted["c_call"]))
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
