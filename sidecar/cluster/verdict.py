"""Verdicts: where the registry and reality disagree about an endpoint, told once when it begins.

Why: a zombie is a provider that died without a farewell and that Nacos still praises; a ghost is one that serves while
Nacos does not know it. Both are somebody's mistake or the registry's trouble, and an operator should hear of it with
the evidence, not of every dial.

Trip conditions: listed as healthy and refusing for ten seconds (`endpoint.ZOMBIE_AFTER`) · not listed, held, and a
probe, a connect or an answer has shown that it is there.

Recovery: it can be reached, or is no longer listed · it is listed, or gone. Nothing is told of that here: the events of
quarantine and of holds do.
"""

import math
from dataclasses import dataclass

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.events import Event, Ghost, Zombie


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict rests on."""

    since: float
    """Loop time from which the registry and we disagree: the first refusal, or the list that missed it first."""
    shown_by: str
    """Why the last dial failed, or what showed that it is there: a reason of `errors.py`, or a word of `Proof`."""
    dials: int = 0
    """Planned dials that failed in a row; 0 for a ghost."""


def evidence(endpoint: Endpoint, verdict: str | None) -> Evidence | None:
    """Why `verdict`, which is the endpoint's own; None where there is none."""
    hold, quarantine = endpoint.hold, endpoint.quarantine
    if verdict == "ghost" and hold is not None and hold.proof is not None:
        return Evidence(hold.began, hold.proof.value)
    if verdict == "zombie" and quarantine is not None:
        return Evidence(quarantine.since, quarantine.reason, quarantine.failures)
    return None


def news(endpoint: Endpoint, service: str, now: float) -> list[Event]:
    """What has to be told of an endpoint whose facts changed, or whose `due_at` has come."""
    verdict = endpoint.verdict(now)
    if verdict == endpoint.told:
        return []
    endpoint.told = verdict
    found = evidence(endpoint, verdict)
    if found is None:
        return []
    who, lasted = endpoint.address, now - found.since
    if verdict == "ghost":
        return [Ghost(service=service, endpoint=who, proof=found.shown_by, unlisted_s=lasted)]
    return [Zombie(service=service, endpoint=who, reason=found.shown_by, refusing_s=lasted, dials=found.dials)]


def due_at(endpoint: Endpoint) -> float:
    """When time alone will make news of it."""
    return endpoint.zombie_at if endpoint.told is None else math.inf
