"""A list of hosts in a message of the registry: where it stands, who is on it, and the message around other hosts.

Why by its text: whatever stands in a host, or beside the list, reaches the app as the registry wrote it, fields of later
versions too. Nothing is decoded but to learn addresses, and of a long list not in one piece: five thousand hosts are two
megabytes, 20 ms for the decoder.
"""

import asyncio
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sidecar.facade.names import address_of

A_TURN = 100
"""Hosts looked at before the event loop turns: one to two milliseconds."""

LONG = 64 * 1024
"""Characters of a message whose steps, each some milliseconds, get turns of their own."""

IN_GRPC = ("serviceInfo", "hosts")
"""Where the list stands in an answer to a subscription or a query, and in a push."""

_decode = json.JSONDecoder().raw_decode
_BLANK = re.compile(r"[ \t\n\r]*")
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")

_REF_TIME = re.compile(r'(?<!\\)("lastRefTime"[ \t\n\r]*:[ \t\n\r]*)-?[0-9]+')
_CACHE_MILLIS = re.compile(r'(?<!\\)("cacheMillis"[ \t\n\r]*:[ \t\n\r]*)-?[0-9]+')
_COUNT = re.compile(r'(?<!\\)("count"[ \t\n\r]*:[ \t\n\r]*)-?[0-9]+')
_PROTECTED = re.compile(r'(?<!\\)("reachProtectionThreshold"[ \t\n\r]*:[ \t\n\r]*)true')


@dataclass(frozen=True, slots=True)
class ListText:
    """One message; `text[start:end]` are its hosts. `info` is the object that has them, without them."""

    text: str
    start: int
    end: int
    addresses: frozenset[str]
    info: Mapping[str, Any]

    @property
    def hosts(self) -> str:
        """JSON objects with commas in between."""
        return self.text[self.start : self.end]

    @property
    def ref_time(self) -> int | None:
        """The lastRefTime that the registry gave it; None where lists have none."""
        found = self.info.get("lastRefTime")
        return found if isinstance(found, int) else None

    def with_hosts(self, hosts: str, *, ref_time: int | None = None, cache_millis: int | None = None) -> str:
        """The message around other hosts, or around its own. The numbers replace those that are there."""
        before, after = self.text[: self.start], self.text[self.end :]
        if hosts != self.hosts:
            before, after = (_PROTECTED.sub(r"\g<1>false", part) for part in (before, after))
            count = str(sum(1 for _ in _entries(f"{hosts}]", 0))) if "count" in self.info else None
            before, after = (_set(_COUNT, part, count) for part in (before, after))
        for pattern, value in ((_REF_TIME, ref_time), (_CACHE_MILLIS, cache_millis)):
            before, after = (_set(pattern, part, value) for part in (before, after))
        return f"{before}{hosts}{after}"

    async def raw(self, wanted: Collection[str]) -> dict[str, str]:
        """The JSON of those of its hosts that stand at these addresses."""
        found: dict[str, str] = {}
        for number, entry in enumerate(_entries(self.text, self.start), 1):
            if entry.address in wanted:
                found.setdefault(entry.address, self.text[entry.start : entry.end])
            if number % A_TURN == 0:
                await asyncio.sleep(0)
        return found


async def read(text: str, path: tuple[str, ...] = IN_GRPC, known: ListText | None = None) -> ListText | None:
    """The list at the end of `path`, None where there is none, be it that the text is no JSON.

    `known`: a list like which it may be, word for word, as nearly every one is; it is not taken apart again then.
    """
    try:
        start = _array(text, path)
        if start is None:
            return None
        addresses, end = await _addresses(text, start, known)
        document = json.loads(text[:start] + text[end:])
    except (ValueError, RecursionError):
        return None
    for key in path[:-1]:
        document = document[key]
    return ListText(text, start, end, addresses, document)


async def about(text: str) -> Mapping[str, Any]:
    """What a push says of its list: without its hosts, and mostly without looking at them. Empty where it has none."""
    try:
        at = _member(text, _after(_BLANK, text, 0), "serviceInfo")
        found = dict(_members(text, at, until="hosts")) if at is not None else {}
    except (ValueError, RecursionError):
        return {}
    if "name" in found and "clusters" in found:
        return found
    heard = await read(text)
    return heard.info if heard is not None else {}


async def breath(text: str) -> None:
    """A turn of the loop between two steps over a long text."""
    if len(text) > LONG:
        await asyncio.sleep(0)


def joined(*hosts: str) -> str:
    """The hosts of several lists as those of one."""
    return ",".join(filter(None, hosts))


class _Entry(NamedTuple):
    """One host of a list; the address is empty where it has none."""

    address: str
    start: int
    end: int


async def _addresses(text: str, start: int, known: ListText | None) -> tuple[frozenset[str], int]:
    """Who is on it, and where it ends; raises ValueError where it does not."""
    if known is not None and text.startswith(known.hosts, start):
        end = start + known.end - known.start
        if _closes(text, end):
            return known.addresses, end
    found: set[str] = set()
    end = start
    for number, entry in enumerate(_entries(text, start), 1):
        found.add(entry.address)
        end = entry.end
        if number % A_TURN == 0:
            await asyncio.sleep(0)
    if not _closes(text, end):
        raise ValueError("a list without an end")
    return frozenset(filter(None, found)), end


def _array(text: str, path: tuple[str, ...]) -> int | None:
    """Where the first element of the array at the end of `path` would stand."""
    at = _after(_BLANK, text, 0)
    for key in path:
        found = _member(text, at, key)
        if found is None:
            return None
        at = found
    return _after(_BLANK, text, at + 1) if text.startswith("[", at) else None


def _member(text: str, at: int, key: str) -> int | None:
    """Where the value of a key stands in the object that begins there."""
    for name, found in _places(text, at):
        if name == key:
            return found
    return None


def _members(text: str, at: int, *, until: str) -> Iterator[tuple[str, Any]]:
    """Keys and values of the object that begins there, as far as a key."""
    for name, found in _places(text, at):
        if name == until:
            return
        yield name, _decode(text, found)[0]


def _places(text: str, at: int) -> Iterator[tuple[str, int]]:
    """The keys of the object that begins there, and where their values stand; none where it is no object."""
    at = _after(_BLANK, text, at + 1) if text.startswith("{", at) else len(text)
    while text.startswith('"', at):
        name, at = _decode(text, at)
        at = _after(_COLON, text, at)
        yield name, at
        _, at = _decode(text, at)
        comma = _COMMA.match(text, at)
        if comma is None:
            return
        at = comma.end()


def _entries(text: str, at: int) -> Iterator[_Entry]:
    """The elements of the array whose first one would stand there; raises ValueError on what is no JSON."""
    more = not text.startswith("]", at)
    while more:
        host, end = _decode(text, at)
        known = isinstance(host, dict) and isinstance(host.get("ip"), str)
        yield _Entry(address_of(host["ip"], host.get("port")) if known else "", at, end)
        comma = _COMMA.match(text, end)
        more = comma is not None
        at = comma.end() if comma is not None else end


def _closes(text: str, at: int) -> bool:
    return text.startswith("]", _after(_BLANK, text, at))


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    if found is None:
        raise ValueError(f"no JSON at {at}")
    return found.end()


def _set(pattern: re.Pattern[str], text: str, value: object) -> str:
    return text if value is None else pattern.sub(rf"\g<1>{value}", text)
