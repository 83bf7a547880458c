"""When and how lists go out: merged after a delay, again after a subscribe, again until acked.

Timers as on the Java server: a change is pushed 500 ms later together with all that happened in
between; a new subscriber gets its list once more after the same delay; what is not acked within a second is
pushed again, in its newest form, as long as the client is connected.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator

from sidecar import clock
from sidecar.embedded import messages, shapes
from sidecar.embedded.connections import Connection, Connections, Subscription, Unacked
from sidecar.embedded.faults import EVERY, ForcedList, NamesInPushes, PushTiming, RefTime, SuppressPushes
from sidecar.embedded.in_force import Faults
from sidecar.embedded.listing import Listing
from sidecar.embedded.model import ServiceName
from sidecar.embedded.naming import Naming
from sidecar.wire import Payload, dump

_AT_ONCE = 4
"""Subscribers told in one round of the loop; each costs some 3 ms for a list of 5 000."""


class Pushes:
    """The push side of one registry; lives in one event loop."""

    __slots__ = ("_connections", "_due", "_faults", "_ids", "naming")

    def __init__(self, connections: Connections, faults: Faults) -> None:
        self._connections = connections
        self._faults = faults
        self._ids = itertools.count(1)
        self._due: dict[ServiceName, asyncio.TimerHandle] = {}
        self.naming = Naming(faults, self._changed)

    def __repr__(self) -> str:
        return f"<Pushes {len(self._due)} due>"

    def next_id(self) -> str:
        """A request id of ours, unique in this registry."""
        return str(next(self._ids))

    def subscribed(self, connection: Connection, subscription: Subscription) -> None:
        """Remembers the subscription; its list is pushed once more after the delay, as the Java server does."""
        connection.subscriptions[subscription] = None
        timing = self._faults.now(PushTiming)
        if timing.second:
            asyncio.get_running_loop().call_later(timing.delay_s, self._push, connection, subscription)

    def push_now(self, service: str, count: int) -> None:
        """Pushes to every subscriber of a service (`*` = of all), `count` times in a row."""
        for connection in self._connections:
            for subscription in tuple(connection.subscriptions):
                if service in {EVERY, subscription.service.name, subscription.service.grouped}:
                    self.naming.refresh(subscription.service)
                    for _ in range(count):
                        connection.push(subscription, again=True)

    def stop(self) -> None:
        """No push is due any more."""
        for timer in self._due.values():
            timer.cancel()
        self._due.clear()

    def list_for(self, listing: Listing, stamps: dict[ServiceName, int], *, push: bool) -> bytes:
        """The `serviceInfo` of an answer or a push, with the faults in force; `stamps` is the client's."""
        ref_time = self._ref_time(listing.service, stamps)
        forced = self._forced(listing.service, push=push)
        if forced is None:
            return listing.as_json(ref_time)
        return dump(shapes.forced(listing.as_dict(ref_time), forced))

    async def deliver(
        self, connection: Connection, subscription: Subscription, write: Callable[[Payload], Awaitable[None]]
    ) -> None:
        """Writes the list as it is seen now; from the end of the write on an ack is awaited."""
        service = subscription.service
        if connection.deaf or subscription not in connection.subscriptions:
            return
        if self._faults.take(SuppressPushes, service.grouped, service.name):
            return
        request_id = self.next_id()
        self._supersede(connection, subscription)
        connection.unacked[request_id] = Unacked(asyncio.get_running_loop().time(), subscription)
        names = service if self._faults.find(NamesInPushes) else None
        listing = self.naming.listing(service, subscription.clusters)
        await write(messages.notify(request_id, self.list_for(listing, connection.stamps, push=True), names))
        self._await_ack(connection, request_id)

    def _changed(self, service: ServiceName) -> None:
        if service not in self._due:
            delay = self._faults.now(PushTiming).delay_s
            self._due[service] = asyncio.get_running_loop().call_later(delay, self._publish, service)

    def _publish(self, service: ServiceName) -> None:
        self._due.pop(service, None)
        self.naming.refresh(service)
        self._fan_out(self._connections.subscribers(service))

    def _fan_out(self, targets: Iterator[tuple[Connection, Subscription]]) -> None:
        """A few at a time, so that 200 subscribers of a large list do not hold up the loop."""
        some = list(itertools.islice(targets, _AT_ONCE))
        for connection, subscription in some:
            self._push(connection, subscription)
        if some:
            asyncio.get_running_loop().call_soon(self._fan_out, targets)

    def _push(self, connection: Connection, subscription: Subscription) -> None:
        if connection.ending is None and subscription in connection.subscriptions:
            connection.push(subscription)

    def _supersede(self, connection: Connection, subscription: Subscription) -> None:
        """Older pushes of the same list are no longer repeated; a late ack of theirs is still booked."""
        for unacked in connection.unacked.values():
            if unacked.subscription == subscription and unacked.timer is not None:
                unacked.timer.cancel()
                unacked.timer = None

    def _await_ack(self, connection: Connection, request_id: str) -> None:
        if (unacked := connection.unacked.get(request_id)) is not None and not connection.deaf:
            resend = self._faults.now(PushTiming).resend_s
            unacked.timer = asyncio.get_running_loop().call_later(resend, self._resend, connection, request_id)

    def _resend(self, connection: Connection, request_id: str) -> None:
        if (unacked := connection.unacked.pop(request_id, None)) is not None and unacked.subscription is not None:
            self._push(connection, unacked.subscription)

    def _forced(self, service: ServiceName, *, push: bool) -> ForcedList | None:
        keys = (service.grouped, service.name)
        found = self._faults.find(ForcedList, *keys)
        if found is None or not (found.in_pushes if push else found.in_answers):
            return None
        return self._faults.take(ForcedList, *keys)

    def _ref_time(self, service: ServiceName, stamps: dict[ServiceName, int]) -> int:
        """Strictly increasing for one client and service, unless the fault says otherwise."""
        fault = self._faults.now(RefTime)
        if fault.frozen_at_ms is not None:
            return fault.frozen_at_ms
        stamps[service] = max(int(clock.wall() * 1000), stamps.get(service, 0) + 1)
        return stamps[service] + fault.skew_ms
