"""Chunked bodies: taken apart with every byte of the framing checked, and framed anew (RFC 9112 §7.1)."""

import re
from typing import Final

from sidecar.errors import Failure
from sidecar.proxy.http1.message import FIELD_LINES, OUR_PREFIX, BadMessage, noting

MAX_SIZE_LINE: Final = 4 * 1024
"""A size line with its extensions; real ones take ten bytes."""

MAX_OVERHEAD: Final = 64 * 1024
"""Extension bytes of one message beyond what its payload pays for; more is an attack, not a body."""

PAID_BY: Final = 8
"""Bytes of payload for each byte of extensions or padding: a stream may last for hours."""

MAX_TRAILER_BYTES: Final = 16 * 1024
MAX_TRAILERS: Final = 64

LAST_CHUNK: Final = b"0\r\n\r\n"

_STRICT_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(;[\t\x20-\x7e\x80-\xff]*+)?\r\n").match
_PADDED_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})([ \t]*+(?:;[\t\x20-\x7e\x80-\xff]*+)?)\r\n").match
_TRAILERS: Final = re.compile(FIELD_LINES + rb"\r\n").match
_TRAILER_LINES: Final = re.compile(FIELD_LINES).match

_not_a_trailer: Final = noting(
    (
        b"content-length", b"transfer-encoding", b"host", b"trailer", b"te", b"connection", b"keep-alive", b"upgrade",
        b"proxy-connection", b"content-encoding", b"content-type", b"content-range", b"authorization", b"cookie",
        b"set-cookie", b"cache-control", b"expect", b"max-forwards", b"range",
    ),
    prefix=OUR_PREFIX,
).sub  # fmt: skip
"""Framing, routing, authentication: a trailer must not change what was decided from the head (RFC 9110 §6.5.1)."""


def chunk(data: bytes) -> bytes:
    """One chunk; `data` must not be empty, for that would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: bytes = b"") -> bytes:
    """The end of a body, with those of `trailers` (field lines, each with its CRLF) that may be passed on."""
    return b"0%b\r\n" % _not_a_trailer(b"", b"\r\n" + trailers) if trailers else LAST_CHUNK


class ChunkedReader:
    """Takes a chunked body apart. Feed it bytes as they come; `failure` is the row raised for malformed ones.

    `done` turns true with the last byte of the body; `trailers` are then the field lines after the last chunk,
    each with its CRLF, and `leftover` what followed in the same bytes.
    """

    __slots__ = ("_failure", "_held", "_in_trailers", "_left", "_line", "_overhead", "done", "leftover", "trailers")

    def __init__(self, failure: Failure, *, padded: bool) -> None:
        self._failure = failure
        self._line = _PADDED_LINE if padded else _STRICT_LINE
        self._held = b""
        self._left = 0  # payload bytes plus CRLF still to come of the current chunk
        self._overhead = 0
        self._in_trailers = False
        self.done = False
        self.leftover = b""
        self.trailers = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of payload in `data`, in order, none empty."""
        if self._held:
            data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.done:
            if self._in_trailers:
                at = self._end(data, at)
            elif self._left:
                at = self._payload(data, at, end, pieces)
            else:
                at = self._size(data, at)
            if at < 0:
                return pieces
        if self.done:
            self.leftover = data[at:]
        return pieces

    def _payload(self, data: bytes, at: int, end: int, pieces: list[bytes]) -> int:
        left = self._left
        if left > 2:
            piece = data[at : at + left - 2]
            pieces.append(piece)
            at += len(piece)
            left = self._left = left - len(piece)
            if left > 2 or at == end:
                return at
        if data[at : at + left] != b"\r\n"[-left:][: end - at]:
            raise BadMessage(self._failure, "a chunk does not end where its size says")
        taken = min(left, end - at)
        self._left = left - taken
        return at + taken

    def _size(self, data: bytes, at: int) -> int:
        found = self._line(data, at)
        if found is None:
            return self._hold(data, at)
        size = int(found[1], 16)
        self._overhead = max(0, self._overhead + found.end() - at - len(found[1]) - 2 - size // PAID_BY)
        if self._overhead > MAX_OVERHEAD or found.end() - at > MAX_SIZE_LINE:
            raise BadMessage(self._failure, "chunk extensions are too long")
        if size:
            self._left = size + 2
        else:
            self._in_trailers = True
        return found.end()

    def _hold(self, data: bytes, at: int) -> int:
        """Keep an incomplete size line for the next bytes, unless it is wrong already."""
        rest = data[at:]
        whole = rest if rest.endswith(b"\r") else rest + b"\r"
        if len(rest) > MAX_SIZE_LINE or self._line(whole + b"\n") is None:
            raise BadMessage(self._failure, "malformed chunk size")
        self._held = rest
        return -1

    def _end(self, data: bytes, at: int) -> int:
        found = _TRAILERS(data, at)
        if found is None:
            rest = data[at:]
            if len(rest) > MAX_TRAILER_BYTES or b"\n" in rest[_whole_lines(rest) :]:
                raise BadMessage(self._failure, "malformed or oversized trailers")
            self._held = rest
            return -1
        self.trailers = data[at : found.end() - 2]
        if len(self.trailers) > MAX_TRAILER_BYTES or self.trailers.count(b"\n") > MAX_TRAILERS:
            raise BadMessage(self._failure, "trailers are over the limits")
        self.done = True
        return found.end()


def _whole_lines(trailers: bytes) -> int:
    """Where the last well-formed line ends."""
    found = _TRAILER_LINES(trailers)
    return found.end() if found else 0
