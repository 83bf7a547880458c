"""The second chance of an answer head that the strict grammar did not accept.

Legacy providers end lines with LF alone, fold lines, leave a space before the colon, write the version in lower
case or two spaces before the status. Such a head is written anew and must then pass every strict check; what is
ambiguous, such as two different lengths, stays an error there.
"""

import re
from typing import Final

from sidecar.proxy.http1.message import PROTOCOL, BadMessage

_STATUS_LINE: Final = re.compile(rb"HTTP/(1\.[01])[ \t]+([1-9][0-9]{2})(?:[ \t]+(.*))?", re.IGNORECASE).fullmatch

_SPACE: Final = b" \t"


def repair(raw: bytes) -> bytes:
    """A head by the book with the meaning of `raw`, one complete head with its empty line. Raises BadMessage."""
    first, *lines = (line.removesuffix(b"\r") for line in raw.split(b"\n"))
    status = _STATUS_LINE(first)
    if status is None:
        raise BadMessage(PROTOCOL, "malformed status line")
    start = b"HTTP/%b %b %b\r\n" % (status[1], status[2], status[3] or b"")
    return start + b"".join(b"%b: %b\r\n" % field for field in _unfolded(lines)) + b"\r\n"


def _unfolded(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Names and values; a line that starts with a space continues the field before it (RFC 9112 §5.2).

    Before the first field there is nothing to continue: such lines are dropped (§2.2).
    """
    fields: list[tuple[bytes, bytes]] = []
    for line in filter(None, lines):
        if line[0] in _SPACE:
            if fields:
                name, value = fields.pop()
                fields.append((name, b" ".join(filter(None, (value, line.strip(_SPACE))))))
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            raise BadMessage(PROTOCOL, "a header line without a colon")
        fields.append((name.rstrip(_SPACE), value.strip(_SPACE)))
    return fields
