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

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.events import Event, Ghost, Zombie


def news(endpoint: Endpoint, service: str, now: float) -> list[Event]:
    """What has to be told of an endpoint whose facts changed, or whose `due_at` has come."""
    verdict = endpoint.verdict(now)
    if verdict == endpoint.told:
        return []
    endpoint.told = verdict
    hold, quarantine = endpoint.hold, endpoint.quarantine
    if verdict == "ghost" and hold is not None and hold.proof is not None:
        proof, unlisted = hold.proof.value, now - hold.began
        return [Ghost(service=service, endpoint=endpoint.address, proof=proof, unlisted_s=unlisted)]
    if verdict == "zombie" and quarantine is not None:
        reason, refusing, dials = quarantine.reason, now - quarantine.since, quarantine.failures
        return [Zombie(service=service, endpoint=endpoint.address, reason=reason, refusing_s=refusing, dials=dials)]
    return []


def due_at(endpoint: Endpoint) -> float:
    """When time alone will make news of it."""
    return endpoint.zombie_at if endpoint.told is None else math.inf
