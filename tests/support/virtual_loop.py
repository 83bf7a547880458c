"""An event loop whose clock stands still while anything happens, and jumps to the next timer when nothing does.

Time does not pass by itself, so no busy machine makes a test late, and idle waits cost nothing; only each turn of the
loop takes a microsecond, for the sake of those who wait for a moment that rounding hides. Sockets and threads
still work: before the clock jumps, what is under way has to arrive. Bytes on a TCP connection are under way until the
kernel at the other end has acknowledged them, and so is the work of the loop's threads. Connects, resets and what
another process does tell nothing of the kind: they get a few milliseconds.
"""

import asyncio
import selectors
import socket
import struct
from collections.abc import Callable
from typing import Any, TypeVar

from sidecar.clock import monotonic

T = TypeVar("T")

_TURN = 1e-6
_LANDING_TIME = 0.005
_GIVEN_UP_AFTER = 2.0
"""Real seconds: a thread that waits for a timer, or a peer that never acknowledges, must not stop the clock for ever."""

_TCP_INFO = struct.Struct("@B23xI")
"""State, and segments that were sent and not acknowledged; between them the kernel tells other things."""

_CONNECTING = 2
"""The state in which a SYN is on its way, perhaps for ever."""


class _Jump(selectors.DefaultSelector):
    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.loop.skipped += _TURN
        ready = super().select(0)
        if ready or timeout is None or timeout <= 0:
            return ready or super().select(timeout)
        ready = self._landed()
        if not ready:
            self.loop.skipped += timeout
        return ready

    def descriptors(self) -> frozenset[int]:
        """All that is watched."""
        return frozenset(key.fd for key in self.get_map().values())

    def _landed(self) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready by the time that nothing is under way."""
        given_up_at = monotonic() + _GIVEN_UP_AFTER
        while True:
            sockets = self.descriptors() - self.loop.own_descriptors
            under_way = self.loop.working or any(map(_unacknowledged, sockets))
            ready = super().select(_LANDING_TIME if sockets or under_way else 0)
            if ready or not under_way or monotonic() > given_up_at:
                return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop with a clock of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.skipped = 0.0
        self.working = 0
        """Calls that threads of this loop have not returned from."""
        self.own_descriptors: frozenset[int] = frozenset()
        self._began = monotonic()
        selector = _Jump()
        selector.loop = self
        super().__init__(selector, *args, **kwargs)
        self.own_descriptors = selector.descriptors()

    def time(self) -> float:
        """Seconds that were skipped and turned, counted from the real clock of the loop's beginning."""
        return self._began + self.skipped

    def run_in_executor(  # type: ignore[override] # the stub's signature cannot be spelled again
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """As ever, but the clock stands still until the call returns."""
        self.working += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _: object) -> None:
        self.working -= 1


def _unacknowledged(descriptor: int) -> bool:
    """Whether the peer's kernel still has to take something of ours; False for what is no TCP connection."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        return False
    try:
        state, segments = _TCP_INFO.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
    except OSError:
        return False
    finally:
        sock.detach()
    return bool(segments) and state != _CONNECTING
