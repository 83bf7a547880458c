"""Bodies on their way through: taken apart by their framing, and made ready for the other side as they come.

A body is fed what was read from one side and returns what to write to the other. `payload` counts body bytes
without framing; after `done`, `leftover` is what followed the body in the same bytes. Nothing is gathered here:
memory stays flat whatever the size.
"""

from typing import Protocol

from sidecar.errors import Failure
from sidecar.proxy.http1.chunked import LAST_CHUNK, ChunkedReader, chunk, last_chunk


class Body(Protocol):
    """A body of any framing."""

    done: bool
    payload: int
    leftover: bytes

    def feed(self, data: bytes) -> bytes:
        """What to write for `data`; raises BadMessage."""
        ...


class LengthBody:
    """A body of a known number of bytes: they go on as they are."""

    __slots__ = ("done", "left", "leftover", "payload")

    def __init__(self, length: int) -> None:
        self.left = length
        """Bytes still to come."""
        self.done = False
        self.payload = 0
        self.leftover = b""

    def feed(self, data: bytes) -> bytes:
        """The part of `data` that belongs to the body."""
        left = self.left
        if len(data) > left:
            data, self.leftover = data[:left], data[left:]
        self.payload += len(data)
        self.left = left = left - len(data)
        self.done = not left
        return data

    def skip(self, count: int) -> None:
        """So many bytes have gone another way."""
        self.payload += count
        self.left -= count
        self.done = not self.left


class ChunkedBody:
    """A chunked body: every byte of its framing is checked, and made anew for a side that takes chunks."""

    __slots__ = ("_chunks", "_reader", "_trailers", "done", "leftover", "payload")

    def __init__(self, failure: Failure, *, padded: bool, chunks: bool = True, trailers: bool = True) -> None:
        self._reader = ChunkedReader(failure, padded=padded)
        self._chunks = chunks
        self._trailers = trailers
        self.done = False
        self.payload = 0
        self.leftover = b""

    def feed(self, data: bytes) -> bytes:
        """The payload in `data`, framed for the other side; with the end of the body its last chunk."""
        reader = self._reader
        pieces = reader.feed(data)
        self.payload += sum(map(len, pieces))
        parts = [chunk(piece) for piece in pieces] if self._chunks else pieces
        if reader.done:
            self.done = True
            self.leftover = reader.leftover
            if self._chunks:
                parts.append(last_chunk(reader.trailers if self._trailers else b""))
        return b"".join(parts)


class UntilCloseBody:
    """An answer that ends with its connection; only a clean FIN makes it complete (RFC 9112 §8)."""

    __slots__ = ("_chunks", "done", "leftover", "payload")

    def __init__(self, *, chunks: bool) -> None:
        self._chunks = chunks
        self.done = False
        self.payload = 0
        self.leftover = b""

    def feed(self, data: bytes) -> bytes:
        """All of `data`."""
        self.payload += len(data)
        return chunk(data) if self._chunks else data

    def end(self) -> bytes:
        """What completes it on the other side."""
        self.done = True
        return LAST_CHUNK if self._chunks else b""


class RawBody:
    """After 101: bytes of another protocol, without an end that we could see."""

    __slots__ = ("done", "leftover", "payload")

    def __init__(self) -> None:
        self.done = False
        self.payload = 0
        self.leftover = b""

    def feed(self, data: bytes) -> bytes:
        """All of `data`, as it is."""
        self.payload += len(data)
        return data
