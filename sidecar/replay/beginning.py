"""Where a story can begin whose beginning is lost, and what is known of the time before.

A ring of events forgets its oldest. The first list that is there and was believed becomes the base, if possible one at
which nothing was held: then what was in use is known. Whom a dial had failed before shows later: by recovering, or by
a probe that fails without any word of a new quarantine.
"""

from collections.abc import Collection, Iterable, Sequence

from sidecar.replay.saved import Entry

_TELLING = frozenset(
    {
        "probe",
        "endpoint_added",
        "endpoint_removed",
        "endpoint_quarantined",
        "endpoint_recovered",
        "hold_ended",
        "zombie",
    }
)
"""Kinds that say whether an endpoint can be connected, or that it is another one from then on."""


def base(entries: Iterable[Entry]) -> Entry | None:
    """The list to start from, of all events of a service; None where there is none."""
    first: Entry | None = None
    latest: Entry | None = None
    for entry in entries:
        if entry.kind == "push":
            latest = entry if entry.detail.get("result") == "applied" and has_list(entry) else None
            first = first or latest
        elif latest is not None and _is_all_in_force(latest, entry):
            return latest
    return first


def _is_all_in_force(push: Entry, applied: Entry) -> bool:
    """Whether nobody was in force but those on the list when it was applied."""
    return applied.kind == "snapshot_applied" and applied.detail.get("instances") == push.detail.get("offered")


def has_list(push: Entry) -> bool:
    """Whether its list is there: neither unchanged nor cut."""
    return push.detail.get("instances") is not None


def refusing(entries: Sequence[Entry], base: Entry) -> frozenset[str]:
    """Addresses that were quarantined when the base came."""
    told = {(one.mono, one.endpoint) for one in entries if one.kind in {"endpoint_quarantined", "hold_ended"}}
    before: dict[str, bool] = {}
    after: dict[str, bool] = {}
    for entry in entries:
        if entry.endpoint is None or entry.kind not in _TELLING:
            continue
        if entry.seq < base.seq:
            before[entry.endpoint] = _refuses(entry)
        else:
            after.setdefault(entry.endpoint, _was_refusing(entry, told))
    return frozenset(address for address, refuses in (after | before).items() if refuses)


def _refuses(entry: Entry) -> bool:
    """Whether it is quarantined from now on."""
    if entry.kind == "probe":
        return entry.detail.get("result") != "ok"
    return entry.kind in {"endpoint_quarantined", "zombie"}


def _was_refusing(entry: Entry, told: Collection[tuple[float, str | None]]) -> bool:
    """Whether it was quarantined until now, or is on."""
    if entry.kind == "probe":
        return entry.detail.get("result") != "ok" and (entry.mono, entry.endpoint) not in told
    return entry.kind in {"endpoint_recovered", "zombie"}
