"""Which service an ip:port belongs to, while it is in use and for a while after it left.

**Why.** An app behind a forward proxy chooses its instance itself, from a list that may be half a minute old, and names
it by `ip:port` alone. Its call can only be carried to somebody who lives if it is known what the address was, after the
registry has forgotten it.

**What is known.** Every address in use names its service. One that left does so for `memory` seconds more; of those the
newest `MOST` are kept. With two services at one address the one that lists it now is meant, else the last that did;
where both list it, the one that began later: a process that died without a farewell is listed on for a while beside
the one that got its address.

**Who tells.** Each service has `Claims` of its own, and its roster keeps them up to date. When a reload gives a service
other instances, its claims are closed: their addresses have left, and what they still say counts for nothing.
"""

import math
import re
from collections import Counter, OrderedDict
from collections.abc import Container, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice
from typing import NamedTuple

MOST = 10_000
"""Addresses remembered after they left, 2.6 MiB: a fleet that replaces a thousand pods a minute for ten minutes."""

SWEPT = 500
"""Of those whose time is over so many are struck out at once: a millisecond. The rest name nobody meanwhile."""

HTTP_PORT = 80
"""What `http://10.0.0.1/` leaves out."""

_ANY = math.inf

_plain = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}:[1-9][0-9]{0,4}").fullmatch


class Departed(NamedTuple):
    """An address that left, the service it belonged to, and when."""

    address: str
    service: str
    left_at: float


class Claim:
    """What one service says of one address; `address` is spelled as its registry does."""

    __slots__ = ("address", "by", "left_at", "listed_at", "missed_at", "other")

    def __init__(self, by: "Claims", address: str, now: float) -> None:
        self.by = by
        self.address = address
        self.listed_at = now
        self.missed_at = _ANY
        """Since when no list names it; infinite while one does."""
        self.left_at = _ANY
        """Since when it is out of use (what no list names may be held); infinite while it is not."""
        self.other: Claim | None = None
        """The next best claim to the same address."""

    def __repr__(self) -> str:
        state = "listed" if self.missed_at == _ANY else "held" if self.left_at == _ANY else "left"
        return f"<Claim of {self.service} to {self.address}, {state}>"

    @property
    def service(self) -> str:
        """Whose address it is or was."""
        return self.by.service

    @property
    def strength(self) -> tuple[float, float]:
        """More for who lists it still, or missed it last; among those who list it, for who began last."""
        return self.missed_at, self.listed_at


class Claims:
    """What one service says of its addresses; each method may be called again and again."""

    __slots__ = ("_book", "_closed", "service")

    def __init__(self, book: "Addresses", service: str) -> None:
        self.service = service
        self._book = book
        self._closed = False

    def __repr__(self) -> str:
        return f"<Claims of {self.service}{', closed' if self._closed else ''}>"

    @property
    def remembered(self) -> int:
        """How many addresses that left name the service."""
        return self._book.remembered(self.service)

    def lists(self, address: str, now: float) -> None:
        """A list names it from now on."""
        if self._closed:
            return
        claim = self._book.claim(self, address)
        if claim is None:
            self._book.enter(Claim(self, address, now))
        elif claim.missed_at != _ANY:
            claim.listed_at, claim.missed_at, claim.left_at = now, _ANY, _ANY
            self._book.returned(claim)

    def misses(self, address: str, now: float) -> None:
        """No list names it any more; it may be in use for a while yet."""
        claim = None if self._closed else self._book.claim(self, address)
        if claim is not None and claim.missed_at == _ANY:
            claim.missed_at = now
            self._book.weakened(claim)

    def lets_go(self, address: str, now: float) -> None:
        """It is out of use."""
        claim = None if self._closed else self._book.claim(self, address)
        if claim is not None and claim.left_at == _ANY:
            claim.missed_at, claim.left_at = min(claim.missed_at, now), now
            self._book.left(claim)

    def close(self, now: float) -> None:
        """The service has other instances now: all that it has here leaves, and it has no say any more."""
        for address in self._book.claimed(self):
            self.lets_go(address, now)
        self._closed = True


