"""The gRPC face over the wire: handshake, refusals, and streams that end in every way."""

import asyncio
from typing import Any

import grpc
import pytest

from sidecar.embedded.faults import (
    Abilities,
    AbortConnections,
    Afterwards,
    Answer,
    BlackHole,
    EndStreams,
    Negotiation,
    Starting,
    StreamStatus,
)
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.tasks import spawn
from tests.support.until import until
from tests.support.wire_client import SETUP, WireClient


async def test_the_check_may_come_before_the_stream_or_after_it(registry: EmbeddedRegistry) -> None:
    """Both orders of the handshake give the same connection id, that of the TCP connection."""
    async with WireClient(registry.port) as first, WireClient(registry.port) as second:
        kind, before = await first.ask("ServerCheckRequest")
        await first.set_up()
        await second.set_up()
        _, after = await second.ask("ServerCheckRequest")
        assert kind == "ServerCheckResponse"
        assert [c.id for c in registry.connections] == [before["connectionId"], after["connectionId"]]


@pytest.mark.parametrize(
    ("kind", "code"), [("HealthCheckRequest", 301), ("SubscribeServiceRequest", 301), ("NoSuchRequest", 302)]
)
async def test_a_connection_without_set_up_is_refused(registry: EmbeddedRegistry, kind: str, code: int) -> None:
    """Before ConnectionSetup every request but the check is answered 301, an unknown one 302."""
    async with WireClient(registry.port) as stranger:
        assert await stranger.ask(kind, serviceName="orders") == ("ErrorResponse", _error(code))


async def test_a_client_that_is_no_naming_client_may_not_subscribe(registry: EmbeddedRegistry) -> None:
    """Without the label `module: naming` the server keeps no naming client, so subscribing fails."""
    async with WireClient(registry.port) as config_client:
        await config_client.set_up(labels={"module": "config"})
        kind, body = await config_client.ask("SubscribeServiceRequest", serviceName="orders")
        assert (kind, body["errorCode"]) == ("ErrorResponse", 500)


async def test_while_starting_every_request_gets_300_and_streams_are_turned_away(registry: EmbeddedRegistry) -> None:
    """A starting server answers 300 even to the check, and asks a new stream to reconnect before it ends it."""
    await registry.apply(Starting())
    async with WireClient(registry.port) as early:
        assert await early.ask("ServerCheckRequest") == ("ErrorResponse", _error(300))
        await early.say("ConnectionSetupRequest", **SETUP)
        assert (await early.told())[0] == "ConnectResetRequest"
        assert await early.ended_with() is grpc.StatusCode.OK


@pytest.mark.parametrize(("mode", "offered"), [(Abilities.SILENT, True), (Abilities.NONE, False)])
async def test_abilities_may_be_offered_and_never_acked(
    registry: EmbeddedRegistry, mode: Abilities, *, offered: bool
) -> None:
    """Without an ack of abilities nothing comes on the stream after the set-up."""
    await registry.apply(Negotiation(mode))
    async with WireClient(registry.port) as client:
        assert (await client.ask("ServerCheckRequest"))[1]["supportAbilityNegotiation"] is offered
        await client.say("ConnectionSetupRequest", **SETUP)
        with pytest.raises(TimeoutError):
            await client.told(within=0.1)


@pytest.mark.parametrize("status", StreamStatus)
@pytest.mark.parametrize(
    ("afterwards", "answers"), [(Afterwards.UNREGISTERED, "ErrorResponse"), (Afterwards.SERVED, "HealthCheckResponse")]
)
async def test_a_stream_can_end_while_the_connection_stays(
    registry: EmbeddedRegistry, client: WireClient, status: StreamStatus, afterwards: Afterwards, answers: str
) -> None:
    """The stream ends with the status asked for; unary requests then get 301, or are served as before."""
    await registry.apply(EndStreams(status, afterwards))
    assert await client.ended_with() is grpc.StatusCode[status.name]
    assert (await client.ask("HealthCheckRequest"))[0] == answers


async def test_an_eviction_closes_the_connection_after_the_stream(
    registry: EmbeddedRegistry, client: WireClient
) -> None:
    """By default an ended stream has status OK and its connection is closed: the next request uses a new one."""
    await registry.apply(EndStreams())
    assert await client.ended_with() is grpc.StatusCode.OK
    await until(lambda: _no_clients(registry))


