"""A Nacos client of bare messages: says exactly what a test wants said, acks only when told to."""

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Any, Self, cast

import grpc.aio

from sidecar.tasks import spawn
from sidecar.wire import Payload, decode, dump, encode
from tests.support.until import PATIENCE

_END_OF_STREAM: Any = grpc.aio.EOF  # type: ignore[attr-defined] # missing in the stubs

SETUP = {
    "clientVersion": "Test-Client:v1",
    "tenant": "public",
    "labels": {"source": "sdk", "module": "naming"},
    "abilityTable": {},
    "module": "internal",
}


class WireClient:
    """One gRPC connection to the registry whose HTTP port is `port`."""

    def __init__(self, port: int, *, acks: bool = True) -> None:
        # A pool of its own: otherwise the library shares one connection among clients of one address.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        self._channel = cast("Any", grpc.aio.insecure_channel(f"127.0.0.1:{port + 1000}", options=options))
        self._unary = self._channel.unary_unary("/Request/request")
        self._stream: Any = self._channel.stream_stream("/BiRequestStream/requestBiStream")()
        self._told: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._reader = spawn(self._read(), name="wire-client")
        self.acks = acks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        self._reader.cancel()
        self._stream.cancel()
        await self._channel.close()

    async def ask(self, kind: str, **body: Any) -> tuple[str, dict[str, Any]]:
        """(type, JSON) of the answer to one unary request."""
        answer = decode(await self._unary(encode(Payload(kind, dump(body)))))
        return answer.type, json.loads(answer.body)

    async def set_up(self, **changes: Any) -> None:
        """Opens the stream and waits until the server acked the abilities."""
        await self.say("ConnectionSetupRequest", **{**SETUP, **changes})
        kind, _ = await self.told()
        assert kind == "SetupAckRequest"

    async def say(self, kind: str, **body: Any) -> None:
        """Writes one message on the stream."""
        await self._stream.write(encode(Payload(kind, dump(body))))

    async def told(self, within: float = PATIENCE) -> tuple[str, dict[str, Any]]:
        """(type, JSON) of the next message on the stream, acked unless told otherwise; `("", {})` at its end."""
        async with asyncio.timeout(within):
            data = await self._told.get()
        if data is None:
            return "", {}
        payload = decode(data)
        body = json.loads(payload.body)
        if self.acks and payload.type in {"NotifySubscriberRequest", "ClientDetectionRequest"}:
            await self.say(payload.type.replace("Request", "Response"), requestId=body["requestId"], resultCode=200)
        return payload.type, body

    async def pushed(self, within: float = PATIENCE) -> list[str]:
        """The `ip:port`s of the next message, which has to be a push."""
        kind, body = await self.told(within)
        assert kind == "NotifySubscriberRequest"
        return hosts(body)

    async def ended_with(self) -> grpc.StatusCode:
        """The status of the stream, once it is over."""
        while (await self.told())[0]:
            pass
        code: grpc.StatusCode = await self._stream.code()
        return code

    async def subscribe(self, service: str) -> list[str]:
        """The `ip:port`s that the subscription is answered with."""
        _, body = await self.ask("SubscribeServiceRequest", serviceName=service, subscribe=True)
        return hosts(body)

    async def query(self, service: str) -> list[str]:
        _, body = await self.ask("ServiceQueryRequest", serviceName=service)
        return hosts(body)

    async def _read(self) -> None:
        """A task of its own, since a cancelled read cancels the whole stream in this library."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            while (data := await self._stream.read()) is not _END_OF_STREAM:
                self._told.put_nowait(data)
        self._told.put_nowait(None)


def hosts(body: dict[str, Any]) -> list[str]:
    """The `ip:port`s of an answer or a push, in its order."""
    return [f"{host['ip']}:{host['port']}" for host in body["serviceInfo"]["hosts"]]
