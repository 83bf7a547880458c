"""What one connection of the app is told about lists: each as it was heard, in the order in which it was heard.

**Stamps:** clients compare `lastRefTime`; some drop a list that is not newer than their last one. What the registry wrote
is kept where it grows; lists of ours, and whatever follows one, get the next number.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sidecar.facade import answers
from sidecar.facade.lists import ListText, breath, read
from sidecar.facade.names import Named, listed
from sidecar.facade.offers import Offer, Told
from sidecar.facade.wanted import Wanted
from sidecar.wire import WireError, decode, encode, with_body

MOST_STAMPS = 1024
"""Lists whose last number is known; a client asks for a handful."""

MOST_SUBSCRIPTIONS = 4096
"""What a connection may have subscribed to; a gateway of all services has a thousand or two."""


class Key(NamedTuple):
    """One subscription of a connection."""

    named: Named
    clusters: str


@dataclass(slots=True)
class Subscription:
    """What it was told last."""

    wanted: Wanted
    heard: ListText | None = None
    """The registry's last word; None: it has not been heard, or cannot be asked any more."""
    told: Told = field(default_factory=Told.nothing)


class Stamps:
    """The lastRefTime last given out, by service, and by clusters where a client asks for several selections."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._last: dict[tuple[Named, str], tuple[int, int]] = {}

    def passed(self, named: Named, offered: int, hosts: str, clusters: str = "") -> int:
        """That of a list which came with this one: the same unless it would not grow."""
        last, content = self._last.get((named, clusters), (0, 0))
        stamp = offered if offered > last or (offered, hash(hosts)) == (last, content) else last + 1
        self._last.pop((named, clusters), None)
        self._last[named, clusters] = stamp, hash(hosts)
        if len(self._last) > MOST_STAMPS:
            del self._last[next(iter(self._last))]
        return stamp

    def made(self, named: Named, hosts: str, clusters: str = "") -> int:
        """That of a list of ours."""
        return self.passed(named, int(self._wall() * 1000), hosts, clusters)


class Telling:
    """The lists of one connection; to be used under `in_order`, for reading a long one takes several turns."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.in_order = asyncio.Lock()
        self._stamps = Stamps(wall)
        self._subscriptions: dict[Key, Subscription] = {}

    def __repr__(self) -> str:
        return f"<Telling {len(self._subscriptions)} subscribed>"

    def keys(self, named: Named) -> list[Key]:
        """Its subscriptions to a service."""
        return [key for key in self._subscriptions if key.named == named]

    def subscribe(self, key: Key, wanted: Wanted) -> None:
        """It may have to be told by itself of this service, be it one of ours or not yet.

        One too many hears what the registry says of it, made better as ever, but no news of ours.
        """
        if len(self._subscriptions) < MOST_SUBSCRIPTIONS:
            self._subscriptions.setdefault(key, Subscription(wanted))

    def unsubscribe(self, key: Key) -> None:
        """Nothing is to be told of it by itself any more."""
        self._subscriptions.pop(key, None)

    def deaf(self) -> None:
        """What the registry said last on this connection counts no more."""
        for subscription in self._subscriptions.values():
            subscription.heard = None

    async def answer(self, data: bytes, offer: Offer, wanted: Wanted, key: Key | None) -> bytes:
        """The answer to a query, or to the subscription `key`, as the app gets it."""
        return await self._passed(data, offer, wanted, self._subscriptions.get(key) if key is not None else None)

    async def push(self, data: bytes, offer: Offer, key: Key) -> bytes:
        """A push of the registry as the app gets it."""
        return await self._passed(data, offer, Wanted(listed(key.clusters)), self._subscriptions.get(key))

    async def answer_alone(self, kind: str, offer: Offer, wanted: Wanted, clusters: str, key: Key | None) -> bytes:
        """The answer to a request for a list that no server can be asked for."""
        told = await offer.told(None, wanted)
        offer.count("answered")
        subscription = self._subscriptions.get(key) if key is not None else None
        if subscription is not None:
            subscription.heard, subscription.told = None, told
        return encode(answers.with_list(kind, self._info(offer.named, clusters, told)))

    async def news(self, offer: Offer, key: Key, request_id: str, *, alone: bool) -> bytes | None:
        """A push of ours, where the app has to be told something without the registry; None where it has not."""
        subscription = self._subscriptions.get(key)
        if subscription is None or (subscription.heard is None and not alone and not offer.replaced):
            return None
        only = None if alone else subscription.told.added
        told = await offer.told(subscription.heard, subscription.wanted, only=only)
        known, subscription.told = subscription.told, told
        if subscription.heard is not None:
            offer.withholds(told, len(subscription.heard.addresses))
        if not offer.members:
            subscription.heard = None  # from now on it is not listened to
        if told.signature == known.signature:
            return None
        offer.count("answered")
        return encode(answers.pushed(request_id, self._info(offer.named, key.clusters, told)))

    async def _passed(self, data: bytes, offer: Offer, wanted: Wanted, subscription: Subscription | None) -> bytes:
        text = text_of(data)
        heard = await read(text, known=subscription.heard if subscription else None)
        if heard is None:
            return data
        told = await offer.told(heard, wanted)
        offer.heard(heard, told, wanted)
        if subscription is not None:
            subscription.heard, subscription.told = heard, told
        await breath(told.hosts)
        offered = heard.ref_time
        stamp = None if offered is None else self._stamps.passed(offer.named, offered, told.hosts)
        if told.hosts == heard.hosts and stamp == offered:
            return data
        changed = heard.with_hosts(told.hosts, ref_time=stamp)
        await breath(changed)
        return with_body(data, changed.encode())

    def _info(self, named: Named, clusters: str, told: Told) -> str:
        return answers.service_info(named, clusters, told.hosts, self._stamps.made(named, told.hosts))


def named_in(info: Mapping[str, Any], namespace: str) -> Named | None:
    """The service that a request, or a list, is about; None where it names none."""
    name, group = info.get("serviceName") or info.get("name"), info.get("groupName")
    if not isinstance(name, str) or not (group is None or isinstance(group, str)):
        return None
    own = info.get("namespace")
    return Named.of(name, group, own if isinstance(own, str) and own else namespace)


def text_of(data: bytes) -> str:
    """The text of a message; empty where it cannot be read, as no list can be read from it."""
    try:
        return decode(data).body.decode()
    except (WireError, UnicodeDecodeError):
        return ""