async def test_connections_can_be_reset(registry: EmbeddedRegistry, client: WireClient) -> None:
    """A TCP reset ends the stream with UNAVAILABLE and removes the client's instances."""
    await _register(client, "10.0.0.2")
    await registry.apply(AbortConnections())
    assert await client.ended_with() is grpc.StatusCode.UNAVAILABLE
    await until(lambda: _no_clients(registry))
    assert [host.ip for host in registry.instances("orders")] == ["10.0.0.1"]


async def test_a_black_hole_answers_nothing_and_closes_nothing(registry: EmbeddedRegistry, client: WireClient) -> None:
    """While the fault is in force no request is answered; once lifted the same connection goes on."""
    await registry.apply(BlackHole())
    asking = spawn(client.ask("HealthCheckRequest"), name="asking")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asking), 0.1)
    registry.lift("black_hole")
    assert (await asking)[0] == "HealthCheckResponse"
    assert len(registry.connections) == 1


async def test_a_connection_made_into_a_black_hole_is_served_once_it_is_lifted(registry: EmbeddedRegistry) -> None:
    """The port stays open while the server is frozen, and what was written then is read afterwards."""
    await registry.apply(BlackHole())
    async with WireClient(registry.port) as client:
        asking = spawn(client.ask("ServerCheckRequest"), name="asking")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asking), 0.1)
        registry.lift("black_hole")
        assert (await asking)[0] == "ServerCheckResponse"


async def test_a_request_can_be_refused_a_number_of_times(registry: EmbeddedRegistry, client: WireClient) -> None:
    """A forced error is given to the chosen type only, and only as often as asked for."""
    await registry.apply(Answer("ServiceQueryRequest", error=503, times=1))
    assert (await client.ask("HealthCheckRequest"))[0] == "HealthCheckResponse"
    assert (await client.ask("ServiceQueryRequest", serviceName="orders"))[1]["errorCode"] == 503
    assert await client.query("orders") == ["10.0.0.1:80"]


@pytest.mark.parametrize("status", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"])
async def test_a_request_can_fail_with_a_grpc_status(
    registry: EmbeddedRegistry, client: WireClient, status: str
) -> None:
    """The forced status reaches the caller."""
    await registry.apply(Answer(status=status))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await client.query("orders")
    assert error.value.code() is grpc.StatusCode[status]


async def test_a_request_can_be_left_unanswered(registry: EmbeddedRegistry, client: WireClient) -> None:
    """A request that is never answered keeps its caller waiting, and does not keep the registry from stopping."""
    await registry.apply(Answer("ServiceQueryRequest", never=True))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.query("orders"), 0.1)


async def test_an_answer_can_come_under_a_wrong_type(registry: EmbeddedRegistry, client: WireClient) -> None:
    """The body is right, the type is the forced one."""
    await registry.apply(Answer("ServiceQueryRequest", type="SubscribeServiceResponse"))
    kind, body = await client.ask("ServiceQueryRequest", serviceName="orders")
    assert (kind, len(body["serviceInfo"]["hosts"])) == ("SubscribeServiceResponse", 1)


async def test_requests_are_remembered_with_their_connection(registry: EmbeddedRegistry, client: WireClient) -> None:
    """Whoever looks at the registry sees what came, from whom, in order."""
    await client.query("orders")
    (connection,) = registry.connections
    seen = [(request.type, request.connection) for request in registry.connections.requests]
    assert seen == [("ConnectionSetupRequest", connection.id), ("ServiceQueryRequest", connection.id)]
    assert connection.version == "Test-Client:v1"


def _error(code: int) -> dict[str, Any]:
    texts = {
        300: "server is starting, try later",
        301: "connection is not registered",
        302: "no handler for NoSuchRequest",
    }
    return {"resultCode": 500, "errorCode": code, "message": texts[code], "success": False}


async def _register(client: WireClient, ip: str) -> None:
    await client.ask("InstanceRequest", serviceName="orders", type="registerInstance", instance={"ip": ip, "port": 80})


async def _no_clients(registry: EmbeddedRegistry) -> bool:
    return len(registry.connections) == 0
