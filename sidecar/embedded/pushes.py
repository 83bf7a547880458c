"""When and how lists go out: merged after a delay, again after a subscribe, again until acked.

Timers as on the Java server (nacos.md 2.2): a change is pushed 500 ms later together with all that happened in
between; a new subscriber gets its list once more after the same delay; what is not acked within a second is
pushed again, in its newest form, as long as the client is connected.
"""

import asyncio
import itertools

from sidecar import clock
from sidecar.embedded import messages, shapes
from sidecar.embedded.connections import Connection, Connections, Subscription, Unacked
from sidecar.embedded.faults import EVERY, ForcedList, NamesInPushes, PushTiming, RefTime, SuppressPushes
from sidecar.embedded.in_force import Faults
from sidecar.embedded.listing import Listing
from sidecar.embedded.model import ServiceName
from sidecar.embedded.naming import Naming
from sidecar.embedded.wire import Payload, dump


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

    def message(self, connection: Connection, subscription: Subscription) -> Payload | None:
        """The push to write now, booked as unacked; None when a fault swallows it."""
        service = subscription.service
        if connection.deaf or subscription not in connection.subscriptions:
            return None
        if self._faults.take(SuppressPushes, service.grouped, service.name):
            return None
        listing = self.naming.listing(service, subscription.clusters)
        request_id = self.next_id()
        names = service if self._faults.find(NamesInPushes) else None
        self._await_ack(connection, subscription, request_id)
        return messages.notify(request_id, self.list_for(listing, connection.stamps, push=True), names)

    def _changed(self, service: ServiceName) -> None:
        if service not in self._due:
            delay = self._faults.now(PushTiming).delay_s
            self._due[service] = asyncio.get_running_loop().call_later(delay, self._publish, service)

    def _publish(self, service: ServiceName) -> None:
        self._due.pop(service, None)
        self.naming.refresh(service)
        for connection, subscription in self._connections.subscribers(service):
            self._push(connection, subscription)

    def _push(self, connection: Connection, subscription: Subscription) -> None:
        if connection.ending is None and subscription in connection.subscriptions:
            connection.push(subscription)

    def _await_ack(self, connection: Connection, subscription: Subscription, request_id: str) -> None:
        """Books the push; an older unacked one of the same list is superseded and no longer repeated."""
        for older in [i for i, u in connection.unacked.items() if u.subscription == subscription]:
            superseded = connection.unacked[older]
            if superseded.timer is not None:
                superseded.timer.cancel()
                superseded.timer = None
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._faults.now(PushTiming).resend_s, self._resend, connection, request_id)
        connection.unacked[request_id] = Unacked(loop.time(), subscription, timer)

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
