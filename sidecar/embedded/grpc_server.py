"""The gRPC face: raw-byte handlers for the two methods that Nacos clients call.

The library listens on a loopback port of its own; the gate before it owns the clients' connections. A client
is registered by ConnectionSetup on its stream and gone when that stream ends; its ephemeral instances go with it.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import grpc
import grpc.aio

from sidecar import clock
from sidecar.embedded import messages
from sidecar.embedded.auth import Doorman
from sidecar.embedded.connections import Connection, Connections, Seen
from sidecar.embedded.detection import Detector
from sidecar.embedded.faults import (
    Abilities,
    Afterwards,
    Answer,
    EndStreams,
    Negotiation,
    Starting,
    StreamStatus,
)
from sidecar.embedded.gate import Gate, Link
from sidecar.embedded.in_force import Faults
from sidecar.embedded.messages import STARTING, RequestError
from sidecar.embedded.model import PUBLIC
from sidecar.embedded.pushes import Pushes
from sidecar.embedded.requests import Body, Requests, read_body
from sidecar.embedded.tls import ServerTls
from sidecar.tasks import spawn
from sidecar.wire import Payload, WireError, decode, encode

_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 32 << 20),
    ("grpc.max_send_message_length", -1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
"""Lists of any size; keepalive pings as often as clients like. Ports are not shared, so a taken one is an error."""

_TRAILERS_LEAVE_S = 0.05
"""Between the end of a stream and the close of its connection, so that the client reads the status first."""

Context = grpc.aio.ServicerContext[bytes, bytes]


class GrpcServer:
    """Serves one registry's state; a fresh one after each start."""

    __slots__ = ("_connections", "_detector", "_faults", "_pushes", "_requests", "_server", "gate")

    def __init__(
        self,
        connections: Connections,
        pushes: Pushes,
        detector: Detector,
        faults: Faults,
        doorman: Doorman,
        *,
        tls: ServerTls | None = None,
    ) -> None:
        self._connections = connections
        self._pushes = pushes
        self._detector = detector
        self._faults = faults
        self._requests = Requests(pushes, doorman)
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "Request", {"request": grpc.unary_unary_rpc_method_handler(self._unary)}
                ),
                grpc.method_handlers_generic_handler(
                    "BiRequestStream", {"requestBiStream": grpc.stream_stream_rpc_method_handler(self._stream)}
                ),
            )
        )
        inner = "127.0.0.1:0"
        self.gate = Gate(
            self._server.add_secure_port(inner, tls.credentials()) if tls else self._server.add_insecure_port(inner)
        )

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self.gate.close()
        await self._server.stop(grace=None)

    async def _unary(self, data: bytes, context: Context) -> bytes:
        payload, link = await self._received(data, context)
        connection = self._connections.of(link)
        identity = connection.id if connection else _connection_id(link)
        self._connections.saw(Seen(clock.wall(), identity, payload.type, payload.headers))
        if connection is not None:
            connection.last_active = asyncio.get_running_loop().time()
        fault = self._faults.take(Answer, payload.type)
        if fault is not None:
            await _delayed_or_denied(fault, context)
        if fault is not None and fault.error is not None:
            return encode(messages.error(fault.error, fault.message))
        answer = self._answer(link, connection, payload)
        return encode(Payload(fault.type, answer.body) if fault is not None and fault.type else answer)

    def _answer(self, link: Link, connection: Connection | None, payload: Payload) -> Payload:
        if self._faults.find(Starting):
            return messages.error(STARTING, "server is starting, try later")
        if payload.type == "ServerCheckRequest":
            offered = self._faults.now(Negotiation).mode is not Abilities.NONE
            return messages.ok(
                "ServerCheckResponse", connectionId=_connection_id(link), supportAbilityNegotiation=offered
            )
        return self._requests.answer(connection, payload)

    async def _stream(self, requests: AsyncIterator[bytes], context: Context) -> None:
        connection = await self._set_up(requests, context)
        if connection is None:
            return
        reader = spawn(self._read(requests, connection), name="registry-stream")
        try:
            await self._write(connection, context)
        finally:
            reader.cancel()
            self._gone(connection)
        await self._finish(connection, context)

    async def _set_up(self, requests: AsyncIterator[bytes], context: Context) -> Connection | None:
        """The connection of a stream whose first message is ConnectionSetup; anything else ends the stream."""
        first = await anext(aiter(requests), None)
        if first is None:
            return None
        payload, link = await self._received(first, context)
        if self._faults.find(Starting):
            await context.write(encode(messages.connect_reset(self._pushes.next_id())))
            return None
        try:
            body = read_body(payload)
        except RequestError:
            return None
        if payload.type != "ConnectionSetupRequest":
            return None
        connection = _connection(link, body)
        self._connections.add(connection)
        self._connections.saw(Seen(clock.wall(), connection.id, payload.type, payload.headers))
        if body.get("abilityTable") is not None and self._faults.now(Negotiation).mode is Abilities.ACKED:
            connection.send(messages.setup_ack(self._pushes.next_id()))
        return connection

    async def _write(self, connection: Connection, context: Context) -> None:
        async def write(payload: Payload) -> None:
            await context.write(encode(payload))

        async for item in connection.outgoing():
            if isinstance(item, Payload):
                await write(item)
            else:
                await self._pushes.deliver(connection, item, write)

    async def _read(self, requests: AsyncIterator[bytes], connection: Connection) -> None:
        """Books the answers of a client until it ends its side of the stream."""
        async for data in requests:
            try:
                payload = decode(data)
                body = json.loads(payload.body or b"{}")
            except ValueError:
                continue
            good = not body.get("errorCode")
            connection.acked(payload.type, str(body.get("requestId", "")), asyncio.get_running_loop().time(), ok=good)
            if payload.type == "ClientDetectionResponse":
                self._detector.answered(connection)
        connection.end(EndStreams())

    async def _finish(self, connection: Connection, context: Context) -> None:
        ending = connection.ending or EndStreams()
        if ending.afterwards is Afterwards.CLOSED:
            asyncio.get_running_loop().call_later(_TRAILERS_LEAVE_S, connection.link.close)
        if ending.status is StreamStatus.CANCELLED:
            await context.abort(grpc.StatusCode.CANCELLED, "ended by the server")

    def _gone(self, connection: Connection) -> None:
        """The stream is over: unless only the stream was to end, the client and what it registered are gone."""
        connection.forget_unacked()
        connection.deaf = True
        if connection.ending is not None and connection.ending.afterwards is Afterwards.SERVED:
            connection.link.when_lost(lambda: self._forget(connection))
        else:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        self._connections.remove(connection)
        self._pushes.naming.withdraw_client(connection.id)

    async def _received(self, data: bytes, context: Context) -> tuple[Payload, Link]:
        port = int(context.peer().rpartition(":")[2])
        link = self.gate.link(port)
        try:
            payload = decode(data)
        except WireError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if link is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection is gone")
        return payload, link


def _connection(link: Link, body: Body) -> Connection:
    now = asyncio.get_running_loop().time()
    return Connection(
        id=_connection_id(link),
        link=link,
        version=body.get("clientVersion") or "unknown",
        namespace=body.get("tenant") or PUBLIC,
        labels=body.get("labels") or {},
        opened_at=now,
        last_active=now,
    )


def _connection_id(link: Link) -> str:
    return f"{int(link.accepted_at * 1000)}_{link.peer[0]}_{link.peer[1]}"


async def _delayed_or_denied(fault: Answer, context: Context) -> None:
    await asyncio.sleep(fault.delay_s)
    if fault.never:
        await asyncio.get_running_loop().create_future()
    if fault.status:
        await context.abort(grpc.StatusCode[fault.status], fault.message)
