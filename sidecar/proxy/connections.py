"""Every connection that an app has open, across all listeners: what drain waits for and finally ends."""

from collections.abc import Iterator
from typing import Any, Protocol

from sidecar.errors import Failure


class AppSide(Protocol):
    """What drain asks of a connection of the app."""

    @property
    def busy(self) -> bool:
        """A request is in flight."""
        ...

    @property
    def unwritten(self) -> int:
        """Bytes that the kernel has not taken yet."""
        ...

    def close(self) -> None:
        """Ends it with FIN, after what is written."""
        ...

    def abort(self) -> None:
        """Ends it with RST."""
        ...

    def cut(self, failure: Failure) -> None:
        """Ends it with RST, and its request with this failure."""
        ...

    def uses(self, upstream: Any) -> bool:
        """The request in flight began under this service (a proxy.upstream.Upstream)."""
        ...

    def look_for_stall(self, upstream: Any, now: float) -> None:
        """An endpoint of this service (a proxy.upstream.Upstream) fell silent."""
        ...


class AppConnections:
    """The open ones; idle ones count, because the app may still use them."""

    __slots__ = ("_open", "met")

    def __init__(self) -> None:
        self._open: set[AppSide] = set()
        self.met = 0
        """All there ever were."""

    def __repr__(self) -> str:
        return f"<AppConnections {len(self._open)} open, {sum(c.busy for c in self._open)} busy>"

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[AppSide]:
        return iter(tuple(self._open))

    def add(self, connection: AppSide) -> None:
        self._open.add(connection)
        self.met += 1

    def discard(self, connection: AppSide) -> None:
        self._open.discard(connection)

    def in_flight_under(self, upstream: Any) -> bool:
        """Whether any request is in flight that began under this service."""
        return any(connection.uses(upstream) for connection in self._open)

    def close_idle(self) -> int:
        """Ends those without a request with FIN; how many."""
        idle = [connection for connection in self if not connection.busy]
        for connection in idle:
            connection.close()
        return len(idle)

    def abort_active(self, failure: Failure) -> int:
        """Ends those with a request with RST, and those that still take the last of an answer; how many requests were cut."""
        active = [connection for connection in self if connection.busy]
        for connection in active:
            connection.cut(failure)
        for connection in self:
            if not connection.busy and connection.unwritten:  # FIN after a part of an answer looks like its end
                connection.abort()
        return len(active)
