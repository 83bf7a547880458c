"""One service's part of a timeline: the facts to be replayed, and the decisions that were recorded upon them."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sidecar.cluster.instance import Instance, Origin
from sidecar.errors import FAILURES
from sidecar.replay import beginning
from sidecar.replay.decision import COMPARED, Decision, decision, without_echoes
from sidecar.replay.dials import Dialled
from sidecar.replay.fact import Connected, Disconnected, Fact, Listed, fact, instances, push
from sidecar.replay.saved import Entry, Timeline
from sidecar.telemetry.worth import IN_A_WINDOW, WINDOW, window_of


@dataclass(frozen=True, slots=True)
class Story:
    """What is to be replayed of one service.

    Before `begins` nobody knows what was in force: the timeline has lost it, and the list of that moment is the base.
    """

    service: str
    facts: tuple[Fact, ...]
    decisions: tuple[Decision, ...]
    begins: float
    ends: float
    cut_short: bool
    """Lists before `begins` were let go of; else the beginning, if it is missing, has left the ring."""
    carried: frozenset[str] = frozenset()
    """Addresses that refused already when the story begins."""
    crowded: frozenset[tuple[int, str]] = frozenset()
    """Minutes in which the timeline had no room for all events of a kind about endpoints."""


def services(timeline: Timeline) -> list[str]:
    """Of which there are lists, in order of appearance."""
    return list(dict.fromkeys(entry.service for entry in timeline.entries if entry.kind == "push" and entry.service))


def story(timeline: Timeline, service: str) -> Story | None:
    """None where no list of it can be replayed. Raises `NotATimelineError`."""
    own = [entry for entry in timeline.entries if entry.service == service]
    pushes = [entry for entry in own if entry.kind == "push"]
    cut = any(entry.detail.get("cut") for entry in pushes)
    base = None if timeline.whole and not cut else beginning.base(own)
    if base is None and (cut or not timeline.whole):
        return None
    concerned = [entry for entry in timeline.entries if entry.service == service or _is_registry(entry)]
    static = all(entry.detail.get("origin") == Origin.STATIC.value for entry in pushes)
    found = list(_facts(concerned, first=base.seq if base else 1, static=static))
    carried = frozenset[str]()
    if base is not None:
        carried = beginning.refusing(own, base)
        place = next(n for n, one in enumerate(found) if isinstance(one, Listed)) + 1
        found[place:place] = [
            Dialled(base.mono, address, FAILURES["refused"], probe=False) for address in sorted(carried)
        ]
    return Story(
        service,
        tuple(found),
        tuple(without_echoes(_decisions(own))),
        begins=-math.inf if base is None else base.mono,
        ends=timeline.entries[-1].mono,
        cut_short=cut,
        carried=carried,
        crowded=_crowded(own, base.mono if base else -math.inf),
    )


def _crowded(entries: Iterable[Entry], begins: float) -> frozenset[tuple[int, str]]:
    """Minutes that had no room for all events of a kind, as far as they reach beyond the beginning."""
    count = Counter((window_of(entry.mono), entry.kind) for entry in entries if entry.endpoint is not None)
    return frozenset(
        (minute, kind)
        for (minute, kind), number in count.items()
        if number >= IN_A_WINDOW and (minute + 1) * WINDOW > begins
    )


def _is_registry(entry: Entry) -> bool:
    return entry.service is None and entry.kind in {"registry_connected", "registry_disconnected"}


def _facts(entries: Sequence[Entry], *, first: int, static: bool) -> Iterator[Fact]:
    """`first`: the number of the entry before which no list counts."""
    probed = {(entry.mono, entry.endpoint) for entry in entries if entry.kind == "probe"}
    told: tuple[Instance, ...] = ()
    session: int | None = None
    for entry in entries:
        if entry.kind == "push" and entry.seq >= first:
            if entry.detail.get("result") != "stale":
                told = instances(entry) if beginning.has_list(entry) else told
                yield Listed(entry.mono, push(entry, told))
        elif entry.kind == "registry_connected" and not static:
            session = entry.fact("epoch", int)
            yield Connected(entry.mono, bool(entry.detail.get("second_node")))
        elif entry.kind == "registry_disconnected" and entry.fact("epoch", int) == session:
            yield Disconnected(entry.mono)
        else:
            found = fact(entry)
            is_echo = isinstance(found, Dialled) and not found.probe and (entry.mono, entry.endpoint) in probed
            if found is not None and not is_echo:
                yield found


def _decisions(entries: Sequence[Entry]) -> list[Decision]:
    """Those that were recorded. That an endpoint is no longer stalled is not one of them, though it has the same kind."""
    found: list[Decision] = []
    stalled: set[str | None] = set()
    for entry in entries:
        if entry.kind == "endpoint_stalled":
            stalled.add(entry.endpoint)
        elif entry.kind == "endpoint_recovered" and entry.endpoint in stalled:
            stalled.discard(entry.endpoint)
            continue
        elif entry.kind == "endpoint_quarantined":
            stalled.discard(entry.endpoint)
        for name in COMPARED.get(entry.kind, ()):
            entry.fact(name, str, int, float, type(None))
        one = decision(entry.mono, entry.kind, entry.endpoint, entry.detail)
        if one is not None:
            found.append(one)
    return found
