"""One gRPC connection of the app, and the one to a real server that stands for it: everything passes, lists are ours.

**Alone:** when no server can be reached, or the one that was there is gone, the app's connection stays. Checks and lists
are answered here, all else fails honestly. As soon as a server takes clients again the app's stream is ended: its client
comes anew and does again what it wants to be known of it, registrations and subscriptions.

**A server that is silent** is one that is gone, after three requests for lists or health in a row without an answer.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from sidecar.facade import answers
from sidecar.facade.lists import about
from sidecar.facade.names import PUBLIC, address_of, listed
from sidecar.facade.offers import Offer, Offers
from sidecar.facade.registry import Registry
from sidecar.facade.telling import Key, Telling, named_in, text_of
from sidecar.facade.upstream import SERVER_CHECK, Upstream, Upstreams
from sidecar.facade.wanted import Wanted
from sidecar.tasks import spawn
from sidecar.wire import WireError, decode, encode, kind_of

PATIENCE = 2.0
"""Seconds for what can be answered without the server, too; clients give us three."""

SILENT_AFTER = 3

SETTLES = 0.1
"""Seconds between setting a connection up and the first request on it: servers register it beside reading on, and so
clients pause as long, but between their two messages to us the way to the server may have been opened."""

GATHER = 0.05
"""Seconds in which changes of a list become one push of ours."""

_PATIENT = {*answers.LISTS, "HealthCheckRequest"}
_OWN = "sidecar-"
_END_OF_STREAM: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs
_OVER = (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError)
"""What writing on a stream that has ended raises; the end itself is seen where the stream is read."""

_GONE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

Body = dict[str, Any]


class Client:
    """What one TCP connection of the app is to the registry."""

    def __init__(self, name: str, upstreams: Upstreams, offers: Offers, wall: Callable[[], float]) -> None:
        self.name = name
        self.busy = 0
        """Calls of the app that have not ended."""
        self.used_at = asyncio.get_running_loop().time()
        self._upstreams = upstreams
        self._offers = offers
        self._telling = Telling(wall)
        self._id = f"{int(wall() * 1000)}_{name}"
        self._namespace = PUBLIC
        self._upstream: Upstream | None = None
        self._check = b""
        self._alone = False
        self._opening = asyncio.Lock()
        self._write: Callable[[bytes], Awaitable[None]] | None = None
        self._writing = asyncio.Lock()
        self._set_up: asyncio.Future[float] | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._silent = 0
        self._stale: dict[Key, Offer] = {}
        self._pushing: asyncio.Task[None] | None = None
        self._ids = itertools.count(1)
        self._closed = False

    def __repr__(self) -> str:
        way = "alone" if self._alone else f"by {self._upstream}"
        return f"<Client {self.name} {way}, {self._telling!r}>"

    async def ask(self, data: bytes, limit: float | None) -> tuple[bytes, str]:
        """The answer to a request, and what kind it is of: passed, rewritten, answered, failed.

        Raises WireError where it is no message, and grpc.aio.AioRpcError as the server does.
        """
        kind = kind_of(data)
        if kind == "ServerCheckRequest":
            return await self._checked(data)
        upstream = await self._reached(SERVER_CHECK)
        body = _body(data) if kind in answers.LISTS or kind.endswith("InstanceRequest") else {}
        self._note(kind, body)
        if upstream is not None:
            await self._settled()
            try:
                answer = await upstream.ask(data, _limit(kind, limit))
            except grpc.aio.AioRpcError as error:
                if not self._bear(kind, error):
                    raise
            else:
                self._silent = 0
                return await self._heard(kind, body, answer)
        return await self._answer(kind, body)

    async def converse(self, requests: AsyncIterator[bytes], write: Callable[[bytes], Awaitable[None]]) -> None:
        """The stream, until the app leaves, or is to come anew."""
        setup = await anext(aiter(requests), None)
        if setup is None:
            return
        self._set_up = asyncio.get_running_loop().create_future()
        self._namespace = _tenant(setup)
        self._write = write
        tasks: list[asyncio.Task[None]] = []
        try:
            call = await self._introduced(setup)
            tasks.append(spawn(self._upward(requests, call), name="façade: to the registry"))
            if call is not None:
                self._hearing = spawn(self._downward(call), name="façade: from the registry")
                await asyncio.wait({self._hearing, tasks[0]}, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                self._lose()
                tasks.append(spawn(self._upstreams.back(), name="façade waits for the registry"))
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._write = None
            for task in (*tasks, self._hearing):
                if task is not None:
                    task.cancel()

    def heed(self, offer: Offer) -> None:
        """What is in force of a service has changed: the app may have to hear of it."""
        self._stale |= dict.fromkeys(self._telling.keys(offer.named), offer)
        if self._stale and (self._pushing is None or self._pushing.done()):
            self._pushing = spawn(self._push(), name="façade pushes")

    def part_from_others(self, registry: Registry) -> None:
        """A server that is none of these is left."""
        if self._upstream is not None and str(self._upstream.node) not in map(str, registry.in_turn()):
            self._lose()

    async def close(self) -> None:
        """The app has left: so has the client, to the registry."""
        self._closed = True
        for task in (self._pushing, self._hearing):
            if task is not None:
                task.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            await upstream.close()

    # the way to the server

    async def _reached(self, check: bytes) -> Upstream | None:
        """The connection to a server, made by whichever call of the app comes first."""
        async with self._opening:
            if self._upstream is None and not (self._alone and self._write is not None):
                found = await self._upstreams.open(check)
                self._alone = found is None
                if found is not None:
                    self._upstream, self._check = found
                if self._closed:
                    await self.close()
        return self._upstream

    async def _checked(self, data: bytes) -> tuple[bytes, str]:
        upstream = await self._reached(data)
        if upstream is None:
            return encode(answers.checked(self._id)), "answered"
        return self._check, "passed"

    async def _introduced(self, setup: bytes) -> Any:
        """The stream to the server; None where there is none."""
        upstream = await self._reached(SERVER_CHECK)
        call = upstream.stream() if upstream is not None else None
        if call is not None:
            with suppress(*_OVER):
                await call.write(setup)
        if self._set_up is not None:
            self._set_up.set_result(asyncio.get_running_loop().time())
        return call

    async def _settled(self) -> None:
        """Not before the server has taken note of the connection."""
        if self._set_up is not None:
            since = await asyncio.shield(self._set_up)
            if (early := since + SETTLES - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(early)

    async def _upward(self, requests: AsyncIterator[bytes], call: Any) -> None:
        """What the app says on its stream goes on, but for its answers to pushes of ours."""
        async for data in requests:
            if call is not None and not self._alone and not self._is_ours(data):
                with suppress(*_OVER):
                    await call.write(data)

    async def _downward(self, call: Any) -> None:
        """What the server says on its stream, until it ends."""
        with suppress(grpc.aio.AioRpcError):
            while (data := await call.read()) is not _END_OF_STREAM:
                await self._tell(data)

    async def _tell(self, data: bytes) -> None:
        kind = _kind(data)
        if kind == "NotifySubscriberRequest":
            async with self._telling.in_order:
                await self._send(await self._list_of(data))
            return
        if kind == "ConnectResetRequest":
            reset = _body(data)
            self._upstreams.registry.prefer(str(reset.get("serverIp", "")), reset.get("serverPort"))
        await self._send(data)

    async def _list_of(self, data: bytes) -> bytes:
        info = await about(text_of(data))
        named = named_in(info, self._namespace)
        offer = self._offers.find(named) if named is not None else None
        if offer is None:
            return data
        return await self._telling.push(data, offer, Key(offer.named, str(info.get("clusters") or "")))

    async def _send(self, data: bytes) -> None:
        async with self._writing:
            if self._write is not None:
                with suppress(*_OVER):
                    await self._write(data)

    def _bear(self, kind: str, error: grpc.aio.AioRpcError) -> bool:
        """Whether we answer instead of the server."""
        if error.code() in _GONE:
            self._lose()
            return True
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or kind not in _PATIENT:
            return False
        self._silent += 1
        if self._silent >= SILENT_AFTER:
            self._lose()
        return True

    def _lose(self) -> None:
        """The server is gone, as far as this connection goes."""
        self._alone = True
        self._telling.deaf()
        if self._hearing is not None:
            self._hearing.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            self._upstreams.registry.failed(upstream.node)
            spawn(upstream.close(), name="façade leaves a server")

    # what is said

    async def _heard(self, kind: str, body: Body, answer: bytes) -> tuple[bytes, str]:
        if kind not in answers.LISTS or _kind(answer) != answers.LISTS[kind]:
            return answer, "passed"
        offer, wanted, key = self._asked(kind, body)
        if offer is None or _unsubscribes(kind, body):
            return answer, "passed"
        async with self._telling.in_order:
            told = await self._telling.answer(answer, offer, wanted, key)
        return told, "passed" if told is answer else "rewritten"

    async def _answer(self, kind: str, body: Body) -> tuple[bytes, str]:
        """Without the server."""
        if kind == "HealthCheckRequest":
            return encode(answers.healthy() if self._write is not None else answers.unregistered()), "answered"
        if kind in answers.LISTS:
            offer, wanted, key = self._asked(kind, body)
            if offer is not None and offer.known:
                async with self._telling.in_order:
                    clusters = key.clusters if key else ",".join(sorted(wanted.clusters))
                    return await self._telling.answer_alone(kind, offer, wanted, clusters, key), "answered"
        return encode(answers.failed(kind)), "failed"

    def _asked(self, kind: str, body: Body) -> tuple[Offer | None, Wanted, Key | None]:
        """Of which service of ours a list is asked for; `key` where it is to be told of from now on."""
        named = named_in(body, self._namespace)
        offer = self._offers.find(named) if named is not None else None
        clusters = body.get("clusters") or body.get("cluster") or ""
        wanted = Wanted(listed(clusters), healthy_only=body.get("healthyOnly") is True)
        subscribes = kind == "SubscribeServiceRequest" and named is not None
        return offer, wanted, Key(named, str(clusters)) if subscribes and named is not None else None

    def _note(self, kind: str, body: Body) -> None:
        """Takes note of what the app wants to be told, and to be known of it."""
        if kind in answers.LISTS:
            _, wanted, key = self._asked(kind, body)
            if key is not None and _unsubscribes(kind, body):
                self._telling.unsubscribe(key)
            elif key is not None:
                self._telling.subscribe(key, wanted)
        elif (named := named_in(body, self._namespace)) is not None and (offer := self._offers.find(named)) is not None:
            act = offer.deregistered if body.get("type") == "deregisterInstance" else offer.registered
            act(_addresses(body))

    def _is_ours(self, data: bytes) -> bool:
        if _kind(data) != "NotifySubscriberResponse":
            return False
        return str(_body(data).get("requestId", "")).startswith(_OWN)

    async def _push(self) -> None:
        """News of ours, some at a time."""
        while self._stale:
            await asyncio.sleep(GATHER)
            stale, self._stale = self._stale, {}
            for key, offer in stale.items():
                async with self._telling.in_order:
                    request_id = f"{_OWN}{next(self._ids)}"
                    data = await self._telling.news(offer, key, request_id, alone=self._alone)
                    if data is not None:
                        await self._send(data)


def _limit(kind: str, given: float | None) -> float | None:
    if kind not in _PATIENT:
        return given
    return PATIENCE if given is None else min(PATIENCE, given)


def _kind(data: bytes) -> str:
    """Empty where it is no message: then it is somebody else's business."""
    with suppress(WireError):
        return kind_of(data)
    return ""


def _body(data: bytes) -> Body:
    """The fields of a message; none where it is no object, or one that is nested without end."""
    with suppress(WireError, ValueError, RecursionError):
        found = json.loads(decode(data).body)
        if isinstance(found, dict):
            return found
    return {}


def _tenant(setup: bytes) -> str:
    tenant = _body(setup).get("tenant")
    return tenant if isinstance(tenant, str) and tenant else PUBLIC


def _unsubscribes(kind: str, body: Body) -> bool:
    return kind == "SubscribeServiceRequest" and body.get("subscribe") is False


def _addresses(body: Body) -> list[str]:
    """Of the instances that a registration is about."""
    found = [body.get("instance"), *(body.get("instances") or ())]
    return [address_of(str(one["ip"]), one.get("port")) for one in found if isinstance(one, dict) and "ip" in one]
