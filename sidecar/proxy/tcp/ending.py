"""The end of a relay, told once: the report to the cluster, counters, the rescue, the line of the access log."""

from typing import TYPE_CHECKING

from sidecar.cluster.endpoint import State
from sidecar.cluster.events import Rescue
from sidecar.cluster.stats import CLEAN
from sidecar.errors import FAILURES, Blame, Failure
from sidecar.record import AttemptRecord, Record

if TYPE_CHECKING:
    from sidecar.proxy.tcp.relay import Relay

_APP_LEFT = FAILURES["app_left"]
_WELL = 200
"""As what a connection counts that served its app: there is no status to tell."""


def end(relay: "Relay", failure: Failure | None, now: float) -> None:
    """To be called once a relay; `failure` None: both sides said that it was all."""
    upstream, instance = relay.upstream, relay.instance
    stats, runtime = upstream.stats, upstream.runtime
    rescued = _rescued_by(relay) if failure is None or failure.blame is not Blame.INSTANCE else None
    if instance is not None:
        if failure is None:
            stats.answered += 1
        else:
            stats.failed[failure.reason] += 1
        _report(relay, failure, now)
    flags = CLEAN if failure is None else failure.flag
    stats.requests_in_flight -= 1
    stats.tcp_connections[flags] += 1
    stats.bytes_to_instance += relay.app.received if instance is not None else 0
    stats.bytes_to_app += instance.received if instance is not None else 0
    if rescued is not None:
        stats.rescued[rescued] += 1
        runtime.emit((_rescue(relay, rescued),))
    if runtime.wants_record(notable=flags != CLEAN or rescued is not None):
        runtime.log(_record(relay, flags, failure, rescued, now))
    if stats.waiting:
        upstream.wake_soon()


def _report(relay: "Relay", failure: Failure | None, now: float) -> None:
    """What the end says of the endpoint: bad is one that resets before it has said anything.

    Silence and an app that leaves say nothing; a connection that carried bytes both ways has served.
    """
    upstream, instance = relay.upstream, relay.instance
    if instance is None:
        return
    endpoint, cluster = instance.endpoint, upstream.cluster
    if failure is None or (failure.reason == "reset" and instance.received):
        upstream.tell(cluster.report_answer(endpoint, _WELL, now))
    elif failure.reason == "reset":
        upstream.tell(cluster.report_failure(endpoint, failure, now))
    else:
        upstream.tell(cluster.report_failure(endpoint, _APP_LEFT, now))


def _rescued_by(relay: "Relay") -> str | None:
    """The first that applies; None: a direct connection would have gone as well."""
    if relay.instance is None:
        return None
    if relay.journey.tries:
        return "retry"
    if relay.journey.waited:
        return "wait"
    if relay.instance.endpoint.state is State.HELD:
        return "guard"
    return "address" if relay.dialled not in {None, relay.instance.endpoint.address} else None


def _rescue(relay: "Relay", by: str) -> Rescue:
    endpoint = relay.journey.endpoint
    return Rescue(
        service=relay.upstream.cluster.name,
        endpoint=endpoint.address if endpoint is not None else None,
        by=by,
        attempts=len(relay.journey.tries) + 1,
        dialled=relay.dialled,
    )


def _record(relay: "Relay", flags: str, failure: Failure | None, rescued: str | None, now: float) -> Record:
    """A line without method, path and status: there are none."""
    journey, instance = relay.journey, relay.instance
    tries = tuple(journey.tries)
    if instance is not None:
        outcome = "ok" if failure is None else failure.reason
        tries = (*tries, AttemptRecord(instance.endpoint.address, outcome, int((now - journey.tried_at) * 1000)))
    duration = now - relay.started
    return Record(
        started=relay.runtime.wall() - duration,
        service=relay.upstream.cluster.name,
        code=0,
        flags=flags,
        details="via_upstream" if failure is None else failure.reason,
        bytes_received=relay.app.received,
        bytes_sent=instance.received if instance is not None else 0,
        duration=int(duration * 1000),
        endpoint=journey.endpoint.address if journey.endpoint is not None else None,
        attempts=len(tries),
        tries=tries if len(tries) > 1 else (),
        rescued_by=rescued,
    )
