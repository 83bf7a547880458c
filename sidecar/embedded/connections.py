"""The clients that are connected: what each subscribed, what it was sent and has not acked, what it was seen doing."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field

from sidecar.embedded.faults import EndStreams
from sidecar.embedded.gate import Link
from sidecar.embedded.model import ServiceName
from sidecar.wire import Payload

REMEMBERED = 10_000
"""Requests and acks kept for tests to look at; older ones are forgotten, their counts stay."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one client wants pushed; `clusters` is a comma list, empty = all."""

    service: ServiceName
    clusters: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived; `at` is seconds since the epoch."""

    at: float
    connection: str
    type: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ack:
    """One answer of a client on its stream; `after` is seconds since the request was written."""

    type: str
    request_id: str
    after: float
    ok: bool


@dataclass(slots=True)
class Unacked:
    """One request on the stream that awaits its answer."""

    sent_at: float
    subscription: Subscription | None = None
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class Connection:
    """One client, from ConnectionSetup until its stream ends. Times are those of the loop's clock."""

    id: str
    link: Link
    version: str
    namespace: str
    labels: Mapping[str, str]
    opened_at: float
    last_active: float = 0.0
    deaf: bool = False
    detecting: bool = False
    ending: EndStreams | None = None
    subscriptions: dict[Subscription, None] = field(default_factory=dict)
    unacked: dict[str, Unacked] = field(default_factory=dict)
    acks: deque[Ack] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    stamps: dict[ServiceName, int] = field(default_factory=dict)
    """lastRefTime last given out, by service, in milliseconds."""
    _outbox: deque[Payload | Subscription] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def __repr__(self) -> str:
        return (
            f"<Connection {self.id} {self.version}: {len(self.subscriptions)} subscribed, {len(self.unacked)} unacked>"
        )

    @property
    def is_naming(self) -> bool:
        """Only a client with this label may register and subscribe; a config client may not."""
        return self.labels.get("module") == "naming"

    def send(self, payload: Payload) -> None:
        self._outbox.append(payload)
        self._wake.set()

    def push(self, subscription: Subscription, *, again: bool = False) -> None:
        """Queues a push. The list is written when its turn comes, so one already waiting does for both."""
        if again or subscription not in self._outbox:
            self._outbox.append(subscription)
            self._wake.set()

    def end(self, ending: EndStreams) -> None:
        """Ends the stream after what is being written now."""
        self.ending = ending
        self._wake.set()

    async def outgoing(self) -> AsyncGenerator[Payload | Subscription, None]:
        """What to write next, until the stream is to end."""
        while self.ending is None:
            if self._outbox:
                yield self._outbox.popleft()
            else:
                self._wake.clear()
                await self._wake.wait()

    def acked(self, ack_type: str, request_id: str, now: float, *, ok: bool) -> None:
        """Books an answer on the stream."""
        self.last_active = now
        if (unacked := self.unacked.pop(request_id, None)) is None:
            return
        if unacked.timer is not None:
            unacked.timer.cancel()
        self.acks.append(Ack(ack_type, request_id, now - unacked.sent_at, ok))

    def forget_unacked(self) -> None:
        """No push is repeated any more."""
        for unacked in self.unacked.values():
            if unacked.timer is not None:
                unacked.timer.cancel()
        self.unacked.clear()


class Connections:
    """Every client with a stream, by its link."""

    __slots__ = ("_by_link", "counts", "requests", "versions")

    def __init__(self) -> None:
        self._by_link: dict[Link, Connection] = {}
        self.requests: deque[Seen] = deque(maxlen=REMEMBERED)
        self.counts: Counter[str] = Counter()
        """Requests ever seen, by type."""
        self.versions: Counter[str] = Counter()
        """Set-ups ever seen, by client version."""

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._by_link.values()))

    def __len__(self) -> int:
        return len(self._by_link)

    def __repr__(self) -> str:
        return f"<Connections {len(self)} open, {self.counts.total()} requests>"

    def add(self, connection: Connection) -> None:
        self._by_link[connection.link] = connection
        self.versions[connection.version] += 1

    def remove(self, connection: Connection) -> None:
        if self._by_link.get(connection.link) is connection:
            del self._by_link[connection.link]

    def of(self, link: Link) -> Connection | None:
        return self._by_link.get(link)

    def saw(self, seen: Seen) -> None:
        self.requests.append(seen)
        self.counts[seen.type] += 1

    def subscribers(self, service: ServiceName) -> Iterator[tuple[Connection, Subscription]]:
        for connection in self:
            for subscription in tuple(connection.subscriptions):
                if subscription.service == service:
                    yield connection, subscription
