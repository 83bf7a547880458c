"""From an app's connection to an instance's: choose, dial, and where nobody is usable, wait.

The rules are those of a request (`cluster.retry`): nothing has been sent, so every failed dial may be followed by
another one; everybody usable is tried before anybody twice; all of it ends with `wait_for_instance.timeout`.
"""

import asyncio
from typing import TYPE_CHECKING

from sidecar.cluster.endpoint import Endpoint
from sidecar.cluster.retry import Action, Attempt, decide
from sidecar.errors import FAILURES, Blame, Failure
from sidecar.proxy.connect import DialError
from sidecar.proxy.tcp.ends import InstanceEnd
from sidecar.proxy.waiting import AGAIN_FIRST, AGAIN_MOST, why_nobody
from sidecar.record import AttemptRecord

if TYPE_CHECKING:
    from sidecar.proxy.tcp.relay import Relay
    from sidecar.proxy.upstream import Upstream

_APP_LEFT = FAILURES["app_left"]


class Journey:
    """What is remembered on the way to an instance."""

    __slots__ = ("delay", "endpoint", "excluded", "last", "task", "tried_at", "tries", "wait", "waited", "why_again")

    def __init__(self, wait: float) -> None:
        self.wait = wait
        """Seconds of waiting that are left."""
        self.waited = False
        self.tries: list[AttemptRecord] = []
        """The dials that failed."""
        self.last: Failure | None = None
        self.excluded: set[Endpoint] = set()
        self.endpoint: Endpoint | None = None
        """The one dialled last."""
        self.tried_at = 0.0
        self.delay = AGAIN_FIRST
        self.why_again: str | None = None
        self.task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Journey {len(self.tries)} failed, {self.wait:.1f} s of waiting left>"


async def reach(relay: "Relay") -> Failure | None:
    """Joins the relay to an instance; the failure when there is none to be had."""
    journey, upstream = relay.journey, relay.upstream
    while True:
        now = upstream.runtime.now()
        endpoint = _choose(relay, now)
        if endpoint is None:
            failure = await _nobody(journey, upstream, now)
        else:
            failure = await _try(relay, endpoint, now)
        if failure is not None or relay.instance is not None:
            return failure


def _choose(relay: "Relay", now: float) -> Endpoint | None:
    cluster, excluded = relay.upstream.cluster, relay.journey.excluded
    endpoint = None
    if relay.dialled is not None:
        endpoint = cluster.pick_dialled(relay.dialled, now, excluded)
    return endpoint or cluster.pick(now, excluded)


async def _try(relay: "Relay", endpoint: Endpoint, now: float) -> Failure | None:
    """One dial. A failure ends the search; None: joined, or to be tried elsewhere."""
    journey, upstream = relay.journey, relay.upstream
    journey.endpoint, journey.tried_at = endpoint, now
    if journey.why_again is not None:
        upstream.stats.retries[journey.why_again] += 1
        journey.why_again = None
    if not upstream.has_room():
        _never_made(upstream, endpoint)
        return FAILURES["too_many_connections"]
    try:
        bare = relay.dialled is not None
        instance = await upstream.connect(endpoint, lambda sock: InstanceEnd(relay, endpoint, sock), bare=bare)
    except DialError as error:
        if error.failure.reason == "too_many_connections":
            _never_made(upstream, endpoint)
            return await _pause(journey, error.failure)
        if error.failure.blame is Blame.SIDECAR:
            _never_made(upstream, endpoint)
            return error.failure
        return _failed(journey, upstream, endpoint, error.failure)
    except BaseException:
        _never_made(upstream, endpoint)
        raise
    instance.count()
    if relay.has_no_use_for(instance):
        instance.finish()
        return hung_up(relay, endpoint)
    at = upstream.runtime.now()
    upstream.tell(upstream.cluster.report_connected(endpoint, at - now, at))
    relay.joined(instance, at)
    return None


def hung_up(relay: "Relay", endpoint: Endpoint) -> Failure | None:
    """Accepted and ended at once: no byte had been sent, as with a refusal. None: to be tried elsewhere."""
    return _failed(relay.journey, relay.upstream, endpoint, FAILURES["refused"])


def _never_made(upstream: "Upstream", endpoint: Endpoint) -> None:
    """Our own limit, our own lack of descriptors, or the app left: no endpoint is to blame."""
    upstream.tell(upstream.cluster.report_failure(endpoint, _APP_LEFT, upstream.runtime.now()))


def _failed(journey: Journey, upstream: "Upstream", endpoint: Endpoint, failure: Failure) -> Failure | None:
    now = upstream.runtime.now()
    stats, retry = upstream.stats, upstream.policy.retry
    stats.failed[failure.reason] += 1
    journey.tries.append(AttemptRecord(endpoint.address, failure.reason, int((now - journey.tried_at) * 1000)))
    journey.last = failure
    journey.excluded.add(endpoint)
    upstream.tell(upstream.cluster.report_failure(endpoint, failure, now))
    decision = decide(Attempt(failure=failure, idempotent=False, replayable=True), retry, upstream.budget, now)
    if decision.action is not Action.RETRY_FREE:
        return failure
    journey.why_again = decision.reason
    return None


async def _nobody(journey: Journey, upstream: "Upstream", now: float) -> Failure | None:
    """The cluster has nobody to offer to this connection."""
    if journey.excluded and upstream.cluster.usable(now):
        # Everybody usable has refused once: the same ones again.
        journey.excluded.clear()
        return await _pause(journey, why_nobody(journey.last))
    return await _wait(journey, upstream, now)


async def _pause(journey: Journey, failure: Failure) -> Failure | None:
    """Another dial in a while, which counts as waiting; with no time left for that, it is `failure`."""
    delay, journey.delay = journey.delay, min(journey.delay * 2, AGAIN_MOST)
    journey.wait -= delay
    if journey.wait < 0:
        return failure
    await asyncio.sleep(delay)
    return None


class _Turn:
    """One who waits in the queue of the service."""

    __slots__ = ("_upstream", "come")

    def __init__(self, upstream: "Upstream") -> None:
        self._upstream = upstream
        self.come = upstream.runtime.loop.create_future()

    def released(self, now: float) -> None:
        """No more waiting: counted at once, for the next in the queue is let go by the same count."""
        del now
        self._upstream.count_waiting(-1)
        if not self.come.done():
            self.come.set_result(None)


async def _wait(journey: Journey, upstream: "Upstream", now: float) -> Failure | None:
    if journey.wait <= 0:
        return why_nobody(journey.last)
    turn = _Turn(upstream)
    if not upstream.waiting.enter(turn):
        upstream.stats.waits["overflow"] += 1
        return FAILURES["queue_full"]
    journey.waited = True
    upstream.count_waiting(1)
    result = "app_left"
    try:
        async with asyncio.timeout(journey.wait):
            await turn.come
        result = "served"
    except TimeoutError:
        result = "timeout"
        return why_nobody(journey.last)
    finally:
        journey.wait -= upstream.runtime.now() - now
        if upstream.waiting.leave(turn):
            upstream.count_waiting(-1)
        upstream.stats.waits[result] += 1
    return None
