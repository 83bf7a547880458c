"""The part of a request's body that is at hand for another attempt, ready to be written."""

from sidecar.proxy.runtime import REPLAY_MEMORY, Runtime


class Replay:
    """Body bytes as they go to an instance, framing included.

    Bytes that no instance has seen yet are always kept (reading is paused meanwhile, so they are few); sent ones
    only within the limit. `whole` turns false when something sent was let go: then the request cannot be repeated.
    """

    __slots__ = ("_limit", "_parts", "_runtime", "_size", "whole")

    def __init__(self, runtime: Runtime, limit: int) -> None:
        self._runtime = runtime
        self._limit = limit if runtime.replay_bytes < REPLAY_MEMORY else 0
        self._parts: list[bytes] = []
        self._size = 0
        self.whole = True

    def __repr__(self) -> str:
        return f"<Replay {self._size}/{self._limit} bytes{'' if self.whole else ', not whole'}>"

    def keep(self, data: bytes) -> None:
        """Takes in what came from the app."""
        if self.whole:
            self._parts.append(data)
            self._size += len(data)
            self._runtime.replay_bytes += len(data)

    def sent(self) -> None:
        """All of it is on its way: what is too large is let go."""
        if self._size > self._limit:
            self.whole = False
            self.drop()

    def bytes(self) -> bytes:
        """All that is kept."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def drop(self) -> None:
        """Gives the memory back."""
        self._runtime.replay_bytes -= self._size
        self._size = 0
        self._parts.clear()
