"""A message of the registry that holds a list: read gradually when the list is long, one message at a time.

Why not by the library's own models: they take a list in one piece, and one odd host costs the message (an answer to it
is owed all the same).
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from sidecar.cluster.instance import Instance
from sidecar.discovery.gradual import begin, gradually, pieces, without
from sidecar.discovery.listing import Hosts, kept, key
from sidecar.discovery.session import Listing, ServiceKey, Unreadable

LONG = 64 * 1024
"""Bytes of a message whose reading begins in a turn of its own."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is in it: all fields but the hosts, and the list, or why there is none."""

    fields: dict[str, Any]
    key: ServiceKey
    found: Listing | Unreadable

    @property
    def listing(self) -> Listing:
        """The list; raises Unreadable where there is none."""
        if isinstance(self.found, Unreadable):
            raise self.found
        return self.found


@dataclass(frozen=True, slots=True)
class _Seen:
    """The last list of a service, and the text of its hosts by length and hash.

    The hash is Python's own, keyed anew in each process: 64 bits are enough against chance, and a fifth of the time of a
    cryptographic one, which is five milliseconds for five thousand hosts.
    """

    instances: tuple[Instance, ...]
    length: int
    hash: int

    def stands(self, text: str, start: int) -> bool:
        """Whether the hosts that begin there are the very same."""
        end = start + self.length
        return text.startswith("]", end) and hash(text[start:end]) == self.hash


class MessageReader:
    """Reads what one session hears; instances that stay as they are stay the same objects from list to list.

    A list that comes again word for word, as nearly every answer brings it, is not read again.
    """

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._seen: dict[ServiceKey, _Seen] = {}

    def __repr__(self) -> str:
        return f"<MessageReader of {len(self._seen)} services>"

    async def read(self, body: bytes, expected: ServiceKey | None = None) -> Message:
        """`expected`: whom it answers about, if it is an answer. Raises ValueError where it is no message at all."""
        text = body.decode()
        if expected is not None and (known := self._again(text, expected)) is not None:
            return known
        async with self._one_at_a_time:
            if len(body) > LONG:
                await asyncio.sleep(0)  # this turn has received it, and compared it
            hosts = Hosts()
            rest = await gradually(pieces(text, "hosts", hosts.take))
            fields, about, info = _parts(rest.document)
            if info is None:
                return Message(fields, about, Unreadable("no list"))
            try:
                hosts.take_all(info.pop("hosts", None if rest.end else []), taken=bool(rest.end))
                seen = self._seen.get(about)
                instances = await gradually(kept(hosts.instances(), seen.instances if seen else ()))
            except ValueError as error:
                return Message(fields, about, Unreadable(str(error)[:200]))
            if rest.end:
                hosts_text = text[rest.start : rest.end]
                self._seen[about] = _Seen(instances, len(hosts_text), hash(hosts_text))
            return Message(fields, about, _listing(instances, info))

    def _again(self, text: str, expected: ServiceKey) -> Message | None:
        """The message, if its list is word for word the last one of the service."""
        seen, start = self._seen.get(expected), begin(text, "hosts")
        if seen is None or start is None or not seen.stands(text, start):
            return None
        fields, about, info = _parts(without(text, start, start + seen.length).document)
        if info is None or about != expected or info.pop("hosts", None) != []:
            return None
        return Message(fields, about, _listing(seen.instances, info))


def _parts(document: Any) -> tuple[dict[str, Any], ServiceKey, dict[str, Any] | None]:
    """All fields, whom the list in them is about, and the list; raises ValueError where it is no message."""
    if not isinstance(document, dict):
        raise ValueError(f"a message is no {type(document).__name__}")  # noqa: TRY004 - the peer's mistake
    info = document.get("serviceInfo")
    if not isinstance(info, dict):
        return document, key("", ""), None
    return document, key(str(info.get("name")), str(info.get("groupName"))), info


def _listing(instances: tuple[Instance, ...], info: dict[str, Any]) -> Listing:
    return Listing(instances, protect=info.get("reachProtectionThreshold") is True)
