r"""What both directions share: the grammar of field lines, the framings, and the one error of this layer.

A head is handled as bytes from end to end (RFC 9112 §2.2). Its field lines travel as one *block*: it starts with
the CRLF of the first line and ends with the CRLF of its last field, so every field in it is `\n…\r` and is found,
and cut, by its own bytes, for a value holds neither CR nor LF. What the strict grammar accepts is forwarded as
the bytes it is.

Understanding a block is a pure function of its bytes, and programs repeat themselves: a client sends the same
fields with every call of a kind. Hence both directions remember what the latest blocks meant (`REMEMBERED`).
"""

import enum
import functools
import re
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
"""Blocks whose meaning is kept, each way."""

REMEMBERED_BYTES: Final = 2048
"""Longer blocks are understood anew each time, so that the memory stays about a megabyte each way."""

OUR_PREFIX: Final = b"x-sidecar-"
"""Fields of this name speak for the sidecar, so nobody else's go on."""

MAX_LENGTH_DIGITS: Final = 18
"""Content-Length stays below 10^18: far above any body, far below 2^63."""

BAD_REQUEST: Final = FAILURES["bad_request"]
PROTOCOL: Final = FAILURES["protocol"]

_KEPT_BY_CONNECTION: Final = frozenset({b"host", b"authorization", b"cookie", b"set-cookie", b"cache-control"})
"""A field named in `Connection` is removed, but not these nor any Content-*: that would be an attack."""


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


def noting(*names: bytes, prefix: bytes | None = None) -> re.Pattern[bytes]:
    """Finds the lines of all fields `names`, and of those with `prefix`, in a block.

    The groups are the line to cut, its name and its value.
    """
    patterns = [spelled(name) for name in names]
    if prefix is not None:
        patterns.append(spelled(prefix) + TOKEN + rb"*+")
    return re.compile(rb"(\n(" + b"|".join(patterns) + rb"):[ \t]*+([^\r\n]*)\r)")


@functools.lru_cache(maxsize=256)
def field_pattern(name: bytes) -> re.Pattern[bytes]:
    """Finds each line of one field in a block: group 0 is the line to cut, group 1 its value."""
    return re.compile(rb"\n" + spelled(name) + rb":[ \t]*+([^\r\n]*)\r")


def first_value(block: bytes, name: bytes) -> bytes | None:
    """The value of the first field `name` of a block."""
    found = field_pattern(name).search(block)
    return found[1].rstrip(b" \t") if found else None


def without(block: bytes, name: bytes) -> bytes:
    """The block without any field `name`."""
    return field_pattern(name).sub(b"", block)


def without_connection_options(block: bytes, options: list[bytes]) -> bytes:
    """The block without the fields that `Connection` names: they were meant for one hop (RFC 9110 §7.6.1)."""
    for option in options:
        if option not in _KEPT_BY_CONNECTION and not option.startswith(b"content-"):
            block = without(block, option)
    return block


def members(value: bytes) -> list[bytes]:
    """The members of a comma list, lower-cased, empty ones left out (RFC 9110 §5.6.1)."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]


def is_length(digits: bytes) -> bool:
    """Whether this is a Content-Length: ASCII digits only, and a number that someone could mean."""
    return digits.isdigit() and len(digits) <= MAX_LENGTH_DIGITS
