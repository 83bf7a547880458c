"""What both directions share: the grammar of heads, their framing, and the one error of this layer.

A head is handled as bytes from end to end (RFC 9112 §2.2). It is read by one strict pattern; what the pattern
accepts may be forwarded as the bytes it is, after cutting the lines that belong to one hop. Field lines travel
as one block that starts with CRLF and ends with CRLF, so that every line in it is `\\n…\\r` and can be cut out
by its own bytes: a value holds neither CR nor LF.
"""

import enum
import functools
import re

from sidecar.errors import FAILURES, Failure

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One character of a token (RFC 9110 §5.6.2), as a pattern."""

VALUE = rb"[\t\x20-\x7e\x80-\xff]"
"""One character of a field value: no controls but TAB; obs-text is legal, GBK and UTF-8 pass."""

FIELD_LINES = rb"(?:" + TOKEN + rb"++:" + VALUE + rb"*+\r\n)*+"

MAX_LENGTH_DIGITS = 18
"""Content-Length stays below 10^18: far above any body, far below 2^63."""

BAD_REQUEST = FAILURES["bad_request"]
PROTOCOL = FAILURES["protocol"]


class BadMessage(Exception):  # noqa: N818 - it names what arrived, and the failure says whose fault it is
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
    """A pattern for `name` in any case; cheaper than the ignore-case flag, as first letters become sets."""
    return b"".join(
        b"[%c%c]" % (upper, lower) if upper != lower else re.escape(bytes([lower]))
        for upper, lower in zip(name.upper(), name.lower(), strict=True)
    )


@functools.lru_cache(maxsize=256)
def field_pattern(name: bytes) -> re.Pattern[bytes]:
    """Finds each line of the field `name` in a block: group 0 is the line to cut, group 1 its value."""
    return re.compile(rb"\n" + spelled(name) + rb":[ \t]*+([^\r\n]*)\r")


def first_value(fields: bytes, name: bytes) -> bytes | None:
    """The value of the first `name` in a block of field lines."""
    found = field_pattern(name).search(fields)
    return found[1].rstrip(b" \t") if found else None


def without(fields: bytes, name: bytes) -> bytes:
    """The block without any line of the field `name`."""
    return field_pattern(name).sub(b"", fields)


def tokens(value: bytes) -> list[bytes]:
    """The members of a comma list, lower-cased, empty ones left out (RFC 9110 §5.6.1)."""
    return [token for part in value.lower().split(b",") if (token := part.strip(b" \t"))]
