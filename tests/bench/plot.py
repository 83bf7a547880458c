"""Pictures of a run: plain SVG by hand, readable on a light and on a dark page."""

from collections.abc import Iterator
from xml.sax.saxutils import escape

from tests.bench.results import OURS, Results

COLOURS = {"nginx": "#8a9a5b", "haproxy": "#4c78a8", "envoy": "#b07aa1", "sidecar": "#e4572e"}
_WIDTH, _LEFT, _RIGHT = 860, 330, 60
_BAR, _GAP = 9, 12
_TOP = 52


def costs(results: Results) -> str:
    """CPU a request of each proxy as a share of Envoy's, a group of bars for each row."""
    names, works = [name for name in results.names() if name != "envoy"], results.works()
    most = max(
        results.median(name, work, "cost") / results.median("envoy", work, "cost") for name in names for work in works
    )
    scale = (_WIDTH - _LEFT - _RIGHT) / max(1.0, most)
    group = len(names) * _BAR + _GAP
    height = _TOP + len(works) * group + 30
    parts = [*_head(height, "CPU a request, as a share of Envoy's (less is better)", names, results)]
    for tick in _ticks(most):
        x = _LEFT + tick * scale
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{height - 26}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 10}" class="tick" text-anchor="middle">{tick:g}</text>')
    x = _LEFT + scale
    parts.append(f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{height - 26}" class="mark"/>')
    for row, work in enumerate(works):
        y = _TOP + row * group
        middle = y + len(names) * _BAR / 2 + 4
        parts.append(f'<text x="{_LEFT - 10}" y="{middle:.1f}" text-anchor="end">{escape(work.title)}</text>')
        for place, name in enumerate(names):
            share = results.median(name, work, "cost") / results.median("envoy", work, "cost")
            top = y + place * _BAR
            parts.append(
                f'<rect x="{_LEFT}" y="{top}" width="{share * scale:.1f}" height="{_BAR - 1}" fill="{COLOURS[name]}"/>'
            )
            if name == OURS:
                parts.append(
                    f'<text x="{_LEFT + share * scale + 5:.1f}" y="{top + 8}" class="value">{share:.2f}</text>'
                )
    return "\n".join([*parts, "</svg>", ""])


def latency(results: Results) -> str:
    """Milliseconds added at a fixed rate, a group of bars for each percentile."""
    names = results.names()
    added = {name: results.added(name) for name in names}
    most = max(max(each) for each in added.values()) * 1e3
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    group = len(names) * _BAR + _GAP
    height = _TOP + 3 * group + 30
    parts = [*_head(height, "Milliseconds added to a call, at 2 000 calls/s (less is better)", names, results)]
    for tick in _ticks(most):
        x = _LEFT + tick * scale
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{height - 26}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 10}" class="tick" text-anchor="middle">{tick:g}</text>')
    for row, title in enumerate(("p50", "p99", "p99.9")):
        y = _TOP + row * group
        parts.append(f'<text x="{_LEFT - 10}" y="{y + len(names) * _BAR / 2 + 4:.1f}" text-anchor="end">{title}</text>')
        for place, name in enumerate(names):
            value = max(0.0, added[name][row] * 1e3)
            top = y + place * _BAR
            parts.append(
                f'<rect x="{_LEFT}" y="{top}" width="{value * scale:.1f}" height="{_BAR - 1}" fill="{COLOURS[name]}"/>'
            )
            parts.append(f'<text x="{_LEFT + value * scale + 5:.1f}" y="{top + 8}" class="value">{value:.2f}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _head(height: int, title: str, names: list[str], results: Results) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    yield (
        "<style>text{font:12px sans-serif;fill:#222}.tick,.value{font-size:10px;fill:#555}.title{font-weight:bold}"
        ".grid{stroke:#ddd}.mark{stroke:#777;stroke-dasharray:3 3}</style>"
    )
    yield f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
    yield f'<text x="10" y="18" class="title">{escape(title)}</text>'
    for place, name in enumerate(names):
        x = 10 + place * 150
        yield f'<rect x="{x}" y="28" width="10" height="10" fill="{COLOURS[name]}"/>'
        yield f'<text x="{x + 15}" y="37">{escape(results.titles[name])}</text>'


def _ticks(most: float) -> list[float]:
    """Up to eight round numbers from zero on."""
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 500, 1000) if most / s <= 8)
    return [round(number * step, 2) for number in range(int(most / step) + 1)]
