"""The HTTP face: 1.x clients, logins, whatever else is asked of a Nacos over HTTP. All passes, lists are ours.

One task a connection of the app; a request of it is one exchange with a real server. An answer that is not HTTP, as some
servers give one, passes as the bytes that came.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from urllib.parse import parse_qsl

from sidecar.cluster.stats import ProcessStats
from sidecar.facade import answers
from sidecar.facade.http1 import (
    End,
    Event,
    Fields,
    NotHttpError,
    Request,
    RequestReader,
    Response,
    chunk,
    end_to_end,
    request_head,
    response_head,
    value,
)
from sidecar.facade.http_lists import Answered, HttpLists
from sidecar.facade.http_nodes import AwayError, Exchange, HttpNodes
from sidecar.facade.http_paths import (
    asks_for_health,
    asks_for_servers,
    is_registration,
    list_request,
    registration,
)
from sidecar.facade.offers import Offers
from sidecar.tasks import spawn

MOST_CONNECTIONS = 512

PATIENCE = 75.0
"""Seconds without a word between two requests, or within one; clients of 1.x come every few seconds."""

WATCHED = 0.25
"""Seconds between two looks whether the app is still there, while a server thinks for up to half a minute."""

HALF_CLOSED = 5.0
"""Seconds for which an app that has ended its side is taken to be waiting for its answer."""

LARGEST_FORM = 64 * 1024
"""Bytes of a registration."""

PROTOCOL = "http"

UNANSWERED = "sidecar: the Nacos server gave no answer"

_PIECE = 64 * 1024
_FORM = b"application/x-www-form-urlencoded"


class _BodyError(NotHttpError):
    """The app has begun a request whose rest cannot be read, or does not come."""


class HttpFace:
    """One port; made and closed on the running loop."""

    def __init__(self, nodes: HttpNodes, offers: Offers, stats: ProcessStats, wall: Callable[[], float]) -> None:
        self.nodes = nodes
        """For requests to come."""
        self.offers = offers
        self.stats = stats
        self.lists = HttpLists(wall)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<HttpFace {len(self._connections)} connections>"

    def __len__(self) -> int:
        """Connections of the app."""
        return len(self._connections)

    async def open(self, host: str, port: int) -> int:
        """Binds and accepts; the port as bound. Raises OSError where it cannot be had."""
        self._server = await asyncio.start_server(self._accept, host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self, grace: float) -> None:
        """Stops to accept; requests under way get `grace` seconds."""
        if self._server is not None:
            self._server.close()
        if self._connections and grace:
            await asyncio.wait(self._connections, timeout=grace)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        task = spawn(_Connection(self, reader, writer).serve(), name="façade connection")
        self._connections.add(task)
        task.add_done_callback(self._gone)
        self.stats.facade_connections[PROTOCOL] = len(self)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self.stats.facade_connections[PROTOCOL] = len(self)


class _Connection:
    """One connection of the app: requests are answered one after another."""

    def __init__(self, face: HttpFace, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._face = face
        self._reader = reader
        self._writer = writer
        self._requests = RequestReader()
        self._begun = False
        """Something of the answer to the request under way has been written."""

    async def serve(self) -> None:
        try:
            while await self._one():
                pass
        except NotHttpError as error:
            with suppress(OSError, TimeoutError):
                await self._answer(None, _local(400, b"Bad Request", str(error)), keep_alive=False)
        except (OSError, TimeoutError):
            pass  # the app has left, or says nothing
        finally:
            self._writer.close()

    async def _one(self) -> bool:
        """Serves one request; whether another one may follow."""
        async with asyncio.timeout(PATIENCE):
            request = await self._event()
        if not isinstance(request, Request):
            return False
        self._begun = False
        if request.method == "CONNECT":
            return await self._answer(request, _local(501, b"Not Implemented", "no tunnels"), keep_alive=False)
        if asks_for_servers(request):
            return await self._serve_locally(request, _servers(request))
        body = await self._form(request) if is_registration(request) else None
        if (asked := list_request(request)) is not None and (offer := self._face.offers.find(asked.named)) is not None:
            await self._drop_body()
            answered = await self._face.lists.answer(asked, request.fields, offer, self._face.nodes)
            return await self._answer(request, answered or _away(), keep_alive=request.keep_alive)
        return await self._pass(request, body)

    async def _serve_locally(self, request: Request, answered: Answered) -> bool:
        await self._drop_body()
        return await self._answer(request, answered, keep_alive=request.keep_alive)

    # what passes

    async def _pass(self, request: Request, body: bytes | None) -> bool:
        try:
            async with self._face.nodes.exchange(request.method) as exchange:
                watching = spawn(self._left(exchange), name="façade request")
                try:
                    keep_alive = await self._carry(request, body, exchange)
                finally:
                    watching.cancel()
        except AwayError:
            answered = _health() if asks_for_health(request) else _away()
        except _BodyError:
            raise
        except (NotHttpError, OSError, TimeoutError):
            if self._begun:
                self._count("failed")
                self._writer.transport.abort()  # so that a cut answer is not taken for a whole one
                return False
            answered = _local(502, b"Bad Gateway", UNANSWERED)
        else:
            self._count("passed")
            return keep_alive
        return await self._answer(request, answered, keep_alive=False)

    async def _left(self, exchange: Exchange) -> None:
        """Ends the exchange when the app is gone; what it says meanwhile is for later."""
        ended = 0.0
        while ended < HALF_CLOSED and not self._writer.transport.is_closing():  # the stream has no event for it
            await asyncio.sleep(WATCHED)
            ended = ended + WATCHED if self._reader.at_eof() else 0.0
        exchange.close()

    async def _carry(self, request: Request, body: bytes | None, exchange: Exchange) -> bool:
        """Request there, answer back; whether another request may follow."""
        await self._send(request, body, exchange)
        keep_alive = request.keep_alive
        framed = False
        try:
            async for event in exchange.events():
                if isinstance(event, Response):
                    framed = event.length is not None or request.method == "HEAD" or event.status in {204, 304}
                    keep_alive = await self._head(request, event, framed=framed, node=str(exchange.node))
                elif isinstance(event, bytes):
                    await self._write(event if framed or request.minor == 0 else chunk(event))
                elif not framed and request.minor > 0:
                    await self._write(chunk(b""))
        except NotHttpError:
            if self._begun or not exchange.raw:
                raise
            await self._write(exchange.raw)
            while data := await exchange.more():
                await self._write(data)
            return False
        return keep_alive

    async def _send(self, request: Request, body: bytes | None, exchange: Exchange) -> None:
        fields = end_to_end(request.fields)
        if body is not None:
            fields = [*end_to_end(request.fields, b"content-length"), (b"Content-Length", b"%d" % len(body))]
        sized = value(fields, b"content-length") is not None
        chunked = not sized and value(request.fields, b"transfer-encoding") is not None
        await exchange.send(request_head(request.method, request.target, fields, chunked=chunked) + (body or b""))
        if body is not None:
            return
        if value(request.fields, b"expect") is not None:
            await self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._begun = False
        async for piece in self._body():
            await exchange.send(chunk(piece) if chunked else piece)
        if chunked:
            await exchange.send(chunk(b""))

    async def _head(self, request: Request, response: Response, *, framed: bool, node: str) -> bool:
        keep_alive = request.keep_alive and (framed or request.minor > 0)
        fields = [_redirected(one, node, request) for one in end_to_end(response.fields)]
        chunked = not framed and request.minor > 0
        head = response_head(response, fields, chunked=chunked, keep_alive=keep_alive, minor=request.minor)
        await self._write(head)
        return keep_alive

    # what is ours

    async def _form(self, request: Request) -> bytes:
        """All of a registration, which is taken note of."""
        pieces, size = [], 0
        async for piece in self._body():
            size += len(piece)
            if size > LARGEST_FORM:
                raise NotHttpError(f"a registration of more than {LARGEST_FORM} bytes")
            pieces.append(piece)
        body = b"".join(pieces)
        kind = value(request.fields, b"content-type") or b""
        form = dict(parse_qsl(body.decode("latin-1"))) if kind.startswith(_FORM) else {}
        found = registration(request, form)
        offer = self._face.offers.find(found.named) if found is not None else None
        if offer is not None and found is not None:
            act = offer.deregistered if found.withdrawn else offer.registered
            act([found.address])
            offer.changed_at = asyncio.get_running_loop().time()
        return body

    async def _answer(self, request: Request | None, answered: Answered, *, keep_alive: bool) -> bool:
        """An answer that is there as a whole."""
        self._count(answered.result)
        minor = request.minor if request is not None else 1
        fields = [*answered.fields, (b"Content-Length", b"%d" % len(answered.body))]
        head = response_head(answered.response, fields, chunked=False, keep_alive=keep_alive, minor=minor)
        await self._write(head if request is not None and request.method == "HEAD" else head + answered.body)
        return keep_alive

    def _count(self, result: str) -> None:
        self._face.stats.facade_requests[PROTOCOL, result] += 1

    # bytes

    async def _event(self) -> Event | None:
        """What the app says next; None when it says no more. Raises NotHttpError."""
        while (event := self._requests.next()) is None:
            data = await self._reader.read(_PIECE)
            if not data:
                return None
            self._requests.feed(data)
        return event

    async def _body(self) -> AsyncIterator[bytes]:
        """The pieces of the request under way; raises _BodyError, and ConnectionError where they end before it."""
        while (event := await self._rest()) is not End.END:
            if not isinstance(event, bytes):
                raise ConnectionResetError("the app left in the middle of a request")
            yield event

    async def _rest(self) -> Event | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._event()
        except TimeoutError as error:
            raise _BodyError(f"nothing more of the request in {PATIENCE:g} s") from error
        except NotHttpError as error:
            raise _BodyError(str(error)) from error

    async def _drop_body(self) -> None:
        async for _ in self._body():
            pass

    async def _write(self, data: bytes) -> None:
        self._begun = True
        self._writer.write(data)
        async with asyncio.timeout(PATIENCE):
            await self._writer.drain()


def _servers(request: Request) -> Answered:
    """We are the only server, at the address by which the app came."""
    host = value(request.fields, b"host") or b""
    return Answered(Response(200, b"OK", []), [(b"Content-Type", b"text/plain")], host + b"\n", "answered")


def _health() -> Answered:
    return Answered(Response(200, b"OK", []), [(b"Content-Type", b"application/json")], b'{"status":"UP"}', "answered")


def _away() -> Answered:
    return _local(503, b"Service Unavailable", answers.AWAY)


def _local(status: int, reason: bytes, text: str) -> Answered:
    fields: Fields = [(b"Content-Type", b"text/plain; charset=utf-8")]
    return Answered(Response(status, reason, []), fields, f"{text}\n".encode(), "failed")


def _redirected(one: tuple[bytes, bytes], node: str, request: Request) -> tuple[bytes, bytes]:
    """A redirect to the very server leads past us, unless it leads to where the app came."""
    name, content = one
    host = value(request.fields, b"host")
    if name.lower() == b"location" and host is not None:
        for scheme in (b"http://", b"https://"):
            if content.startswith((scheme + node.encode() + b"/", scheme + node.encode() + b"?")):
                content = b"http://" + host + content[len(scheme) + len(node) :]
    return name, content
