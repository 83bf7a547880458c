"""The status page: services and endpoints as a person wants to read them, made here as plain HTML. Pure.

Nothing is loaded from anywhere, the style and the few lines of script stand in the page, and its policy forbids all
but these two by their hashes. Without the script the page is complete; with it, it renews itself and can be searched.
All that comes from outside (names, addresses, reasons) is escaped where it is put in.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources

from sidecar.admin.health import Latch
from sidecar.admin.notes import note, span
from sidecar.admin.views import Moment
from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint, State

SHOWN = 200
"""Endpoints of one service on the page; a list of thousands is for /clusters."""

_STATIC = resources.files("sidecar.admin") / "static"
_STYLE = (_STATIC / "page.css").read_text(encoding="utf-8")
_SCRIPT = (_STATIC / "page.js").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

LOOKS: Mapping[State, str] = {
    State.AVAILABLE: "good",
    State.PROBATION: "warn",
    State.HELD: "warn",
    State.LEAVING: "warn",
    State.STALLED: "bad",
    State.EJECTED: "bad",
    State.QUARANTINED: "bad",
    State.UNHEALTHY: "off",
    State.DISABLED: "off",
    State.DRAINING: "off",
}
"""The colour of each state; its word stands beside it."""


def page(clusters: Sequence[Cluster], latches: Iterable[Latch], moment: Moment) -> Iterator[str]:
    """The whole document, a piece an endpoint."""
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>nacos-sidecar</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    )
    yield from _process(latches, moment)
    for cluster in clusters:
        yield from _service(cluster, moment)
    yield (
        '<footer><a href="/clusters?format=json">clusters</a> · <a href="/events">events</a> · '
        '<a href="/config_dump">configuration</a> · <a href="/metrics">metrics</a> · <a href="/help">help</a></footer>\n'
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _process(latches: Iterable[Latch], moment: Moment) -> Iterator[str]:
    info = moment.info
    looks = "good" if info.state == "LIVE" else "warn"
    facts = {
        "up for": span(info.uptime_s),
        "configuration": _configuration(moment),
        "registry": _registry(moment),
    }
    closed = [f"{latch.name}: {latch.why}" for latch in latches if not latch.open]
    if closed:
        facts["not ready"] = ", ".join(closed)
    yield f"<header><h1>nacos-sidecar <small>{escape(info.version)}</small></h1>{_badge(info.state, looks)}</header>\n<dl>"
    yield "".join([f"<dt>{name}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items()])
    yield (
        '</dl>\n<p class="controls" hidden><label><input type="checkbox" id="live"> renew every 5 s</label>'
        '<label>show <input type="search" id="find" placeholder="service, address, state"></label></p>\n'
    )


def _configuration(moment: Moment) -> str:
    source = moment.info.config
    refused = "" if source.last_reload_ok else "; the last reload was refused"
    return f"{source.path} ({source.sha256[:12]}), loaded {span(moment.wall - source.loaded_at)} ago{refused}"


def _registry(moment: Moment) -> str:
    registry = moment.info.registry
    if registry is None:
        return "none, every service is static"
    since = "" if registry.since is None else f" for {span(moment.wall - registry.since)}"
    if not registry.connected:
        return f"not connected{since}; the lists stand as they were"
    version = "" if registry.version is None else f" (Nacos {registry.version})"
    return f"connected to {registry.server}{version}{since}"


def _service(cluster: Cluster, moment: Moment) -> Iterator[str]:
    yield f'<section id="{escape(cluster.name)}">\n<div class="head"><h2>{escape(cluster.name)}</h2>{_badges(cluster)}</div>\n'
    yield f"<p>{escape(_where(cluster, moment))}</p>\n"
    yield "".join([f'<p class="alert">{escape(alert)}</p>\n' for alert in _alerts(cluster, moment)])
    endpoints = list(cluster.endpoints.values())
    if len(endpoints) > SHOWN:
        endpoints = sorted(endpoints, key=lambda e: e.state is State.AVAILABLE)[:SHOWN]
    if endpoints:
        yield _HEAD
        for endpoint in endpoints:
            yield _row(cluster, endpoint, moment.now)
        yield "</tbody></table>\n"
    yield "</section>\n"


def _badges(cluster: Cluster) -> str:
    states = cluster.states()
    badges = [_badge(f"{states[state]} {state.value}", LOOKS[state]) for state in reversed(State) if states[state]]
    if not cluster.has_list:
        badges.append(_badge("no list yet", "bad"))
    elif not states:
        badges.append(_badge("no instances", "bad"))
    if cluster.panic:
        badges.append(_badge("panic", "bad"))
    if cluster.waiting:
        badges.append(_badge(f"{cluster.waiting} waiting", "warn"))
    return "".join(badges)


def _where(cluster: Cluster, moment: Moment) -> str:
    """What the app calls, what Nacos calls it, how fresh the list is."""
    policy, discovery = cluster.policy, cluster.policy.discovery
    bound = {listener.name: listener.bound for listener in moment.info.listeners}
    ways = [bound.get(cluster.name, policy.listen)] if policy.listen else []
    ways += [f"Host {host}" for host in policy.hosts]
    source = "static" if discovery.static else f"{discovery.service or cluster.name} in {discovery.group}"
    if cluster.origin is None or discovery.static:
        return f"{', '.join(ways)} · {source}"
    age = "" if cluster.confirmed_at is None else f", confirmed {span(moment.now - cluster.confirmed_at)} ago"
    return f"{', '.join(ways)} · {source} · list from {cluster.origin.value}{age}"


def _alerts(cluster: Cluster, moment: Moment) -> Iterator[str]:
    guard, now = cluster.guard, moment.now
    if guard.held and guard.since is not None:
        ends = [guard.until(hold, now) for hold in guard.held.values()]
        last = max((end for end in ends if end is not None), default=None)
        rest = "no end while the registry is away" if last is None else f"{span(last - now)} at most to go"
        why = {"empty": "the list is empty", "shrink": "the list lost too many"}[guard.doubt.value]
        yield f"{len(guard.held)} held for {span(now - guard.since)}, because {why}; {rest}"
    if now < guard.ordered_until:
        yield f"by order of the operator nothing is removed for another {span(guard.ordered_until - now)}"
    if (hidden := len(cluster.endpoints) - SHOWN) > 0:
        yield f"{hidden} endpoints are not shown here, available ones first; see /clusters?service={cluster.name}"


_HEAD = (
    '<table><thead><tr><th>endpoint</th><th>state</th><th class="n">in flight</th><th class="n less">requests</th>'
    '<th class="n less">failures</th><th class="n less">weight</th><th>remarks</th></tr></thead><tbody>\n'
)


def _row(cluster: Cluster, endpoint: Endpoint, now: float) -> str:
    verdict = endpoint.verdict(now)
    flag = "" if verdict is None else f" {_badge(verdict, 'bad' if verdict == 'zombie' else 'warn')}"
    return (
        f"<tr><td>{escape(endpoint.address)}</td><td>{_badge(endpoint.state.value, LOOKS[endpoint.state])}{flag}</td>"
        f'<td class="n">{endpoint.in_flight}</td><td class="n less">{endpoint.requests}</td>'
        f'<td class="n less">{endpoint.failures}</td><td class="n less">{endpoint.instance.weight:g}</td>'
        f"<td>{escape(note(cluster, endpoint, now))}</td></tr>\n"
    )


def _badge(word: str, looks: str) -> str:
    return f'<b class="{looks}">{escape(word)}</b>'
