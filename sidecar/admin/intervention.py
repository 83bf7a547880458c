"""How an operator intervenes: drop now, hold now, eject, restore.

Each does one thing to one service of this one sidecar, ends by itself, and shows in /clusters and /events.
"""

from collections.abc import Callable

from sidecar.admin import views
from sidecar.admin.handling import Answer, Asked, Backend, Handler, document, text
from sidecar.clock import monotonic, wall
from sidecar.cluster.cluster import Cluster
from sidecar.durations import duration

HOLD_TTL, EJECT_TTL = "10m", "5m"

LONGEST = 24 * 3600.0
"""Seconds; what is to last for longer belongs into the configuration or the registry."""


def _at_service(act: Callable[[Backend, Asked, Cluster], Answer]) -> Handler:
    """A handler for one known service; `ValueError` of `act` is a bad query."""

    async def handle(backend: Backend, asked: Asked) -> Answer:
        name = asked.parts["service"]
        cluster = next((one for one in backend.clusters() if one.name == name), None)
        if cluster is None:
            return text(f"no service {name!r}", 404)
        try:
            return act(backend, asked, cluster)
        except ValueError as error:
            return text(str(error), 400)

    return handle


@_at_service
def obey(backend: Backend, _: Asked, cluster: Cluster) -> Answer:
    """Believes the list that is doubted and ends an order to hold; 409 where there is neither."""
    if not cluster.guard.held and monotonic() >= cluster.guard.ordered_until:
        return text(f"{cluster.name}: nothing is held", 409)
    return document(views.dropped_json(backend.intervene(cluster, Cluster.obey)))


@_at_service
def hold(backend: Backend, asked: Asked, cluster: Cluster) -> Answer:
    """Refuses all removals for a while."""
    ttl = _ttl(asked, HOLD_TTL)
    backend.intervene(cluster, lambda it, now: it.hold(ttl, now))
    return document(views.protection_json(cluster, _moment(backend)))


@_at_service
def eject(backend: Backend, asked: Asked, cluster: Cluster) -> Answer:
    """Takes an endpoint out for a while."""
    ttl, address = _ttl(asked, EJECT_TTL), asked.parts["endpoint"]
    if address not in cluster.endpoints:
        return _unknown(cluster, address)
    backend.intervene(cluster, lambda it, now: it.eject(address, ttl, now))
    return document(views.endpoint_json(cluster, address, _moment(backend)))


@_at_service
def restore(backend: Backend, asked: Asked, cluster: Cluster) -> Answer:
    """Lifts what keeps an endpoint out, also of one that is not listed at present."""
    address = asked.parts["endpoint"]
    if address not in cluster.endpoints and address not in cluster.shut:
        return _unknown(cluster, address)
    backend.intervene(cluster, lambda it, now: it.restore(address, now))
    return document(views.endpoint_json(cluster, address, _moment(backend)))


def _ttl(asked: Asked, default: str) -> float:
    told = asked.query.get("ttl", default)
    try:
        seconds = duration(told)
    except ValueError as error:
        raise ValueError(f"ttl: expected {error}, got {told!r}") from None
    if seconds > LONGEST:
        raise ValueError(f"ttl: expected a duration of at most 24h, got {told!r}")
    return seconds


def _unknown(cluster: Cluster, address: str) -> Answer:
    return text(f"{cluster.name} has no endpoint {address!r}", 404)


def _moment(backend: Backend) -> views.Moment:
    return views.Moment(monotonic(), wall(), backend.server_info())
