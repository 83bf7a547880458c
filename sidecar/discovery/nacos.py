"""One throw-away client of nacos-sdk-python is one registry session; nothing else here imports `v2`.

Why so little of the library: what goes wrong in it (docs/reference/client-library.md) sits in its cache, its files,
its logs, its redo timer, its login and its own reconnecting. None of these is started. Used are the handshake, the
messages and the naming requests; lists are taken from the stream before the library's cache can drop one. A session
therefore never changes its connection: whatever ends the connection ends the session.

These are inner objects, so the version is pinned exactly and the integration tests are the contract.
"""

import asyncio
import functools
import logging
import os
import socket
import uuid
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from sidecar.discovery.absent import absent
from sidecar.discovery.access import Access
from sidecar.discovery.gradual import decoded
from sidecar.discovery.message import Message, MessageReader
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import (
    ErrorAnswer,
    Listing,
    Owner,
    RequestError,
    ServiceKey,
    Trouble,
    Unanswered,
    Unreadable,
)
from sidecar.discovery.tls import trust

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before grpc is loaded: it writes GOAWAY lines to stderr otherwise

with absent(), warnings.catch_warnings(action="ignore"):  # of things deprecated in it
    import grpc
    import grpc.aio
    from v2.nacos.common.client_config import ClientConfig, GRPCConfig
    from v2.nacos.common.constants import Constants
    from v2.nacos.common.nacos_exception import SERVER_ERROR, NacosException
    from v2.nacos.naming.model.naming_response import NotifySubscriberResponse
    from v2.nacos.naming.remote.naming_grpc_client_proxy import NamingGRPCClientProxy
    from v2.nacos.transport.grpc_client import GrpcClient
    from v2.nacos.transport.grpc_util import GrpcUtils
    from v2.nacos.transport.model.internal_request import ServerCheckRequest
    from v2.nacos.transport.model.internal_response import ConnectResetResponse
    from v2.nacos.transport.model.server_info import ServerInfo
    from v2.nacos.utils.net_util import NetUtils

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 32 << 20),  # gRPC's 4 MiB are about 10 000 hosts
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.use_local_subchannel_pool", 1),  # one TCP connection a session: the server counts connections as clients
    ("grpc.enable_retries", 0),  # the supervisor counts unanswered queries; hidden repeats would blur that
    ("grpc.enable_http_proxy", 0),  # the pod's proxy for the outside world does not know the registry
)

GREETING_TIMEOUT = 1.0
"""Seconds for TCP, TLS and the first frame of HTTP/2; the server's port was knocked at just before."""

_DECIDED = {
    grpc.ChannelConnectivity.READY,
    grpc.ChannelConnectivity.TRANSIENT_FAILURE,
    grpc.ChannelConnectivity.SHUTDOWN,
}

_log = logging.getLogger("sidecar")
logging.getLogger(Constants.NAMING_MODULE).setLevel(logging.CRITICAL)  # its ERROR lines carry request headers: tokens


@functools.lru_cache(maxsize=1)
def local_ip() -> str:
    """The source address of the default route, loopback where there is none; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737 §3: never assigned
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


NetUtils.get_local_ip = local_ip  # the original raises without a non-loopback IPv4, and asks the hollow psutil


class _Failed(NacosException):  # type: ignore[misc]  # the library is untyped
    """Carries one of our failures through the library, which passes its own exceptions on."""

    def __init__(self, failure: RequestError) -> None:
        super().__init__(SERVER_ERROR, str(failure))
        self.failure = failure


class NacosSession:
    """Implements `Session` for servers 2.x and 3.x over gRPC."""

    polls = False

    def __init__(self, server: Server, options: NacosOptions, owner: Owner, access: Access) -> None:
        config = ClientConfig(server_addresses=str(server), namespace_id=options.namespace, app_name=options.app_name)
        config.grpc_config = GRPCConfig(port_offset=options.grpc_port_offset)
        self._proxy = NamingGRPCClientProxy(config, None, None)  # without HTTP agent and cache: we use neither
        self._client = _Client(config, self._proxy.nacos_server_connector, server, options, owner, access)
        self._proxy.rpc_client = self._client

    async def open(self) -> None:
        """Channel, server check, stream, set-up: one try."""
        try:
            await self._client.start()
        except NacosException as error:
            raise _failure(error.__context__ or error) from error

    async def subscribe(self, key: ServiceKey) -> Listing:
        """Tells the server to push `key` on this connection."""
        return await self._list(self._proxy.do_subscribe(key.name, key.group, ""))

    async def query(self, key: ServiceKey) -> Listing:
        """Asks past every cache."""
        return await self._list(self._proxy.query_instance_of_service(key.name, key.group, "", False))

    async def close(self) -> int:
        """Closes the channel, then ends what the library leaves running: the redo timer, and the stream's reader."""
        leftovers = {self._proxy.redo_service._listen_task, *self._client.readers}  # noqa: SLF001 - no public handle
        self._client.readers.clear()
        await self._client.close()
        forced = [task for task in leftovers if task.cancel()]
        await asyncio.gather(*leftovers, return_exceptions=True)
        return len(forced)

    @staticmethod
    async def _list(request: Any) -> Listing:
        try:
            message: Message | None = await request
        except NacosException as error:
            raise _failure(error) from error
        if message is None:
            raise Unreadable("an answer without a list")
        return message.listing


