"""The gRPC face: bytes in, the same bytes out."""

import contextlib
import json
import os
from collections.abc import AsyncIterator
from random import Random

import grpc
import grpc.aio
import pytest

from sidecar.discovery.options import Server
from sidecar.embedded.faults import Auth
from sidecar.facade import grpc_server
from sidecar.facade.registry import Registry
from sidecar.wire import Payload, decode, encode
from tests.support.facade_stage import Stage, stage
from tests.support.http_client import request
from tests.support.raw_registry import RawClient, RawRegistry
from tests.support.until import settled
from tests.support.wire_client import WireClient

LARGE = os.urandom(5 << 20)
"""Larger than gRPC takes unless it is told to."""

ODD = [
    Payload("ConfigPublishRequest", b'{"content":"\xc3\xbc","dataId":"a"}', {"accessToken": "t"}, "10.0.0.1"),
    Payload("ConfigQueryRequest", b"not even JSON \xff\x00"),
    Payload("LockOperationRequest", b'{"serviceInfo":{"hosts":[]}}'),
    Payload("NeverHeardOfRequest", LARGE),
    Payload("", b""),
]
LATER = b"\x22\x03new"
"""A field that no version has yet."""


@pytest.fixture
async def raw() -> AsyncIterator[tuple[RawRegistry, RawClient]]:
    """A client of bytes, a façade, a server of bytes."""
    async with stage() as facade, RawRegistry() as registry:
        node = Server("127.0.0.1", registry.port, registry.port)
        facade.facade.stand_for(Registry([node], None, rng=Random(1)))
        client = RawClient(facade.port + 1000)
        try:
            yield registry, client
        finally:
            await client.close()


async def test_requests_of_any_type_pass_unchanged_both_ways(raw: tuple[RawRegistry, RawClient]) -> None:
    """Every byte of them, and of their answers."""
    registry, client = raw
    for sent, answered in zip(ODD, reversed(ODD), strict=True):
        registry.answer = encode(answered) + LATER
        assert await client.ask(encode(sent) + LATER) == registry.answer
        assert registry.asked[-1] == encode(sent) + LATER


async def test_messages_on_the_stream_pass_unchanged_both_ways(raw: tuple[RawRegistry, RawClient]) -> None:
    """The set-up, what the server tells, and what is answered."""
    registry, client = raw
    client.open()
    setup = encode(Payload("ConnectionSetupRequest", b'{"tenant":"x","new":1}')) + LATER
    sent = [setup, *(encode(one) for one in ODD), encode(Payload("NotifySubscriberResponse", b'{"requestId":"1"}'))]
    for data in sent:
        await client.stream.write(data)
    await settled(lambda: len(registry.said) == len(sent))
    assert registry.said == sent
    told = [*(encode(one) + LATER for one in ODD), encode(Payload("ConfigChangeNotifyRequest", b"{}")), b"\xff\xff"]
    told.append(encode(Payload("NotifySubscriberRequest", b'{"serviceInfo":{"name":"other","hosts":[]}}')))
    told.append(encode(Payload("NotifySubscriberRequest", b"\xff")))
    for data in told:
        registry.say(data)
    assert [await client.stream.read() for _ in told] == told


async def test_what_is_no_message_is_refused(raw: tuple[RawRegistry, RawClient]) -> None:
    """As a server does."""
    _, client = raw
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await client.ask(b"\x12\x05abc")
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_headers_and_unknown_types_are_the_registrys_to_judge(facade: Stage) -> None:
    """Its own words come back."""
    async with WireClient(facade.port) as client:
        await client.set_up()
        data = await client._unary(encode(Payload("NewRequest", b"{}", {"accessToken": "secret", "app": "x"})))
        assert decode(data).type == "ErrorResponse"
        assert b"no handler for NewRequest" in data
        seen = next(one for one in facade.registry.connections.requests if one.type == "NewRequest")
        assert seen.headers == {"accessToken": "secret", "app": "x"}


async def test_a_login_is_the_apps_own(facade: Stage) -> None:
    """Over HTTP, and with its token over gRPC; whoever has none is refused by the registry, not told our list."""
    await facade.registry.apply(Auth(username="app", password="secret"))
    form = b"username=app&password=secret"
    fields = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await request(facade.port, "POST", "/nacos/v1/auth/users/login", body=form, headers=fields)
    token = json.loads(answer.body)["accessToken"]
    asked = b'{"serviceName":"orders","groupName":"DEFAULT_GROUP"}'
    async with WireClient(facade.port) as client:
        await client.set_up()
        for headers, kind in (({"accessToken": token}, "QueryServiceResponse"), ({}, "ErrorResponse")):
            data = await client._unary(encode(Payload("ServiceQueryRequest", asked, headers)))
            assert decode(data).type == kind
    refused = await request(facade.port, path="/nacos/v1/ns/instance/list?serviceName=orders")
    assert refused.status == 403


async def test_clients_are_counted_and_bounded(facade: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused."""
    monkeypatch.setattr(grpc_server, "MOST_CLIENTS", 1)
    async with WireClient(facade.port) as one:
        await one.set_up()
        assert facade.stats.facade_connections["grpc"] == 1
        async with WireClient(facade.port) as other:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await other.ask("ServerCheckRequest")
            assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await settled(lambda: facade.stats.facade_connections["grpc"] == 0)


async def test_a_connection_without_a_stream_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while: nobody says that it is gone."""
    monkeypatch.setattr(grpc_server, "IDLE", 0.1)
    async with stage() as facade, WireClient(facade.port) as client:
        client._stream.cancel()
        await client.ask("ServerCheckRequest")
        await settled(lambda: not len(facade.facade))
        with contextlib.suppress(grpc.aio.AioRpcError):
            assert (await client.ask("ServerCheckRequest"))[0] == "ServerCheckResponse"
