"""What every part of the data path is handed by the application: clocks, sinks, and the limits of the process."""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from random import SystemRandom
from typing import Protocol

from sidecar import clock
from sidecar.cluster.events import Event
from sidecar.cluster.stats import ProcessStats
from sidecar.proxy import splice
from sidecar.proxy.connections import AppConnections
from sidecar.proxy.http1.request import format_request_id
from sidecar.proxy.wheel import Wheel
from sidecar.record import Record

REPLAY_MEMORY = 64 * 1024 * 1024
"""Bytes of request bodies kept for another attempt, in the whole process; beyond it requests are not replayable."""

_HALVES = 256
"""Of the first eight digits of a request id; each pair of halves is used once with one tail."""


class WantsRecord(Protocol):
    """Whether a record of such a request would be written."""

    def __call__(self, *, notable: bool) -> bool: ...


def _ignore(_: object) -> None:
    """A sink for tests and for logs that are switched off."""


def _no_record(*, notable: bool) -> bool:
    """Nobody wants a line."""
    del notable
    return False


class Runtime:
    """One a process (and one a test)."""

    __slots__ = (
        "_date",
        "_date_at",
        "connections",
        "emit",
        "log",
        "loop",
        "now",
        "replay_bytes",
        "request_id",
        "splices",
        "stats",
        "wall",
        "wants_record",
        "wheel",
    )

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        emit: Callable[[Sequence[Event]], None] = _ignore,
        log: Callable[[Record], None] = _ignore,
        wants_record: WantsRecord = _no_record,
        stats: ProcessStats | None = None,
        now: Callable[[], float] = clock.monotonic,
        wall: Callable[[], float] = clock.wall,
    ) -> None:
        self.loop = loop or asyncio.get_running_loop()
        self.emit = emit
        """Takes every event that the data path causes."""
        self.log = log
        self.wants_record = wants_record
        """Asked before a record is built; `notable`: it has a flag, a 5xx or a rescue."""
        self.stats = stats or ProcessStats()
        self.now = now
        self.wall = wall
        self.wheel = Wheel(self.loop.call_later, now)
        self.connections = AppConnections()
        self.request_id: Callable[[], bytes] = _request_ids().__next__
        """A new UUID (version 4)."""
        self.replay_bytes = 0
        """Of all requests in flight, kept for another attempt."""
        self.splices = splice.POSSIBLE
        """Large uploads go by it; False once the kernel has said that it does not."""
        self._date = b""
        self._date_at = -1

    def date(self) -> bytes:
        """The wall clock as an IMF-fixdate, for local answers (RFC 9110 §6.6.1)."""
        second = int(self.wall())
        if second != self._date_at:
            self._date_at = second
            self._date = formatdate(second, usegmt=True).encode()
        return self._date


def _request_ids() -> Iterator[bytes]:
    """UUIDs without end. 16 random bytes for each would cost as much as reading the request: the tail is drawn for
    many at once, and before it stands each pair of two times 256 halves.
    """
    return itertools.chain.from_iterable(_family() for _ in itertools.repeat(None))


def _family() -> Iterator[bytes]:
    """Those that share their last 24 digits."""
    tail = format_request_id(int.from_bytes(os.urandom(16), "big"))[8:]
    return map(b"".join, itertools.product(_halves(), _halves(), (tail,)))


def _halves() -> list[bytes]:
    """Four hex digits each, no two the same, in no order."""
    return [b"%04x" % half for half in SystemRandom().sample(range(1 << 16), _HALVES)]
