"""The floods. Each takes a folder, a size, and how often; it tells what the app got and what the process kept of it."""

import asyncio
import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.endurance.ground import Ground, Seen, ground
from tests.support.chaos import Chaos, ask_anything
from tests.support.http_client import request
from tests.support.scripted_peer import OK, ScriptedPeer, Talk, connected
from tests.support.stack import GET, ask, begin
from tests.support.until import settled, until

_DRIP = 0.25
"""Seconds between two bytes of the slow ones."""

_PIECE = b"x" * (1 << 18)
_BIT = b"x" * (1 << 14)
_AT_ONCE = 250
"""Connections that are opened at a time: the backlog of a listener is not what is tried here."""

_WARMING = 3000
"""Calls with faults before the first look."""

_FEW_FILES = 256


async def slow_heads(folder: Path, count: int, times: int) -> Seen:
    """A head that never ends comes a byte at a time, over so many connections."""

    async def one(port: int) -> str:
        async with connected(port) as app:
            await app.send(b"GET / HTTP/1.1\r\nX: ")
            answer = begin(app.head())
            while not answer.done():
                with contextlib.suppress(ConnectionError):
                    await app.send(b"x")
                await asyncio.wait([answer], timeout=_DRIP)
            return _status(answer.result())

    async def trial(on: Ground) -> str:
        return _told(await _all(on, [one(on.port) for _ in range(count)]))

    async with ScriptedPeer() as peer, ground(folder, peer.address, more="timeouts: {request_head: 2s}") as on:
        return await on.watched(trial, times)


async def slow_bodies(folder: Path, count: int, times: int) -> Seen:
    """So many uploads that take far longer than `timeouts.response`, but move."""

    async def one(port: int) -> str:
        async with connected(port) as app:
            await app.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 24\r\n\r\n")
            for _ in range(24):
                await app.send(b"x")
                await asyncio.sleep(_DRIP)
            return _status(await app.head())

    async def trial(on: Ground) -> str:
        return _told(await _all(on, [one(on.port) for _ in range(count)]))

    async with ScriptedPeer() as peer, ground(folder, peer.address, more="timeouts: {response: 4s}") as on:
        return await on.watched(trial, times)


async def never_reading(folder: Path, count: int, times: int) -> Seen:
    """So many apps ask for 64 MB each and read none of it."""

    async def script(talk: Talk) -> None:
        while head := await talk.request():
            if b"/large" in head:
                await _pour(talk, 64 << 20)
            else:
                await talk.send(OK)

    async def one(port: int) -> str:
        async with connected(port) as app:
            await app.send(GET.replace(b"/a", b"/large"))
            while not app.writer.transport.is_closing():
                await asyncio.sleep(_DRIP)
                app.writer.write(b"\r\n")  # to learn of a reset without reading
            return "reset"

    async def trial(on: Ground) -> str:
        return _told(await _all(on, [one(on.port) for _ in range(count)]))

    async with ScriptedPeer(script) as peer, ground(folder, peer.address, more="timeouts: {idle: 5s}") as on:
        return await on.watched(trial, times)


async def idle_connections(folder: Path, count: int, times: int) -> Seen:
    """So many connections of apps that have called once and stay."""

    async def trial(on: Ground) -> str:
        async with contextlib.AsyncExitStack() as stack:
            statuses: list[str] = []
            for first in range(0, count, _AT_ONCE):
                opened = [
                    await stack.enter_async_context(connected(on.port))
                    for _ in range(first, min(count, first + _AT_ONCE))
                ]
                statuses += [str((await ask(app)).status) for app in opened]
            await on.serves()
            return _told(statuses)

    async with ScriptedPeer() as peer, ground(folder, peer.address) as on:
        return await on.watched(trial, times)


async def endless_heads(folder: Path, count: int, times: int) -> Seen:
    """So many heads without an end: one endless field, endless fields, an endless request line."""
    beginnings = (
        (b"GET / HTTP/1.1\r\nX: ", _BIT),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 2000),
        (b"GET /", _BIT),
    )

    async def trial(on: Ground) -> str:
        return _told(await _all(on, [_endless(on.port, *beginnings[n % len(beginnings)]) for n in range(count)]))

    async with ScriptedPeer() as peer, ground(folder, peer.address) as on:
        return await on.watched(trial, times)


