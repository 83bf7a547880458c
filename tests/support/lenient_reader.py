"""How a lenient client reads an answer: the second opinion on what a sloppy instance meant.

Written apart from the product, and by other means. It takes whatever has one meaning, and a little more; so where it
reads something else than what the app got, one of the two is wrong.
"""

import re
from dataclasses import dataclass, field

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"(?i)http/1\.[01][ \t]+(\d{3})(?!\d)")
_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]+)[ \t]*(?:;.*)?")


@dataclass
class Meant:
    """A final answer."""

    status: int
    fields: list[tuple[bytes, bytes]]
    """Names in lower case."""
    body: bytes = b""
    complete: bool = True
    until_close: bool = False
    rest: bytes = field(default=b"", repr=False)
    """What follows it."""

    def values(self, name: bytes) -> list[bytes]:
        """Of all fields `name`, taken apart at commas; empty elements say nothing (RFC 9110 §5.6.1.2)."""
        parts = (part.strip(b" \t") for key, value in self.fields if key == name for part in value.split(b","))
        return [part for part in parts if part]


def read_answer(data: bytes, method: bytes) -> Meant | None:
    """The final answer to a request of `method` in all that came until the end; None: there is none."""
    while True:
        data = data.lstrip(b"\r\n")
        blank = _BLANK_LINE.search(data)
        if blank is None:
            return None
        answer = _head(data[: blank.start()])
        if answer is None:
            return None
        data = data[blank.end() :]
        if answer.status >= 200 or answer.status == 101:
            return _with_body(answer, method, data)


def _head(raw: bytes) -> Meant | None:
    start, *lines = (line.removesuffix(b"\r") for line in raw.split(b"\n"))
    status = _STATUS_LINE.match(start)
    if status is None:
        return None
    fields: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line[:1] in {b" ", b"\t"}:
            if fields:
                name, value = fields.pop()
                fields.append((name, (value + b" " + line.strip(b" \t")).strip(b" \t")))
            continue
        name, _, value = line.partition(b":")
        fields.append((name.strip(b" \t").lower(), value.strip(b" \t")))
    return Meant(int(status[1]), fields)


def _with_body(answer: Meant, method: bytes, data: bytes) -> Meant:
    codings = [coding.lower() for coding in answer.values(b"transfer-encoding") if coding.lower() != b"identity"]
    lengths = set(answer.values(b"content-length"))
    if method == b"HEAD" or answer.status in {101, 204, 304}:
        answer.rest = data
    elif codings[-1:] == [b"chunked"]:
        _chunks(answer, data)
    elif not codings and len(lengths) == 1 and (length := lengths.pop()).isdigit():
        answer.body, answer.rest = data[: int(length)], data[int(length) :]
        answer.complete = len(answer.body) == int(length)
    else:
        answer.body, answer.until_close = data, True
    return answer


def _chunks(answer: Meant, data: bytes) -> None:
    answer.complete = False
    while True:
        line, end, data = data.partition(b"\n")
        size = _SIZE.fullmatch(line.removesuffix(b"\r"))
        if not end or size is None:
            return
        length = int(size[1], 16)
        if not length:
            break
        answer.body += data[:length]
        data = data[length:].removeprefix(b"\r").removeprefix(b"\n")
    while end:
        line, end, data = data.partition(b"\n")
        if end and not line.removesuffix(b"\r"):
            answer.complete, answer.rest = True, data
            return
