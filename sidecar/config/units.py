"""Sizes and ranges: text to numbers and back, without a loss on the way. Durations alone are in `sidecar.durations`.

Every reader raises `ValueError` whose message is what was expected, so that a caller can say
"expected …, got …" about a key or a variable.
"""

import re
from typing import Final

from sidecar.cluster.policy import Range
from sidecar.durations import duration, duration_text

_SIZE: Final = re.compile(r"([0-9]{1,15})(B|KiB|MiB)")
_BYTES: Final = {"MiB": 1 << 20, "KiB": 1 << 10, "B": 1}


def backoff(text: object) -> Range:
    """Both ends of `100ms..5s`, low end first."""
    low, dots, high = text.partition("..") if isinstance(text, str) else ("", "", "")
    try:
        found = Range(duration(low), duration(high))
    except ValueError:
        found = None
    if not dots or found is None or found.low > found.high:
        raise ValueError("a range LOW..HIGH such as 100ms..5s")
    return found


def backoff_text(value: Range) -> str:
    """What `backoff` reads as this range."""
    return f"{duration_text(value.low)}..{duration_text(value.high)}"


def size(text: object) -> int:
    """Bytes of `64KiB`, `1MiB`, `512B`."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("a size such as 512B, 64KiB or 1MiB")
    return int(match[1]) * _BYTES[match[2]]


def size_text(count: int) -> str:
    """The text in the largest unit that needs no fraction."""
    unit = next(unit for unit, length in _BYTES.items() if count % length == 0 and (count or unit == "B"))
    return f"{count // _BYTES[unit]}{unit}"