class Addresses:
    """The claims of all services by address."""

    __slots__ = ("_claims", "_counts", "_left", "changes", "memory", "most")

    def __init__(self, memory: float, *, most: int = MOST) -> None:
        """`memory`: seconds for which an address names its service after it left; 0: not at all."""
        self.memory = memory
        self.most = most
        self.changes = 0
        """Grows with every change of what has left."""
        self._claims: dict[str, Claim] = {}
        """The strongest claim to each address; weaker ones hang on it."""
        self._left: OrderedDict[Claim, None] = OrderedDict()
        """Those to addresses that left, in that order."""
        self._counts: Counter[str] = Counter()
        """How many of those each service has."""

    def __repr__(self) -> str:
        return f"<Addresses {len(self._claims)}, {len(self._left)} left>"

    def of(self, service: str) -> Claims:
        """New claims of a service."""
        return Claims(self, service)

    def find(self, address: str, now: float, among: Container[str]) -> Claim | None:
        """The claim that counts, of the services `among` which to look; the address may be spelled in any way."""
        claim = self._claims.get(address)
        if claim is None and (key := spelled(address)) != address:
            claim = self._claims.get(key)
        while claim is not None and (now - claim.left_at >= self.memory or claim.by.service not in among):
            claim = claim.other
        return claim

    def departed(self) -> Iterator[Departed]:
        """All that left and is remembered, in that order."""
        return (Departed(claim.address, claim.service, claim.left_at) for claim in self._left)

    def remembered(self, service: str) -> int:
        """How many addresses that left name this service."""
        return self._counts[service]

    def restore(self, departed: Iterable[Departed], now: float) -> None:
        """What an earlier process remembered; what is known of an address by now counts for more."""
        for address, service, left_at in sorted(departed, key=lambda one: one.left_at):
            if now - left_at < self.memory and self.find(address, now, {service}) is None:
                past = self.of(service)
                past.lists(address, left_at)
                past.lets_go(address, left_at)

    def drop(self, service: str) -> None:
        """The service is gone from the configuration: nothing may name it."""
        for claim in [one for key in self._claims for one in self._chain(key) if one.service == service]:
            self._strike_out(claim)

    def sweep(self, now: float) -> None:
        """Strikes out what has been away for too long; to be called now and then."""
        for oldest in list(islice(self._left, SWEPT)):
            if now - oldest.left_at < self.memory:
                break
            self._strike_out(oldest)

    # What claims tell

    def claim(self, by: Claims, address: str) -> Claim | None:
        """The claim that this service has to the address now."""
        return next((one for one in self._chain(spelled(address)) if one.by is by), None)

    def claimed(self, by: Claims) -> list[str]:
        """All addresses to which it has one."""
        return [one.address for key in self._claims for one in self._chain(key) if one.by is by]

    def enter(self, claim: Claim) -> None:
        """A new one: what the same service said of the address before it was given other instances is void."""
        key = spelled(claim.address)
        for old in self._chain(key):
            if old.service == claim.service:
                self._strike_out(old)
        claim.other = self._claims.get(key)
        self._claims[key] = claim
        self._sort(key)

    def returned(self, claim: Claim) -> None:
        """A list names it again."""
        self._forget_departure(claim)
        self._sort(spelled(claim.address))

    def weakened(self, claim: Claim) -> None:
        """Its lists miss it."""
        self._sort(spelled(claim.address))

    def left(self, claim: Claim) -> None:
        """Its service has let go of it."""
        self._left[claim] = None
        self._counts[claim.service] += 1
        self.changes += 1
        self._sort(spelled(claim.address))
        if len(self._left) > self.most:
            self._strike_out(next(iter(self._left)))

    def _forget_departure(self, claim: Claim) -> None:
        if claim in self._left:
            del self._left[claim]
            self._counts[claim.service] -= 1
            self.changes += 1

    def _strike_out(self, claim: Claim) -> None:
        self._forget_departure(claim)
        key = spelled(claim.address)
        self._link(key, [one for one in self._chain(key) if one is not claim])

    def _chain(self, key: str) -> list[Claim]:
        found, claim = [], self._claims.get(key)
        while claim is not None:
            found.append(claim)
            claim = claim.other
        return found

    def _sort(self, key: str) -> None:
        if self._claims[key].other is not None:
            self._link(key, sorted(self._chain(key), key=lambda one: one.strength, reverse=True))

    def _link(self, key: str, claims: list[Claim]) -> None:
        if not claims:
            del self._claims[key]
            return
        self._claims[key] = claims[0]
        for claim, other in zip(claims, [*claims[1:], None], strict=True):
            claim.other = other


def spelled(address: str) -> str:
    """`host[:port]` in the one spelling that addresses are compared in: an app and a registry may each have its own."""
    if _plain(address):
        return address
    host, port = parted(address)
    found = ip_of(host)
    if found is None:
        return f"{host.lower()}:{port}"
    return f"[{found}]:{port}" if found.version == 6 else f"{found}:{port}"


def parted(address: str) -> tuple[str, int]:
    """The host, without brackets, and the port of `host[:port]`; -1 for one that cannot be."""
    host, colon, port = address.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = address, ""
    number = HTTP_PORT if not port else int(port) if port.isascii() and port.isdigit() else -1
    return host.removeprefix("[").removesuffix("]"), number


def ip_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a text is; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None
