"""A message of the registry that holds a list: read gradually when the list is long, one message at a time.

Why not by the library's own models: they take a list in one piece, and one odd host costs the message (an answer to it
is owed all the same).
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from sidecar.discovery.gradual import gradually, pieces
from sidecar.discovery.listing import Hosts, kept, key
from sidecar.discovery.session import Listing, ServiceKey, Unreadable


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


class MessageReader:
    """Reads what one session hears; instances that stay as they are stay the same objects from list to list."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._last: dict[ServiceKey, Listing] = {}

    def __repr__(self) -> str:
        return f"<MessageReader of {len(self._last)} services>"

    async def read(self, body: bytes) -> Message:
        """Raises ValueError where it is no message at all."""
        async with self._one_at_a_time:
            hosts = Hosts()
            fields = await gradually(pieces(body.decode(), "hosts", hosts.take))
            if not isinstance(fields, dict):
                raise ValueError(f"a message is no {type(fields).__name__}")  # noqa: TRY004 - the peer's mistake
            info = fields.get("serviceInfo")
            if not isinstance(info, dict):
                return Message(fields, key("", ""), Unreadable("no list"))
            about = key(str(info.get("name")), str(info.get("groupName")))
            try:
                found = await self._listing(about, info, hosts)
            except ValueError as error:
                return Message(fields, about, Unreadable(str(error)[:200]))
            return Message(fields, about, found)

    async def _listing(self, about: ServiceKey, info: dict[str, Any], hosts: Hosts) -> Listing:
        rest = info.pop("hosts", [])  # not empty only where the message was read in one piece
        if not isinstance(rest, list):
            raise ValueError(f"hosts is {type(rest).__name__}")  # noqa: TRY004 - as above
        for host in rest:
            hosts.take(host)
        known = self._last.get(about)
        instances = await gradually(kept(hosts.instances(), known.instances if known else ()))
        listing = Listing(instances, protect=info.get("reachProtectionThreshold") is True)
        self._last[about] = listing
        return listing
