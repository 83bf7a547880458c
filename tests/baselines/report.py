"""The page with the table, in Markdown."""

import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from sidecar import __version__
from tests.baselines.app import Outcome
from tests.baselines.rows import Row
from tests.peers import envoy, haproxy, nginx

LUCK = 1.0
"""Percent of calls that may fail more than with the best of the others: some calls of some hundreds, which are few.

So many are also the five answers 500 until an ejection, where another proxy repeats what an instance has answered.
"""

OURS = "sidecar"
_NAMES = {
    "nginx": f"nginx {nginx.version()}",
    "haproxy": f"HAProxy {haproxy.version()}",
    "envoy": f"Envoy {envoy.VERSION}",
    OURS: f"nacos-sidecar {__version__}",
}

Played = Mapping[str, Outcome]
"""What became of the calls, by proxy."""

_HEAD = """\
# Beside other proxies: what misbehaving instances cost

An app calls one service of three instances (of one, where idle connections close) through each proxy, and one of them
misbehaves. The share of calls that were not answered 200 within 3 s, and in brackets how many were carried out twice.
Every proxy is set up as a competent operator would for instances that come and go (`tests/peers`): least connections,
kept connections, retries elsewhere of what was not sent and of idempotent requests, and out of rotation for what fails.
"""

_NOTES = """
- *The list is empty*: the sidecar has its list from a registry, Envoy from a file that a control plane writes, HAProxy
  over its admin socket. nginx takes no empty list; whoever writes its file keeps the one before.
- *Idle connections close just now*: the instance closes a connection after 0.7 s without a request, the next call comes
  within a few milliseconds of that, and the FIN takes 4 ms to arrive. That is forced: take it to compare proxies,
  not as a rate of failures in the field. Every proxy keeps idle connections for up to 15 s, for who knows the time-out
  of a server that others run? The sidecar finds out, and takes young connections for what it must not repeat.
- *Frozen*: stopped by a signal, while its kernel goes on accepting. Half of the calls are POSTs.
"""


def page(played: Sequence[tuple[Row, Played]], *, date: str, took: float) -> str:
    """All of it; `took` in seconds."""
    lines = [
        _HEAD,
        f"`make baselines`, {date}: {', '.join(_NAMES.values())}; {_machine()}; {took / 60:.1f} minutes.",
        "",
        "| situation | calls | " + " | ".join(_NAMES.values()) + " |",
        "|---|---|" + "---|" * len(_NAMES),
        *(_line(row, outcomes) for row, outcomes in played),
        _NOTES,
    ]
    return "\n".join(lines)


def objections(played: Sequence[tuple[Row, Played]]) -> Iterator[str]:
    """Where the sidecar is not what is promised of it."""
    for row, outcomes in played:
        ours = outcomes[OURS]
        best = min(outcome.share for name, outcome in outcomes.items() if name != OURS)
        ends = dict(Counter(ours.answers))
        if ours.share > row.bound:
            yield f"{row.name}: {ours.share:.1f} % failed, {row.bound} % at most were promised: {ends}"
        if ours.share > best + LUCK:
            yield f"{row.name}: {ours.share:.1f} % failed, {best:.1f} % with the best of the others: {ends}"
        if ours.duplicated:
            yield f"{row.name}: {ours.duplicated} calls were carried out twice"


def _line(row: Row, outcomes: Played) -> str:
    calls = max(outcome.calls for outcome in outcomes.values())
    cells = " | ".join(f"{outcomes[name].share:.1f} % ({outcomes[name].duplicated})" for name in _NAMES)
    return f"| {row.name} | {calls} | {cells} |"


def _machine() -> str:
    return f"Python {platform.python_version()}, {os.cpu_count()} cores"
