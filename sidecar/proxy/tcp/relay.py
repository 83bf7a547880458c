"""One connection of an app to a service of another protocol than HTTP, from accept to its end.

    accepted ─▶ reaching (a task: choose, dial, wait) ─▶ relaying (callbacks only) ─▶ finished, lost, idle or cut

What the app sends meanwhile is kept up to a bound. A failed dial is free to be made again elsewhere, since no byte
has been sent; once an instance is connected nothing is repeated, for nobody knows what it did.
"""

import socket
from typing import TYPE_CHECKING

from sidecar.errors import FAILURES, Failure
from sidecar.proxy.runtime import Runtime
from sidecar.proxy.tcp import ending
from sidecar.proxy.tcp.ends import AppEnd, End, InstanceEnd
from sidecar.proxy.tcp.reaching import Journey, reach
from sidecar.proxy.wheel import Timer
from sidecar.tasks import spawn

if TYPE_CHECKING:
    from sidecar.proxy.upstream import Upstream

_APP_LEFT, _RESET, _IDLE = FAILURES["app_left"], FAILURES["reset"], FAILURES["response_timeout"]


class Relay:
    """Both ends and what is known of them; it ends exactly once."""

    __slots__ = (
        "_now",
        "_timer",
        "_untaken",
        "app",
        "begun",
        "dialled",
        "instance",
        "journey",
        "last_byte",
        "over",
        "runtime",
        "started",
        "upstream",
    )

    def __init__(self, runtime: Runtime, upstream: "Upstream", sock: socket.socket, dialled: str | None = None) -> None:
        self.runtime = runtime
        self.upstream = upstream
        self.dialled = dialled
        """The address of the instance that the app had connected to, where we came between."""
        self.app = AppEnd(self, sock)
        self.instance: InstanceEnd | None = None
        self.journey = Journey(upstream.policy.wait_for_instance.timeout)
        self._now = runtime.now
        self.started = self.last_byte = runtime.now()
        self.begun = False
        """It is counted as in flight, and an instance is sought."""
        self.over = False
        """It is told and counted; what is left is to write the last bytes."""
        self._timer = Timer(self._expired)
        self._untaken = 0

    def __repr__(self) -> str:
        return f"<Relay {self.upstream.cluster.name} {self.app!r} {self.instance!r}>"

    def accepted(self) -> None:
        """The app is connected. An instance is dialled at once: the server may be the one to speak first."""
        self.runtime.connections.add(self.app)
        self.upstream.stats.app_connections += 1
        self.upstream.stats.by_address += self.dialled is not None
        self.begin()

    def begin(self) -> None:
        """Seeks an instance."""
        self.begun = True
        one_too_many = self.upstream.saturated
        self.upstream.stats.requests_in_flight += 1
        if one_too_many:
            self.end(FAILURES["too_many_requests"])
        else:
            self._seek()

    def has_no_use_for(self, instance: InstanceEnd) -> bool:
        """Asked before it is joined: whether it is over with this one already."""
        return instance.gone

    def joined(self, instance: InstanceEnd, now: float) -> None:
        """An instance is connected: bytes flow from now on."""
        self.instance, self.last_byte = instance, now
        self._arm()
        instance.join(self.app)
        self.app.join(instance)
        if self.app.ended and instance.ended:
            self.end(None)

    def does_without(self, instance: InstanceEnd) -> bool:
        """Asked when the instance ends: whether that is none of the app's business."""
        del instance
        return False

    def answered_by(self, instance: InstanceEnd) -> None:
        """Its first byte: whatever becomes of the connection, it serves."""
        self.upstream.tell(self.upstream.cluster.report_answering(instance.endpoint, self._now()))

    def moved(self) -> None:
        """A byte or an end came from somewhere."""
        self.last_byte = self._now()

    def lost(self, side: End, error: Exception | None) -> None:
        """A connection is closed: by its peer with RST or, where an error is missing, as a whole."""
        if side is self.app:
            self.runtime.connections.discard(self.app)
            self.upstream.stats.app_connections -= 1
            self.end(_APP_LEFT)
        elif side is self.instance:
            self.end(_RESET if error is not None else None)
        if self.app.gone and (self.instance is None or self.instance.gone):
            self.runtime.wheel.cancel(self._timer)

    def end(self, failure: Failure | None) -> None:
        """Told and counted once. Without a failure both ends get FIN after their last bytes, else RST."""
        if self.over:
            return
        self.over = True
        if self.journey.task is not None:
            self.journey.task.cancel()
        ending.end(self, failure, self._now())
        for side in self._sides():
            if failure is None:
                side.finish()
            else:
                side.abort()
        self._watch_last_bytes()

    def _seek(self) -> None:
        self.journey.task = spawn(self._reach(), name="reach an instance")

    async def _reach(self) -> None:
        failure = await reach(self)
        self.journey.task = None
        if failure is not None:
            self.end(failure)

    def _arm(self) -> None:
        idle = self.upstream.policy.timeouts.idle
        if idle is not None:
            self.runtime.wheel.arm(self._timer, self.last_byte + idle)

    def _expired(self, now: float) -> None:
        idle = self.upstream.policy.timeouts.idle
        if self.over:
            self._look_at_last_bytes()
        elif idle is not None and now - self.last_byte >= idle:
            self.end(_IDLE)
        else:
            self._arm()

    def _watch_last_bytes(self) -> None:
        """They go at the pace of who takes them: a kernel has megabytes of them, and asks for more when a third is gone."""
        idle = self.upstream.policy.timeouts.idle
        self._untaken = self._left()
        if idle is not None and any(side.unwritten for side in self._sides()):
            self.runtime.wheel.arm(self._timer, self._now() + idle)
        else:
            self.runtime.wheel.cancel(self._timer)

    def _look_at_last_bytes(self) -> None:
        if self._left() < self._untaken:
            self._watch_last_bytes()
            return
        for side in self._sides():
            side.abort()

    def _left(self) -> int:
        return sum(side.untaken for side in self._sides())

    def _sides(self) -> tuple[End, ...]:
        return (self.app,) if self.instance is None else (self.app, self.instance)