class _Client(GrpcClient):  # type: ignore[misc]  # the library is untyped
    """The library's connection, without its second thoughts: one try to open, one try a request, no reconnecting."""

    def __init__(
        self, config: Any, connector: Any, server: Server, options: NacosOptions, owner: Owner, access: Access
    ) -> None:
        super().__init__(logging.getLogger(Constants.NAMING_MODULE), str(uuid.uuid4()), config, connector)
        self.put_all_labels(
            {Constants.LABEL_SOURCE: Constants.LABEL_SOURCE_SDK, Constants.LABEL_MODULE: Constants.NAMING_MODULE}
        )
        self._server = server
        self._tls = options.tls
        self._timeout = options.request_timeout
        self._owner = owner
        self._access = access
        self._messages = MessageReader()
        self._complained = False
        self._channels: list[grpc.aio.Channel] = []
        self.readers: set[asyncio.Task[Any] | None] = set()

    async def start(self) -> None:
        """Instead of three tries, three background tasks and a return that says nothing."""
        await self.register_server_request_handlers()
        self.current_connection = await self.connect_to_server(ServerInfo(self._server.host, self._server.grpc_port))
        if self.current_connection is None:
            raise _Failed(Unanswered("the server did not finish the handshake"))

    async def request(self, request: Any, timeout_millis: int = 0) -> Any:
        """Instead of three tries that hide the error code and end in a reconnect."""
        del timeout_millis

        async def send(headers: Mapping[str, str]) -> Any:
            request.put_all_headers(headers)
            return await self._send(request)

        try:
            return await self._access.granted(self._server, ServiceKey(request.serviceName, request.groupName), send)
        except RequestError as failure:
            raise _Failed(failure) from failure

    async def _send(self, request: Any) -> Any:
        try:
            payload = GrpcUtils.convert_request_to_payload(request)
            answer = await self.current_connection.client.request(payload, timeout=self._timeout)
            response = await self._read(answer, ServiceKey(request.serviceName, request.groupName))
        except Exception as error:
            raise _failure(error) from error
        if response.get_result_code() != 200:
            raise ErrorAnswer(response.get_error_code(), response.get_message())
        return response

    async def _read(self, payload: Any, expected: ServiceKey) -> Any:
        """An answer as the library has it, but for the list, which is ours; not in one piece, as its `parse` does it."""
        if (kind := GrpcUtils.remote_type.get(payload.metadata.type)) is None:
            raise Unreadable(f"an answer of type {payload.metadata.type!r}")
        message = await self._messages.read(payload.body.value, expected)
        response = kind.model_validate({**message.fields, "serviceInfo": None})
        if "serviceInfo" in kind.model_fields:
            response.serviceInfo = message
        return response

    async def close(self) -> None:
        """Every channel that was ever opened, those of failed handshakes too."""
        while self._channels:
            with suppress(Exception):  # a half-open channel may object to being closed; it is gone either way
                await self._channels.pop().close(None)
        self.current_connection = None  # its calls keep the socket open for as long as they can be reached

    async def _create_new_managed_channel(self, server_ip: str, grpc_port: int) -> grpc.aio.Channel:
        """With a real limit on message size, and an end at the first refusal instead of a wait for better days.

        A channel that could not be connected is returned all the same: the first request on it tells why. So is one to
        a server whose kernel accepts and that says nothing: waiting would cost the whole `open_timeout`.
        """
        del server_ip, grpc_port
        channel = await self._new_channel()
        self._channels.append(channel)
        with suppress(TimeoutError):
            async with asyncio.timeout(GREETING_TIMEOUT):
                await _decided(channel)
        return channel

    async def _new_channel(self) -> grpc.aio.Channel:
        """Plain, or with TLS in all its forms: the original has only the one with a client certificate."""
        target = self._server.grpc_target
        if self._tls is None:
            return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        try:
            found = await trust(self._tls, self._server.dialled, self._server.grpc_port)
        except RequestError as failure:
            raise _Failed(failure) from failure
        credentials = grpc.ssl_channel_credentials(found.roots, found.key, found.chain)
        checked = found.name or (self._server.host if self._server.address is not None else None)
        name = (("grpc.ssl_target_name_override", checked),) if checked else ()
        return grpc.aio.secure_channel(target, credentials, options=(*CHANNEL_OPTIONS, *name))

    async def _server_check(self, server_ip: str, server_port: int, channel_stub: Any) -> Any:
        """One question; the original sleeps a second whenever the server says that it is starting."""
        del server_ip, server_port
        try:
            payload = await channel_stub.request(
                GrpcUtils.convert_request_to_payload(ServerCheckRequest()), timeout=self._timeout
            )
            response = GrpcUtils.parse(payload)
        except Exception as error:
            raise _Failed(_failure(error)) from error
        if response.get_error_code():
            raise _Failed(ErrorAnswer(response.get_error_code(), response.get_message()))
        return response

    async def _server_request_watcher(self, grpc_conn: Any) -> None:
        """Reads the stream, and reports its end however it comes: the original does not notice a clean one."""
        self.readers.add(asyncio.current_task())  # not a local: task, exception and frame would keep each other alive
        try:
            async for payload in grpc_conn.bi_stream_client.requestBiStream(_outgoing(grpc_conn.queue)):
                await self._receive(payload, grpc_conn)
        except grpc.aio.AioRpcError as error:
            self.logger.debug("stream ended: %s", error.code())
        except Exception:
            _log.exception("crash", extra={"detail": {"task": "registry stream"}})
            raise
        finally:
            grpc_conn.queue.put_nowait(None)
            self._owner.troubled(Trouble.STREAM_END)

    async def _receive(self, payload: Any, connection: Any) -> None:
        match payload.metadata.type:
            case "NotifySubscriberRequest":
                await self._take_list(payload, connection)
            case "ConnectResetRequest":  # unknown to the library
                await self._acknowledge(ConnectResetResponse(), _body(payload), connection)
                self._owner.troubled(Trouble.RESET_REQUEST)
            case _:
                # A type or a body that the library does not know.
                with suppress(NacosException, ValueError, RecursionError):
                    await self._handle_server_request(GrpcUtils.parse(payload), connection)

    async def _take_list(self, payload: Any, connection: Any) -> None:
        """Acknowledged whatever it holds: an unread list would only come again, once a second."""
        try:
            message = await self._messages.read(payload.body.value)
        except ValueError as error:
            self._complain_of_push(error)
            await self._acknowledge(NotifySubscriberResponse(), {}, connection)
            return
        await self._acknowledge(NotifySubscriberResponse(), message.fields, connection)
        if isinstance(message.found, Unreadable):
            self._owner.unreadable(message.key, str(message.found))
        else:
            self._owner.pushed(message.key, message.found)

    def _complain_of_push(self, error: ValueError) -> None:
        """Once a session: whom it was about is not known, and without a name to it the server sends it again."""
        level, self._complained = logging.DEBUG if self._complained else logging.WARNING, True
        _log.log(level, "registry %s pushes what is no message: %s", self._server, _short(error))

    @staticmethod
    async def _acknowledge(response: Any, body: dict[str, Any], connection: Any) -> None:
        response.set_request_id(str(body.get("requestId", "")))
        await connection.send_bi_request(GrpcUtils.convert_response_to_payload(response))


async def _outgoing(queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    """What goes out on the stream, until None; the original has no end, and its task would be destroyed pending."""
    while (payload := await queue.get()) is not None:
        yield payload


async def _decided(channel: grpc.aio.Channel) -> None:
    """Returns when the channel is connected, or cannot be."""
    state = channel.get_state(try_to_connect=True)
    while state not in _DECIDED:
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)


def _body(payload: Any) -> dict[str, Any]:
    with suppress(ValueError):
        body = decoded(payload.body.value)
        if isinstance(body, dict):
            return body
    return {}


def _failure(error: BaseException) -> RequestError:
    """The one place where exceptions of the library and of gRPC become ours."""
    match error:
        case RequestError():
            return error
        case _Failed():
            return error.failure
        case grpc.aio.AioRpcError():
            code = error.code()
            return Unanswered(f"{code.name}: {error.details()}", timed_out=code is grpc.StatusCode.DEADLINE_EXCEEDED)
        case ValueError() | NacosException():  # pydantic's errors are ValueErrors
            return Unreadable(_short(error))
        case _:
            return Unanswered(f"{type(error).__name__}: {error}")


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
