"""The tables of a run, as Markdown."""

import statistics
from collections.abc import Iterable, Iterator, Sequence

from tests.bench.compare import DIRECT
from tests.bench.growth import LARGEST, Size
from tests.bench.results import OURS, Results, bars
from tests.bench.ways import ratio

_MIB, _KIB = 1 << 20, 1 << 10


def report(results: Results) -> str:
    """Every part that this run has, with a heading each."""
    parts: list[tuple[str, Iterable[str]]] = []
    if results.rounds:
        parts.append(("CPU a request", _costs(results)))
        parts.append(("What callers see", _seen(results)))
    if results.fixed:
        parts.append(("At a fixed rate of 2 000 calls/s", _fixed(results)))
    if results.during:
        parts.append(("During a push, a scrape, a reload", _during(results)))
    if OURS in results.sizes:
        parts.append(("Growth", _growth(results)))
    if results.ways:
        parts.append(("By address", _ways(results)))
    if results.fresh or results.starts:
        parts.append(("At idle", _idle(results)))
    if judged := bars(results):
        rows = [[one.claim, f"{one.seen:.2f}", f"≤ {one.limit:g}", "yes" if one.met else "**no**"] for one in judged]
        parts.append(("What must be true", _table(["", "seen", "bar", "met"], rows)))
    return "\n".join("\n".join([f"### {heading}", "", *lines, ""]) for heading, lines in parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _costs(results: Results) -> Iterator[str]:
    """Microseconds, medians with the least and the most."""
    names = results.names()
    peers = [name for name in names if name != OURS]
    yield "Microseconds, median of the rounds (least-most)."
    yield ""
    head = [
        "",
        *(results.titles[name] for name in names),
        *(f"sidecar / {results.titles[peer].split()[0]}" for peer in peers),
    ]
    rows = []
    for work in results.works():
        cells = []
        for name in names:
            costs = [one.cost for one in results.rounds[name][work.key]]
            cells.append(f"{_number(statistics.median(costs))} ({_number(min(costs))}-{_number(max(costs))})")
        rows.append([work.title, *cells, *(f"{results.ratio(work, peer):.2f}" for peer in peers)])
    yield from _table(head, rows)


def _seen(results: Results) -> Iterator[str]:
    yield "Closed loop by wrk: requests a second, p50 and p99 in ms, and the share of its core that the proxy used. Where that"
    yield "is below 90 % the load's core was the limit, and the rate says nothing of the proxy."
    yield ""
    names = results.names()
    rows = []
    for work in results.works():
        cells = []
        for name in names:
            rate, p50, p99, busy = (results.median(name, work, what) for what in ("rate", "p50", "p99", "busy"))
            cells.append(f"{_thousands(rate)}/s · {p50 * 1e3:.2f} · {p99 * 1e3:.2f} · {busy:.0%}")
        rows.append([work.title, *cells])
    yield from _table(["", *(results.titles[name] for name in names)], rows)


def _fixed(results: Results) -> Iterator[str]:
    direct = [statistics.median(column) for column in zip(*results.fixed[DIRECT], strict=True)]
    yield f"Milliseconds added to calls without a proxy ({' · '.join(f'{each * 1e3:.2f}' for each in direct)}), open loop, medians of {len(results.fixed[DIRECT])} rounds."
    yield ""
    rows = [[results.titles[name], *(f"{each * 1e3:.2f}" for each in results.added(name))] for name in results.names()]
    yield from _table(["", "p50", "p99", "p99.9"], rows)


def _during(results: Results) -> Iterator[str]:
    yield "Milliseconds, open loop: the p99 of the quiet seconds before, and what the event added to the p99 of its second (median, and its quartiles)."
    yield ""
    rows = []
    for name, events in results.during.items():
        for kind, one in events.items():
            low, middle, high = (each * 1e3 for each in statistics.quantiles(one.added, n=4))
            rows.append(
                [results.title(name), kind, f"{one.quiet * 1e3:.2f}", f"{middle:+.2f} ({low:+.2f} to {high:+.2f})"]
            )
    yield from _table(["", "event", "p99 before", "added"], rows)


def _growth(results: Results) -> Iterator[str]:
    yield "Microseconds of CPU a request, services by name in turns, as many of them as are called; ratios are medians of"
    yield "pairs of rounds of one second. MiB resident before the first request."
    yield ""
    rows = []
    for name, sizes in results.sizes.items():
        least = sizes[0]
        for size in sizes:
            cells = [""] * 4
            if size.rounds:
                own, cost = size.cost - size.kernel, f"{size.cost:.1f} ({_span(size)})"
                cells = [cost, f"{own:.1f}", f"{size.kernel:.1f}", f"{size.to(least):.2f}"]
            numbers = map(str, (size.services, size.called, size.instances))
            rows.append([results.title(name), *numbers, *cells, f"{size.resident / _MIB:.1f}"])
    head = ["", "services", "called", "instances of each", "µs", "own code", "kernel", "to the first", "MiB"]
    yield from _table(head, rows)
    yield ""
    by_size = {(size.services, size.instances): size.resident for size in results.sizes[OURS]}
    instance = (by_size[1, LARGEST] - by_size[1, 1]) / (LARGEST - 1)
    service = (by_size[200, 1] - by_size[1, 1]) / 199
    yield f"An instance more takes {instance / _KIB:.1f} KiB, a service more {service / _KIB:.0f} KiB."


def _span(size: Size) -> str:
    costs = [one.cost for one in size.rounds]
    return f"{min(costs):.1f}-{max(costs):.1f}"


def _ways(results: Results) -> Iterator[str]:
    yield "The shared listener of a sidecar: calls that name the service, and calls to an instance as to the target of a proxy."
    yield ""
    rows = [
        [way, f"{statistics.median(costs):.1f} ({min(costs):.1f}-{max(costs):.1f})"]
        for way, costs in results.ways.items()
    ]
    yield from _table(["", "µs CPU a request"], rows)
    yield ""
    yield f"By address costs {ratio(results.ways):.2f} times as much (median of pairs of rounds of one second)."


def _idle(results: Results) -> Iterator[str]:
    rows = []
    for name in results.names():
        started = next((seconds for key, seconds in results.starts.items() if key.lower() == name), None)
        rows.append(
            [
                results.titles[name],
                f"{results.fresh[name] / _MIB:.1f}" if name in results.fresh else "",
                *_with_connections(results, name),
                f"{statistics.median(started):.2f}" if started else "",
            ]
        )
    yield from _table(
        ["", "MiB resident, no request yet", "with 2 000 idle connections", "s from start to ready"], rows
    )
    if bare := results.starts.get("python"):
        yield ""
        yield f"Of that the bare interpreter takes {statistics.median(bare):.2f} s. All on the one core."


def _with_connections(results: Results, name: str) -> list[str]:
    found = [f"{results.median(name, work, 'resident') / _MIB:.1f}" for work in results.works() if work.idle]
    return found or [""]


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 100 else _thousands(value)


def _thousands(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")
