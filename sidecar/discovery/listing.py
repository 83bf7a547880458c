"""From the registry's words to ours: one list, field by field. Pure.

Traps that end here: a host with a port that nobody can dial (-1 stands for "do not call me" in some frameworks) is
no instance, nor is one whose "ip" is neither an address nor a name; weights come as any float; the cluster may be
missing; the server may put the group into the name.

Instances of one list have mostly the same metadata, and a newer list mostly the same instances. What is the same is
one object here: that halves the memory and makes comparing cheap.
"""

import json
import math
import re
import sys
from collections.abc import Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sidecar.cluster.instance import Instance
from sidecar.cluster.policy import NO_METADATA
from sidecar.discovery.session import ServiceKey

HEAVIEST = 10_000.0
"""Nacos itself clips weights here."""

A_TURN = 1000
"""Instances looked up in an earlier list before the loop turns: a millisecond."""

_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?"
)
"""An address or a plain name. Anyone may register anything, and the text ends up in heads, logs and labels."""


class Shared:
    """Metadata of many instances: what is equal is one object."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}

    def one(self, texts: dict[str, str]) -> Mapping[str, str]:
        """A read-only view of `texts`, or of such a one that was asked for before."""
        if not texts:
            return NO_METADATA
        return self._known.setdefault(tuple(texts.items()), MappingProxyType(texts))


class Hosts:
    """The entries of one list, taken one by one as they are decoded; what is missing is what servers take it for."""

    def __init__(self) -> None:
        self._instances: list[Instance] = []
        self._metadata = Shared()
        self._error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Hosts {len(self._instances)}{' unreadable' if self._error else ''}>"

    def take(self, host: Any) -> None:
        """One that nobody can dial is left out; an entry that is none spoils the list."""
        if self._error is None:
            try:
                self._take(host)
            except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
                self._error = error

    def take_all(self, rest: Any, *, taken: bool) -> None:
        """What a message still holds in the place of its hosts, nothing if they have been taken.

        Raises ValueError where that is no list; if what was taken stood elsewhere, it was none either.
        """
        if not isinstance(rest, list) or (taken and rest):
            raise ValueError(f"no hosts, but {_kind(rest)}")
        for host in rest:
            self.take(host)

    def instances(self) -> tuple[Instance, ...]:
        """In the order in which they came, duplicates too; raises ValueError when the list is spoilt."""
        if self._error is not None:
            raise ValueError(f"an entry that is none: {self._error!r}")
        return tuple(self._instances)

    def _take(self, host: Any) -> None:
        ip, port = host["ip"], int(host["port"])
        if _HOST.fullmatch(ip) and 0 < port <= 65535:
            instance = Instance(
                host=ip,
                port=port,
                weight=_weight(float(host.get("weight", 1.0))),
                healthy=host.get("healthy", True) is not False,
                enabled=host.get("enabled", True) is not False,
                cluster=sys.intern(str(host.get("clusterName") or "DEFAULT")),
                metadata=self._metadata.one(_texts(host.get("metadata") or NO_METADATA)),  # null stands for none
            )
            self._instances.append(instance)


def kept(instances: Sequence[Instance], known: Sequence[Instance]) -> Generator[None, None, tuple[Instance, ...]]:
    """`instances`, but for each that is equal to one of `known` that very object. Yields now and then."""
    by_address = {instance.address: instance for instance in known}
    found: list[Instance] = []
    for instance in instances:
        if len(found) % A_TURN == A_TURN - 1:
            yield
        before = by_address.get(instance.address)
        found.append(before if before is not None and before == instance else instance)
    return tuple(found)


def key(name: str, group: str) -> ServiceKey:
    """Whom a list is about; servers may write `group@@name` into the name."""
    return ServiceKey(name.rpartition("@@")[2], group)


def _texts(metadata: Mapping[Any, Any]) -> dict[str, str]:
    """JSON of what is no text: `true`, not a word of Python's. Null stands for nothing."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in metadata.items()
        if value is not None
    }


def _kind(value: Any) -> str:
    """What JSON calls it."""
    match value:
        case None:
            return "null"
        case dict():
            return "an object"
        case list():
            return "an array elsewhere"
        case _:
            return json.dumps(value)[:50]


def _weight(weight: float) -> float:
    return 0.0 if math.isnan(weight) else min(max(weight, 0.0), HEAVIEST)