async def endless_extensions(folder: Path, count: int, times: int) -> Seen:
    """So many bodies whose first chunk size, whose extensions, or whose trailers have no end."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    beginnings = (
        (head + b"5;", _BIT),
        (head, b"1;" + b"x" * 1000 + b"\r\nx\r\n"),
        (head + b"0\r\n", b"X: y\r\n" * 2000),
        (head, b"0" * 4000),
    )

    async def trial(on: Ground) -> str:
        return _told(await _all(on, [_endless(on.port, *beginnings[n % len(beginnings)]) for n in range(count)]))

    async with ScriptedPeer() as peer, ground(folder, peer.address) as on:
        return await on.watched(trial, times)


async def _endless(port: int, beginning: bytes, more: bytes) -> str:
    """The status that ends it."""
    async with connected(port) as app:
        answer = begin(app.head())
        with contextlib.suppress(ConnectionError):
            await app.send(beginning)
            while not answer.done():
                await app.send(more)
                await asyncio.sleep(0.001)  # to look up: who only writes learns no more than that it was reset
        return _status(await answer)


async def few_descriptors(folder: Path, count: int, times: int) -> Seen:
    """More connections than the process has descriptors; those that were accepted are served, the others in their turn."""

    async def trial(on: Ground) -> str:
        async with contextlib.AsyncExitStack() as stack:
            idle = [await stack.enter_async_context(connected(on.port)) for _ in range(_FEW_FILES + 100)]
            accepted = await asyncio.gather(*(ask(app) for app in idle[:100]))
            later = [begin(request(on.port)) for _ in range(count)]
            await asyncio.sleep(1.0)
        answered = [answer.status for answer in accepted] + [(await answer).status for answer in later]
        return _told(map(str, answered))

    async with ScriptedPeer() as peer, ground(folder, peer.address, files=_FEW_FILES) as on:
        return await on.watched(trial, times)


async def stuck_upload(folder: Path, count: int, times: int) -> Seen:
    """So many uploads of 64 MB to an instance that reads nothing: every buffer on the way is full."""
    over = asyncio.Event()
    """The instance ends what it was sent."""

    async def script(talk: Talk) -> None:
        while head := await talk.head():
            if b"/stuck" in head:
                await over.wait()
                return
            await talk.send(OK)

    async def one(port: int) -> str:
        async with connected(port) as app:
            answer = begin(app.head())
            with contextlib.suppress(ConnectionError):
                await app.send(b"POST /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
                for _ in range(256):
                    await app.send(_PIECE)
            return _status(await answer)

    async def trial(on: Ground) -> str:
        over.clear()
        told = _told(await _all(on, [one(on.port) for _ in range(count)]))
        over.set()
        return told

    async with ScriptedPeer(script) as peer, ground(folder, peer.address, more="timeouts: {response: 5s}") as on:
        return await on.watched(trial, times)


async def large_bodies(folder: Path, megabytes: int, times: int) -> Seen:
    """A body of so many MB up, and one down."""
    size = megabytes << 20

    async def script(talk: Talk) -> None:
        while head := await talk.head():
            if head.startswith(b"PUT"):
                await _take(talk, size)
                await talk.send(OK)
            elif b"/large" in head:
                await _pour(talk, size)
            else:
                await talk.send(OK)

    async def trial(on: Ground) -> str:
        async with connected(on.port) as app:
            await app.send(b"PUT /large HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(megabytes * 4):
                await app.send(_PIECE)
            up = await app.head()
            await app.body(up)
            await app.send(GET.replace(b"/a", b"/large"))
            down = await app.head()
            await _take(app, size)
        return _told(map(_status, (up, down)))

    async with ScriptedPeer(script) as peer, ground(folder, peer.address) as on:
        return await on.watched(trial, times)


async def too_many(folder: Path, count: int, times: int) -> Seen:
    """So many calls at once, where `max_requests` is 10."""
    release = asyncio.Event()

    async def script(talk: Talk) -> None:
        while head := await talk.request():
            if b"/slow" in head:
                await release.wait()
            await talk.send(OK)

    async def trial(on: Ground) -> str:
        release.clear()
        calls = [begin(request(on.port, path="/slow")) for _ in range(count)]
        await settled(lambda: sum(call.done() for call in calls) >= count - 10)
        release.set()
        answers = await asyncio.gather(*calls)
        return _told(f"{one.status} {one.headers.get('x-sidecar-error', '')}".strip() for one in answers)

    more = "circuit_breakers: {max_requests: 10, max_connections: 10}"
    async with ScriptedPeer(script) as peer, ground(folder, peer.address, more=more) as on:
        return await on.watched(trial, times)


async def too_long_a_queue(folder: Path, count: int, times: int) -> Seen:
    """So many calls at once while no instance is to be had, where `max_queued` is 10 and the wait 1 s."""

    async def trial(on: Ground) -> str:
        await peer.close()
        answers = await asyncio.gather(*(request(on.port) for _ in range(count)))
        await peer.open()
        await until(on.serving)
        return _told(f"{one.status} {' '.join(one.headers['x-sidecar-error'].split()[:2])}" for one in answers)

    more = "wait_for_instance: {timeout: 1s, max_queued: 10}"
    async with ScriptedPeer() as peer, ground(folder, peer.address, more=more) as on:
        return await on.watched(trial, times)


async def faults(folder: Path, count: int, times: int) -> Seen:
    """So many calls of sixteen apps to three instances that close, reset, drip, refuse and cut short."""
    chaos = Chaos(1)
    plays = itertools.count()

    async def calls(on: Ground, number: int) -> Counter[int]:
        play = next(plays)
        apps = [ask_anything(on.port, Random(n), f"play{play}-app{n}", number // 16) for n in range(16)]
        return sum(await asyncio.gather(*apps), Counter())

    async def trial(on: Ground) -> str:
        ends = await calls(on, count)
        posts_twice = [path for path, times in chaos.executed.items() if times > 1 and path in chaos.posts]
        assert not posts_twice, posts_twice
        return ", ".join(f"{number} x {status if status > 0 else 'cut'}" for status, number in sorted(ends.items()))

    async with (
        ScriptedPeer(chaos) as one,
        ScriptedPeer(chaos) as two,
        ScriptedPeer(chaos) as three,
        ground(folder, one.address, two.address, three.address, more="retry: {budget: {percent: 100}}") as on,
    ):
        await calls(on, _WARMING)
        return await on.watched(trial, times)


async def _all(on: Ground, apps: Sequence[Coroutine[None, None, str]]) -> list[str]:
    """What they got; meanwhile others are served."""
    running = [begin(app) for app in apps]
    await asyncio.sleep(_DRIP)
    await on.serves()
    return list(await asyncio.gather(*running))


async def _pour(talk: Talk, size: int) -> None:
    """An answer of so many bytes."""
    await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(size // len(_PIECE)):
        await talk.send(_PIECE)


async def _take(talk: Talk, size: int) -> None:
    """A body of so many bytes."""
    while size:
        size -= len(await talk.reader.readexactly(min(size, len(_PIECE))))


def _status(head: bytes) -> str:
    return head[9:12].decode() if head else "closed"


def _told(ends: Iterable[str]) -> str:
    return ", ".join(f"{times} x {end}" for end, times in Counter(ends).most_common())


@dataclass(frozen=True)
class Trial:
    """A flood at two sizes, and what must come of it."""

    play: Callable[[Path, int, int], Awaitable[Seen]]
    what: str
    small: int
    full: int
    told: re.Pattern[str]
    """What the app may be told, all of it."""
    peak: int
    """MiB more than at the start, at the most, at full size."""


def _trial(
    play: Callable[[Path, int, int], Awaitable[Seen]], what: str, sizes: tuple[int, int], told: str, peak: int
) -> Trial:
    return Trial(play, what, *sizes, re.compile(told), peak)


TRIALS = (
    _trial(slow_heads, "heads that come a byte at a time", (20, 1000), r"\d+ x 408", 32),
    _trial(slow_bodies, "uploads that come a byte at a time", (20, 1000), r"\d+ x 200", 64),
    _trial(never_reading, "apps that read none of 64 MB", (5, 200), r"\d+ x reset", 96),
    _trial(idle_connections, "idle connections of apps", (300, 10_000), r"\d+ x 200", 96),
    _trial(endless_heads, "heads without an end", (12, 300), r"\d+ x (431|414|closed)(, \d+ x (431|414|closed))*", 64),
    _trial(endless_extensions, "chunk sizes, extensions and trailers without an end", (12, 300), r"\d+ x 400", 64),
    _trial(few_descriptors, "calls beyond 256 descriptors", (30, 600), r"\d+ x 200", 16),
    _trial(stuck_upload, "uploads of 64 MB to an instance that reads nothing", (4, 100), r"\d+ x 504", 64),
    _trial(large_bodies, "MB up in one body, and down in another", (64, 1024), r"2 x 200", 8),
    _trial(
        too_many,
        "calls at once where max_requests is 10",
        (40, 1000),
        r"\d+ x 503 UO too_many_requests.*, 10 x 200",
        32,
    ),
    _trial(
        too_long_a_queue,
        "calls at once with nobody to ask, where max_queued is 10",
        (40, 1000),
        r"\d+ x 503 UO queue_full, \d+ x 503 (UF refused|UH no_instance)(, \d+ x 503 (UF refused|UH no_instance))?",
        32,
    ),
    _trial(faults, "calls to instances that close, reset, drip and refuse", (1500, 100_000), r".*\d+ x 200.*", 8),
)
