"""Lists over HTTP: asked of a real server as often as ever, told to the app as often as it likes.

Clients of 1.x hear of changes by asking again, since no push of the server's may reach them unguarded. They are told to
do so each second, and what a server said is given to them for as long as they used to keep it; a change that we hear of
ends that at once. So the app is not later than with pushes, and the servers are asked no more than before.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sidecar.facade.http1 import Fields, NotHttpError, Response, end_to_end, request_head, value
from sidecar.facade.http_nodes import AwayError, HttpNodes, whole
from sidecar.facade.http_paths import CACHE_MILLIS, ListRequest
from sidecar.facade.lists import ListText, read
from sidecar.facade.offers import Offer
from sidecar.facade.telling import Stamps

KEPT_FOR = 10.0
"""Seconds for which an answer of a server is given again: what servers tell clients of 1.x to do."""

UNSETTLED = 2.0
"""Seconds after a change in which servers may still answer with the list before, and other nodes for longer than one:"""

KEPT_BRIEFLY = 1.0
"""seconds for which such an answer is kept."""

MOST_ANSWERS = 256
MOST_KEPT = 32 << 20
"""Questions whose answers are kept, and characters of all these answers."""

LARGEST = 32 << 20
"""Bytes of a list."""

_ASKED_OTHERWISE = (b"accept-encoding", b"if-none-match", b"if-modified-since")
_ANSWERED_OTHERWISE = (b"content-length", b"content-encoding", b"etag", b"last-modified", b"vary")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer for the app; `result` as it is counted."""

    response: Response
    fields: Fields
    body: bytes
    result: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a server said."""

    response: Response
    heard: ListText
    at: float

    @property
    def size(self) -> int:
        """In characters."""
        return len(self.heard.text)


class HttpLists:
    """Answers to questions about lists of ours."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._stamps = Stamps(wall)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<HttpLists {len(self._kept)} kept>"

    def forget(self) -> None:
        """Another configuration: other servers, perhaps."""
        self._kept.clear()
        self._size = 0

    async def answer(self, asked: ListRequest, fields: Fields, offer: Offer, nodes: HttpNodes) -> Answered | None:
        """What the app is told; None where no server can be asked and we do not know either."""
        loop = asyncio.get_running_loop()
        key = f"{asked.key} {value(fields, b'accesstoken')!r} {value(fields, b'authorization')!r}"
        kept = self._kept.get(key)
        if kept is None or not _fresh(kept, offer, loop.time()):
            try:
                answer = await self._ask(asked, fields, nodes, kept)
            except (AwayError, NotHttpError, OSError, TimeoutError):
                return await self._alone(asked, offer)
            if isinstance(answer, Answered):
                starting = answer.response.status >= 500
                return (await self._alone(asked, offer) if starting else None) or answer
            kept = answer
            self._keep(key, asked, kept)
        return await self._told(kept, asked, offer)

    def _keep(self, key: str, asked: ListRequest, kept: _Kept) -> None:
        if not asked.kind.polled:
            return
        older = self._kept.pop(key, None)
        self._kept[key] = kept
        self._size += kept.size - (older.size if older is not None else 0)
        while len(self._kept) > MOST_ANSWERS or self._size > MOST_KEPT:
            _, dropped = self._kept.popitem(last=False)
            self._size -= dropped.size

    async def _ask(self, asked: ListRequest, fields: Fields, nodes: HttpNodes, known: _Kept | None) -> _Kept | Answered:
        """A list, or an answer that is none and is passed on."""
        sent = end_to_end(fields, *_ASKED_OTHERWISE)
        async with nodes.exchange("GET") as exchange:
            await exchange.send(request_head("GET", asked.target, sent, chunked=False))
            response, body = await whole(exchange, LARGEST)
        if not isinstance(response, Response):
            raise NotHttpError("no answer")
        heard = None
        if response.status == 200:
            heard = await read(body.decode("utf-8", "replace"), asked.kind.path, known.heard if known else None)
        if heard is None:
            return Answered(response, end_to_end(response.fields, b"content-length"), body, "passed")
        return _Kept(response, heard, asyncio.get_running_loop().time())

    async def _told(self, kept: _Kept, asked: ListRequest, offer: Offer) -> Answered:
        async with self._one_at_a_time:
            told = await offer.told(kept.heard, asked.wanted)
            offer.heard(kept.heard, told, asked.wanted)
            offered = kept.heard.ref_time
            stamp = None if offered is None else self._stamps.passed(asked.named, offered, told.hosts, asked.clusters)
            text = kept.heard.with_hosts(told.hosts, ref_time=stamp, cache_millis=CACHE_MILLIS)
        fields = end_to_end(kept.response.fields, *_ANSWERED_OTHERWISE)
        return Answered(kept.response, fields, text.encode(), "rewritten")

    async def _alone(self, asked: ListRequest, offer: Offer) -> Answered | None:
        if asked.kind.alone is None or not offer.known:
            return None
        async with self._one_at_a_time:
            told = await offer.told(None, asked.wanted)
            offer.count("answered")
            stamp = self._stamps.made(asked.named, told.hosts, asked.clusters)
        text = asked.kind.alone(asked.named, asked.clusters, told.hosts, stamp)
        return Answered(
            Response(200, b"OK", []), [(b"Content-Type", b"application/json;charset=UTF-8")], text.encode(), "answered"
        )


def _fresh(kept: _Kept, offer: Offer, now: float) -> bool:
    """Whether it may be given again."""
    if kept.at <= offer.changed_at:
        return False
    unsettled = kept.at - offer.changed_at < UNSETTLED
    return now - kept.at < (KEPT_BRIEFLY if unsettled else KEPT_FOR)
