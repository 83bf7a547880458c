"""Durations, sizes and ranges: text to numbers and back, without a loss on the way.

Every reader raises `ValueError` whose message is what was expected, so that a caller can say
"expected …, got …" about a key, a variable or a flag. Light on purpose: commands that need only a duration
(`wait --timeout 60s`) import no YAML and no models.
"""

import re
from decimal import Decimal
from typing import Final

from sidecar.cluster.policy import Range

_DURATION: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)(us|ms|s|m|h)")
_SECONDS: Final = {
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
    "us": Decimal("0.000001"),
}
_LONGEST: Final = 876_000 * 3600.0
"""A century: beyond it event loops cannot count milliseconds, and a typing mistake is likelier than an intention."""

_SIZE: Final = re.compile(r"([0-9]{1,15})(B|KiB|MiB)")
_BYTES: Final = {"MiB": 1 << 20, "KiB": 1 << 10, "B": 1}

DURATION_EXAMPLES: Final = "such as 250ms, 10s or 5m"


def duration(text: object, *, zero: bool = False) -> float:
    """Seconds of `250ms`, `1.5s`, `5m`; `0s` only where it has a meaning."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"a duration {DURATION_EXAMPLES}")
    seconds = float(Decimal(match[1]) * _SECONDS[match[2]])
    if seconds > _LONGEST:
        raise ValueError("a duration of at most 876000h")
    if seconds == 0 and not zero:
        raise ValueError(f"a duration above zero, {DURATION_EXAMPLES}")
    return seconds


def duration_text(seconds: float) -> str:
    """A text that `duration` reads as these very seconds: the largest unit that needs no fraction, but 60s, not 1m."""
    exact = Decimal(repr(seconds))
    if exact in {0, 60}:
        return f"{seconds:.0f}s"
    for unit, length in _SECONDS.items():
        count = exact / length
        if count == count.to_integral_value() and count * length == exact:
            return f"{count:f}".partition(".")[0] + unit
    return f"{exact / _SECONDS['us']:f}us"


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
