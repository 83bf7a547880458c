"""The second chance of an answer's head that the parser rejected.

Legacy providers fold lines, leave a space before the colon, repeat an equal Content-Length, write the version in
lower case or two spaces before the status. No leniency of the parser admits these alone, so the head is written
anew and must then pass every strict check. What is ambiguous stays an error.
"""

import re
from typing import Final

from sidecar.proxy.http1.message import PROTOCOL, BadMessage

_STATUS_LINE: Final = re.compile(rb"[Hh][Tt][Tt][Pp]/(1\.[01])[ \t]+([1-9][0-9]{2})(?:[ \t]+([^\r\n]*))?").fullmatch

_FOLD: Final = re.compile(rb"[ \t]*\r?\n[ \t]+")


def repair(raw: bytes) -> bytes:
    """A clean head with the same meaning as `raw` (one complete head with its empty line), or BadMessage."""
    first, *lines = _FOLD.sub(b" ", raw).split(b"\n")
    status = _STATUS_LINE(first.rstrip(b"\r"))
    if status is None:
        raise BadMessage(PROTOCOL, "malformed status line")
    clean = [b"HTTP/%b %b %b" % (status[1], status[2], status[3] or b"")]
    lengths: set[bytes] = set()
    for line in lines:
        name, colon, value = line.rstrip(b"\r").partition(b":")
        if not line.rstrip(b"\r"):
            continue
        name, value = name.rstrip(b" \t"), value.strip(b" \t")
        if not colon:
            raise BadMessage(PROTOCOL, "a header line without colon")
        if name.lower() == b"content-length":
            lengths.update(part.strip(b" \t") for part in value.split(b","))
            if len(lengths) > 1:
                raise BadMessage(PROTOCOL, "differing Content-Length")
            if any(done.lower().startswith(b"content-length:") for done in clean):
                continue
            value = next(iter(lengths))
        clean.append(name + b": " + value)
    return b"\r\n".join([*clean, b"", b""])
