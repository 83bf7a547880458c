"""What every part of the data path is handed by the application: clocks, sinks, and the limits of the process."""

import asyncio
import os
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Protocol

from sidecar import clock
from sidecar.cluster.events import Event
from sidecar.cluster.stats import ProcessStats
from sidecar.proxy.connections import AppConnections
from sidecar.proxy.http1.request import format_request_id
from sidecar.proxy.wheel import Wheel
from sidecar.record import Record

REPLAY_MEMORY = 64 * 1024 * 1024
"""Bytes of request bodies kept for another attempt, in the whole process; beyond it requests are not replayable."""

_IDS_AT_ONCE = 1 << 16
_SCATTER = 0x9E3779B1
"""Odd, so that adding it passes every 32-bit value before one comes again; ids do not look like neighbours."""


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
        "_id_head",
        "_id_tail",
        "_ids_left",
        "connections",
        "emit",
        "log",
        "loop",
        "now",
        "replay_bytes",
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
        self.connections = AppConnections(now)
        self.replay_bytes = 0
        """Of all requests in flight, kept for another attempt."""
        self._ids_left = 0
        self._id_head = 0
        self._id_tail = b""
        self._date = b""
        self._date_at = -1

    def request_id(self) -> bytes:
        """A new UUID. Fetching 16 random bytes for each costs as much as reading the request: the tail is fetched
        for many at once, and the head walks through all its values in a scattered order.
        """
        if not self._ids_left:
            self._ids_left = _IDS_AT_ONCE
            self._id_tail = format_request_id(int.from_bytes(os.urandom(16), "big"))[8:]
            self._id_head = int.from_bytes(os.urandom(4), "big")
        self._ids_left -= 1
        self._id_head = head = (self._id_head + _SCATTER) & 0xFFFFFFFF
        return b"%08x%b" % (head, self._id_tail)

    def date(self) -> bytes:
        """The wall clock as an IMF-fixdate, for local answers (RFC 9110 §6.6.1)."""
        second = int(self.wall())
        if second != self._date_at:
            self._date_at = second
            self._date = formatdate(second, usegmt=True).encode()
        return self._date
