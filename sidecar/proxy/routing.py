"""Which service a request on the shared listener means, by the host it names (RFC 9110 §7.2). Pure.

Case is ignored. A name that is written out wins over `*.suffix`, the longest suffix over a shorter one; an entry
with a port matches that port only, and before one without.
"""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

_REMEMBERED = 1024
"""Answers kept: an app names a handful of hosts; a client that invents hosts must not fill the memory,"""

_LONGEST = 260
"""nor one that invents long ones: bytes of a name and a port (RFC 1035 §2.3.4)."""


class Router(Generic[T]):
    """Host to target; immutable, a reload makes a new one."""

    __slots__ = ("_exact", "_known", "_suffixes")

    def __init__(self, entries: Mapping[str, T] | Iterable[tuple[str, T]] = ()) -> None:
        pairs = entries.items() if isinstance(entries, Mapping) else entries
        lowered = [(name.lower().encode("latin-1"), target) for name, target in pairs]
        self._exact = {name: target for name, target in lowered if not name.startswith(b"*.")}
        wild = [(name[1:], target) for name, target in lowered if name.startswith(b"*.")]
        self._suffixes = sorted(wild, key=lambda pair: (-len(_host(pair[0])), -len(pair[0])))
        self._known: dict[bytes, T | None] = {}

    def __repr__(self) -> str:
        return f"<Router {len(self._exact)} names, {len(self._suffixes)} suffixes>"

    def find(self, authority: bytes) -> T | None:
        """The target of `host[:port]` as it stands in `Host` or in an absolute-form target; None when unknown."""
        try:
            return self._known[authority]
        except KeyError:
            target = self._look_up(authority.lower())
        if len(authority) > _LONGEST:
            return target
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[authority] = target
        return target

    def _look_up(self, authority: bytes) -> T | None:
        host = _host(authority)
        for name in (authority, host):
            if name in self._exact:
                return self._exact[name]
        for suffix, target in self._suffixes:
            if authority.endswith(suffix) or host.endswith(suffix):
                return target
        return None


def _host(authority: bytes) -> bytes:
    """Without the port, which may be empty (RFC 9110 §4.2.3); brackets of an IPv6 literal stay, as they do in the entries."""
    if authority.endswith(b"]"):
        return authority
    host, colon, port = authority.rpartition(b":")
    return host if colon and (port.isdigit() or not port) else authority
