r"""What both directions share: the grammar of field lines, the framings, and the one error of this layer.

A head is handled as bytes from end to end (RFC 9112 §2.2). Its field lines travel as one *block*: it starts with
the CRLF of the first line and ends with the CRLF of its last field, so every field in it is `\n…\r` and is found,
and cut, by its own bytes, for a value holds neither CR nor LF. What the strict grammar accepts is forwarded as
the bytes it is.

Understanding fields is a pure function of their bytes, and programs repeat themselves. Hence both directions
remember, twice: what whole blocks meant (a client sends the same fields with every call of a kind), and what the
lines meant that a proxy must see (they repeat even where a trace id makes every block another one).
"""

import enum
import functools
import re
from collections.abc import Collection, Iterable
from typing import Final

from sidecar.errors import FAILURES, Failure

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One character of a token (RFC 9110 §5.6.2), as a pattern."""

VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]"
"""One character of a field value: no controls but TAB; obs-text is legal, GBK and UTF-8 pass."""

FIELD_LINES: Final = rb"(?:" + TOKEN + rb"++:" + VALUE + rb"*+\r\n)*+"

strict_block: Final = re.compile(rb"\r\n" + FIELD_LINES).fullmatch
"""Whether a block of field lines obeys RFC 9112 §5 to the letter."""

REMEMBERED: Final = 512
"""Blocks, and sets of lines, whose meaning is kept, each way."""

REMEMBERED_BYTES: Final = 2048
"""Longer ones are understood anew each time, so that the memory stays about a megabyte each way."""

OUR_PREFIX: Final = b"x-sidecar-"
"""Fields of this name speak for the sidecar, so nobody else's go on."""

MAX_LENGTH_DIGITS: Final = 18
"""Content-Length stays below 10^18: far above any body, far below 2^63."""

BAD_REQUEST: Final = FAILURES["bad_request"]
PROTOCOL: Final = FAILURES["protocol"]

_KEPT_BY_CONNECTION: Final = frozenset(
    {
        *(b"host", b"authorization", b"cookie", b"set-cookie", b"cache-control"),  # removing them would be an attack
        *(b"close", b"keep-alive", b"te", b"upgrade", b"http2-settings"),  # options, and fields that end here anyway
    }
)
"""A field named in `Connection` is removed, but not these, nor any Content-*."""


class BadMessage(Exception):  # noqa: N818 - it names what arrived; whose fault it is says the failure
    """A message that cannot be passed on. `failure` is the row to answer with, `text` says why to people."""

    def __init__(self, failure: Failure, text: str) -> None:
        super().__init__(text)
        self.failure = failure
        self.text = text


class Framing(enum.Enum):
    """Where a body ends (RFC 9112 §6.3)."""

    NONE = "no body"
    LENGTH = "after a known number of bytes"
    CHUNKED = "with the last chunk"
    UNTIL_CLOSE = "with the connection"


def spelled(name: bytes) -> bytes:
    """A pattern for `name` in any case; faster than the ignore-case flag, as the engine looks ahead into sets."""
    return b"".join(
        b"[%c%c]" % (upper, lower) if upper != lower else re.escape(bytes([lower]))
        for upper, lower in zip(name.upper(), name.lower(), strict=True)
    )


def noting(names: Iterable[bytes], *, prefix: bytes | None = None) -> re.Pattern[bytes]:
    r"""Finds the whole lines, `\n…\r`, of all fields `names`, and of those with `prefix`, in a block."""
    first = b"".join({letter for name in (*names, prefix or b"") for letter in (name[:1].lower(), name[:1].upper())})
    patterns = [spelled(name) for name in names]
    if prefix is not None:
        patterns.append(spelled(prefix) + TOKEN + rb"*+")
    return re.compile(rb"\n(?=[" + first + rb"])(?:" + b"|".join(patterns) + rb"):[^\r]*+\r")


def parted(line: bytes) -> tuple[bytes, bytes]:
    """Name in lower case, and value, of a line that `noting` found."""
    name, _, value = line.partition(b":")
    return name[1:].lower(), value.strip(b" \t\r")


@functools.cache
def _field(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\n" + spelled(name) + rb":[ \t]*+([^\r]*+)\r")


def first_value(block: bytes, name: bytes) -> bytes | None:
    """The value of the first field `name` of a block; `name` is one of ours, never from the wire."""
    found = _field(name).search(block)
    return found[1].rstrip(b" \t") if found else None


def without(block: bytes, names: Collection[bytes]) -> bytes:
    """The block without the fields `names`; one pass, however many a peer makes us look for."""
    lines = block.split(b"\r\n")
    return b"\r\n".join(line for line in lines if line.partition(b":")[0].lower() not in names)


def removable(options: Iterable[bytes]) -> set[bytes]:
    """Those members of `Connection` that name a field to remove for being of one hop (RFC 9110 §7.6.1)."""
    return {name for name in options if name not in _KEPT_BY_CONNECTION and not name.startswith(b"content-")}


def members(value: bytes) -> list[bytes]:
    """The members of a comma list, lower-cased, empty ones left out (RFC 9110 §5.6.1)."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]


def is_length(digits: bytes) -> bool:
    """Whether this is a Content-Length: ASCII digits only, and a number that someone could mean."""
    return digits.isdigit() and len(digits) <= MAX_LENGTH_DIGITS


def worth_remembering(block: bytes, lines: Collection[bytes]) -> bool:
    """Whether noted lines of a block are few and short enough to be kept."""
    return len(block) <= REMEMBERED_BYTES or sum(map(len, lines)) <= REMEMBERED_BYTES
