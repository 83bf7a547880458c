"""Durations: text to seconds and back, without a loss on the way.

The reader raises `ValueError` whose message is what was expected, so that a caller can say "expected …, got …" about
a key, a variable, a flag or a query. Light on purpose: commands that need only this (`wait --timeout 60s`) import no
YAML and no models.
"""

import re
from decimal import Decimal
from typing import Final

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
