"""The picture of a trial: a panel a row of the table, in it a strip a caller, in it errors per second over time.

SVG by hand, with its own background, so that it can be read on light and on dark pages.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape

from tests.trial.counts import Count, Mark
from tests.trial.row import Played, Result

_COLUMNS = 2
_WIDTH, _HEIGHT = 500, 142
"""Of a panel."""

_LEFT, _RIGHT = 86, 44
_TOP, _STRIP, _GAP = 40, 13, 3
_BIN = 0.25
"""Seconds."""

_FAINTEST = 2.0
"""Height of a bar for a single call."""

_HEAD = 44
_SAID = "Errors per second of each caller: where a bar fills its strip, every call failed."
_SAID_TOO = "At the right: calls failed in all. Dashed lines: what was done. Below: seconds from the first call."
_STYLE = """
svg { font: 11px system-ui, sans-serif; --paper: #fff; --ink: #1f2328; --faint: #59636e; --strip: #eef1f4;
      --error: #c2410c; --mark: #7c8590 }
@media (prefers-color-scheme: dark) {
  svg { --paper: #0d1117; --ink: #e6edf3; --faint: #9198a1; --strip: #1d242c; --error: #ff8a4c; --mark: #7c8590 }
}
.paper { fill: var(--paper) } .strip { fill: var(--strip) } .error { fill: var(--error) }
text { fill: var(--ink) } .faint { fill: var(--faint); font-size: 10px } .title { font-weight: 600; font-size: 12px }
.head { font-size: 13px } .own { font-weight: 600 } .end { text-anchor: end }
.mark { stroke: var(--mark); stroke-dasharray: 2 2 }
"""


def picture(results: Sequence[Result]) -> str:
    """Of those that were played."""
    played = [(result, result.played) for result in results if result.played]
    lines = math.ceil(len(played) / _COLUMNS)
    width, height = _COLUMNS * _WIDTH, _HEAD + lines * _HEIGHT
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        f'<text class="head" x="10" y="20">{_SAID}</text>',
        f'<text class="faint" x="10" y="36">{_SAID_TOO}</text>',
        *(
            line
            for number, (result, one) in enumerate(played)
            for line in _panel(result, one, number % _COLUMNS * _WIDTH, _HEAD + number // _COLUMNS * _HEIGHT)
        ),
        "</svg>",
        "",
    ])  # fmt: skip


def _panel(result: Result, played: Played, x: int, y: int) -> Iterator[str]:
    inner = _WIDTH - _LEFT - _RIGHT
    scale = inner / played.seconds
    bottom = _TOP + len(played.counts) * (_STRIP + _GAP)
    yield f'<g transform="translate({x} {y})">'
    yield f'<text class="title" x="10" y="14">{escape(result.row.title)}</text>'
    for number, (title, count) in enumerate(played.counts.items()):
        yield from _strip(
            title, count, played, _TOP + number * (_STRIP + _GAP), scale, own=number == len(played.counts) - 1
        )
    yield from _marks(played, scale, bottom)
    for second in range(0, int(played.seconds) + 1, 5):
        yield f'<text class="faint" x="{_LEFT + second * scale:.1f}" y="{bottom + 8}">{second}{"" if second else " s"}</text>'
    yield "</g>"


def _strip(title: str, count: Count, played: Played, y: int, scale: float, *, own: bool) -> Iterator[str]:
    name = title.partition(",")[0].partition(" ")[0].removeprefix("nacos-")
    weight = ' class="own"' if own else ""
    yield f'<text{weight} x="10" y="{y + _STRIP - 2}">{escape(name)}</text>'
    yield f'<rect class="strip" x="{_LEFT}" y="{y}" width="{played.seconds * scale:.1f}" height="{_STRIP}"/>'
    if bars := _bars(_errors(count, played), y + _STRIP, scale):
        yield f'<path class="error" d="{bars}"/>'
    yield f'<text class="end" x="{_WIDTH - 8}" y="{y + _STRIP - 2}">{len(count.failed)}</text>'


def _errors(count: Count, played: Played) -> list[float]:
    """Of each quarter of a second, the share of its calls that failed, by the moment at which they were due."""
    bins = [0] * math.ceil(played.seconds / _BIN)
    for call in count.failed:
        bins[min(len(bins) - 1, int((call.due - played.began) / _BIN))] += 1
    return [min(1.0, failed / (played.rate * _BIN)) for failed in bins]


def _bars(shares: Sequence[float], foot: int, scale: float) -> str:
    """One outline for each stretch of errors; few are still seen."""
    path, before = "", 0.0
    for number, share in enumerate([*shares, 0.0]):
        x = _LEFT + number * _BIN * scale
        if share and not before:
            path += f"M{x:.1f} {foot}"
        height = max(_FAINTEST, share * _STRIP) if share else 0.0
        if share or before:
            path += f"H{x:.1f}V{foot - height:.1f}"
        if before and not share:
            path += "z"
        before = share
    return path


def _marks(played: Played, scale: float, bottom: int) -> Iterator[str]:
    """A line each; of one that says what was said just before, or too near to it, the line alone."""
    said, free = "", 0.0
    for mark in sorted(played.marks, key=lambda mark: mark.at):
        x = _LEFT + (mark.at - played.began) * scale
        yield f'<path class="mark" d="M{x:.1f} {_TOP - 6}V{bottom}"/>'
        if mark.text != said and x >= free:
            yield f'<text class="faint" x="{x:.1f}" y="{_TOP - 10}">{escape(mark.text)}</text>'
            said, free = mark.text, x + _width(mark)


def _width(mark: Mark) -> float:
    """Of its text, roughly."""
    return 5.5 * len(mark.text) + 6
