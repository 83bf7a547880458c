"""What there is to say of an endpoint's state, in a few words: why it is in it, and what will end it. Pure."""

from collections.abc import Callable, Mapping

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.endpoint import Endpoint, State
from sidecar.cluster.stall import owed


def note(cluster: Cluster, endpoint: Endpoint, now: float) -> str:
    """Why it is in its state and until when; of an available one its last failure, if it had any."""
    return NOTES[endpoint.state](cluster, endpoint, now)


def span(seconds: float) -> str:
    """So many seconds in the two units that matter: `0.4s`, `12s`, `5m3s`, `2h5m`, `3d4h`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    for unit, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length}{unit}" + (f"{rest}{smaller}" if rest else "")
    return f"{whole}s"


def _last_failure(_: Cluster, endpoint: Endpoint, now: float) -> str:
    failure = endpoint.last_failure
    return "" if failure is None else f"last failure: {failure.reason}, {span(now - failure.at)} ago"


def _quarantined(_: Cluster, endpoint: Endpoint, now: float) -> str:
    quarantine = endpoint.quarantine
    if quarantine is None or not endpoint.refusing:
        return "not dialled yet"
    next_try = "being dialled" if endpoint.probing else f"next dial in {span(quarantine.next_try - now)}"
    why = f": {quarantine.cause}" if quarantine.cause else ""
    return f"{quarantine.reason} for {span(now - quarantine.since)}, {next_try}{why}"


def _ejected(_: Cluster, endpoint: Endpoint, now: float) -> str:
    ejection = endpoint.ejection
    return "" if ejection is None else f"bad answers, {span(ejection.until - now)} to go"


def _held(cluster: Cluster, endpoint: Endpoint, now: float) -> str:
    if endpoint.hold is None:
        return ""
    doubted = "called unhealthy" if endpoint.listed else "not listed"
    proof = "answers" if endpoint.hold.alive else "not seen alive since"
    until = cluster.guard.until(endpoint.hold, now)
    return f"{doubted}, {proof}" + ("" if until is None else f", {span(until - now)} at most to go")


def _disabled(_: Cluster, endpoint: Endpoint, now: float) -> str:
    reasons = {
        "our own address": endpoint.is_self,
        "disabled in the registry": not endpoint.instance.enabled,
        "weight 0": endpoint.instance.weight <= 0,
        f"by the operator, {span(endpoint.shut_until - now)} to go": endpoint.shut,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


NOTES: Mapping[State, Callable[[Cluster, Endpoint, float], str]] = {
    State.DRAINING: lambda *_: "left the list, requests in flight finish",
    State.DISABLED: _disabled,
    State.UNHEALTHY: lambda *_: "the registry calls it unhealthy",
    State.QUARANTINED: _quarantined,
    State.EJECTED: _ejected,
    State.PROBATION: lambda *_: "ejection served, one request at a time",
    State.HELD: _held,
    State.LEAVING: lambda _, endpoint, now: f"announced its end, {span(endpoint.leaving_until - now)} to go",
    State.STALLED: lambda _, endpoint, now: (
        f"owes {owed(endpoint)} answers, silent for {span(now - endpoint.heard_at)}"
    ),
    State.AVAILABLE: _last_failure,
}
