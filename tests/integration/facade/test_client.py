"""A connection of the app, and what stands for it at the registry."""

import asyncio
from typing import Any

import grpc
import pytest

from sidecar.embedded.faults import (
    Answer,
    DetectClients,
    EndStreams,
    ForcedList,
    PushNow,
    ResetConnections,
    Shape,
    Starting,
)
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.facade import client as client_module
from sidecar.facade.offers import Lists
from tests.support.facade_stage import Stage, stage
from tests.support.until import settled, until
from tests.support.wire_client import WireClient

BOTH = ["127.0.0.1:8001", "127.0.0.1:8002"]


async def subscribed(client: WireClient) -> None:
    """Connected, subscribed, and told the same list twice, as a registry does."""
    await client.set_up()
    assert await client.subscribe("orders") == BOTH
    assert await client.pushed() == BOTH


async def test_each_connection_of_the_app_is_one_at_the_registry(facade: Stage) -> None:
    """With its own labels and registrations, gone when the app's is."""
    async with WireClient(facade.port) as one, WireClient(facade.port) as other:
        await one.set_up(clientVersion="One")
        await other.set_up(clientVersion="Other")
        for number, client in enumerate((one, other)):
            await client.ask(
                "InstanceRequest",
                serviceName="mine",
                type="registerInstance",
                instance={"ip": "10.0.0.1", "port": 90 + number},
            )
        assert sorted(c.version for c in facade.registry.connections) == ["One", "Other"]
        assert sorted(one.port for one in facade.registry.instances("mine")) == [90, 91]
        await one.close()
        await settled(lambda: [i.port for i in facade.registry.instances("mine")] == [91])
    await settled(lambda: not len(facade.registry.connections))


async def test_an_empty_push_is_not_passed_on(facade: Stage) -> None:
    """The app's list stays whole, its ack is the registry's, and the event tells of it."""
    async with WireClient(facade.port) as client:
        await subscribed(client)
        facade.registry.deregister("orders", "127.0.0.1", 8001)
        facade.registry.deregister("orders", "127.0.0.1", 8002)
        assert await client.pushed() == BOTH
        assert facade.withheld() == []
        facade.believe()
        await settled(lambda: len(facade.withheld()) == 1)
        assert await client.query("orders") == BOTH
        (connection,) = facade.registry.connections
        await settled(lambda: not connection.unacked)
    assert [(event.offered, event.kept) for event in facade.withheld()] == [(0, 2)]


async def test_a_forced_null_in_the_place_of_hosts_passes(facade: Stage) -> None:
    """It is no list: what clients make of it is not ours to decide."""
    await facade.registry.apply(ForcedList(shape=Shape.HOSTS_NULL))
    async with WireClient(facade.port) as client:
        await client.set_up()
        _, body = await client.ask("ServiceQueryRequest", serviceName="orders")
        assert body["serviceInfo"]["hosts"] is None


async def test_the_app_hears_of_what_the_guard_lets_go(facade: Stage) -> None:
    """By a push of ours, whose ack goes no further; the numbers of all its lists grow."""
    async with WireClient(facade.port) as client:
        await subscribed(client)
        facade.registry.deregister("orders", "127.0.0.1", 8001)
        stamps: list[int] = []

        async def told() -> list[str]:
            kind, body = await client.told()
            assert kind == "NotifySubscriberRequest"
            stamps.append(body["serviceInfo"]["lastRefTime"])
            return [f"{host['ip']}:{host['port']}" for host in body["serviceInfo"]["hosts"]]

        assert sorted(await told()) == BOTH
        facade.believe(8002)
        assert await told() == ["127.0.0.1:8002"]
        facade.registry.register("orders", "127.0.0.1", 8003)
        facade.believe(8002, 8003)
        assert await told() == ["127.0.0.1:8002", "127.0.0.1:8003"]
        assert stamps == sorted(set(stamps))
        (connection,) = facade.registry.connections
        await settled(lambda: not connection.unacked)
        assert len(connection.acks) == 3


async def test_other_services_and_other_namespaces_pass(facade: Stage) -> None:
    """An empty list of theirs is an empty list."""
    async with WireClient(facade.port) as client:
        await client.set_up()
        assert await client.subscribe("payments") == []
        _, body = await client.ask("ServiceQueryRequest", serviceName="orders", namespace="test")
        assert body["serviceInfo"]["hosts"] == []
        _, body = await client.ask("ServiceQueryRequest", serviceName="orders", groupName="OTHER")
        assert body["serviceInfo"]["hosts"] == []


async def test_a_connection_of_another_namespace_asks_in_that(facade: Stage) -> None:
    """Where the request names none."""
    async with WireClient(facade.port) as client:
        await client.set_up(tenant="test")
        assert await client.query("orders") == []


async def test_only_the_clusters_asked_for_are_added(facade: Stage) -> None:
    """A false empty list of one Nacos cluster brings back that cluster's."""
    facade.registry.register("orders", "127.0.0.1", 8003, cluster="B")
    async with WireClient(facade.port) as client:
        await client.set_up()
        _, body = await client.ask("SubscribeServiceRequest", serviceName="orders", clusters="B", subscribe=True)
        assert [host["port"] for host in body["serviceInfo"]["hosts"]] == [8003]


async def test_detection_and_reset_reach_the_app(facade: Stage) -> None:
    """And its answers the registry."""
    async with WireClient(facade.port) as client:
        await client.set_up()
        await facade.registry.apply(DetectClients())
        assert (await client.told())[0] == "ClientDetectionRequest"
        (connection,) = facade.registry.connections
        await settled(lambda: [ack.type for ack in connection.acks] == ["ClientDetectionResponse"])
        await facade.registry.apply(ResetConnections(server_ip="127.0.0.1", server_port="1"))
        kind, body = await client.told()
        assert (kind, body["serverPort"]) == ("ConnectResetRequest", "1")


async def test_a_registry_that_goes_leaves_the_app_with_lists(facade: Stage) -> None:
    """Health and lists are answered, registrations fail honestly, and the app's stream stays until the registry is back."""
    async with WireClient(facade.port) as client:
        await subscribed(client)
        await facade.registry.stop()
        assert await client.query("orders") == BOTH
        assert (await client.ask("HealthCheckRequest"))[1]["success"] is True
        kind, body = await client.ask(
            "InstanceRequest", serviceName="mine", type="registerInstance", instance={"ip": "10.0.0.1", "port": 1}
        )
        assert (kind, body["success"], body["resultCode"]) == ("InstanceResponse", False, 500)
        assert (await client.ask("ServiceQueryRequest", serviceName="payments"))[1]["success"] is False
        facade.believe(8001, 8002, 8003)
        assert await client.pushed() == [*BOTH, "127.0.0.1:8003"]
        await facade.registry.start()
        assert await client.ended_with() is grpc.StatusCode.UNAVAILABLE
    assert facade.stats.facade_requests["grpc", "failed"] == 2


async def test_an_app_that_starts_without_a_registry_connects(facade: Stage) -> None:
    """It is told our list, and comes anew when there is a registry: then that knows it."""
    await facade.registry.stop()
    async with WireClient(facade.port) as client:
        kind, body = await client.ask("ServerCheckRequest")
        assert (kind, body["supportAbilityNegotiation"]) == ("ServerCheckResponse", False)
        await client.say("ConnectionSetupRequest", clientVersion="Early", tenant="public", labels={"module": "naming"})
        assert await client.subscribe("orders") == BOTH
        await facade.registry.start()
        assert await client.ended_with() is grpc.StatusCode.UNAVAILABLE
    async with WireClient(facade.port) as again:
        await again.set_up(clientVersion="Late")
        assert [c.version for c in facade.registry.connections] == ["Late"]


async def test_a_registry_that_is_starting_is_not_there_yet(facade: Stage) -> None:
    """Its error 300 would have the app wait."""
    await facade.registry.apply(Starting())
    async with WireClient(facade.port) as client:
        assert (await client.ask("ServerCheckRequest"))[0] == "ServerCheckResponse"
        await client.say("ConnectionSetupRequest", tenant="public", labels={"module": "naming"})
        assert await client.query("orders") == BOTH
        facade.registry.lift("starting")
        assert await client.ended_with() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_that_the_registry_evicts_comes_anew(facade: Stage) -> None:
    """Also one that would not notice: its stream breaks, whatever the end of the registry's was."""
    async with WireClient(facade.port) as client:
        await subscribed(client)
        await facade.registry.apply(EndStreams())
        assert await client.ended_with() is grpc.StatusCode.UNAVAILABLE
        kind, body = await client.ask("HealthCheckRequest")
        assert (kind, body["errorCode"]) == ("ErrorResponse", 301)


async def test_a_silent_registry_is_left_after_three_requests(facade: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is answered by us in time."""
    monkeypatch.setattr(client_module, "PATIENCE", 0.2)
    async with WireClient(facade.port) as client:
        await subscribed(client)
        await facade.registry.apply(Answer(request="ServiceQueryRequest", never=True))
        for _ in range(3):
            assert await client.query("orders") == BOTH
        assert await client.ended_with() is grpc.StatusCode.UNAVAILABLE


async def test_errors_of_the_registry_are_the_apps(facade: Stage) -> None:
    """A refusal in words, and a status of gRPC that says nothing of the connection."""
    async with WireClient(facade.port) as client:
        await client.set_up()
        await facade.registry.apply(Answer(request="ServiceQueryRequest", error=403, message="no", times=1))
        kind, body = await client.ask("ServiceQueryRequest", serviceName="orders")
        assert (kind, body["errorCode"], body["message"]) == ("ErrorResponse", 403, "no")
        await facade.registry.apply(
            Answer(request="ServiceQueryRequest", status="RESOURCE_EXHAUSTED", message="much", times=1)
        )
        with pytest.raises(grpc.aio.AioRpcError, match="much") as raised:
            await client.ask("ServiceQueryRequest", serviceName="orders")
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await client.query("orders") == BOTH


async def test_another_server_takes_over() -> None:
    """The app comes anew when the one it was at is gone, and finds the other."""
    async with EmbeddedRegistry(push_delay_s=0.01) as other, stage(others=[other.address]) as facade:
        for registry in (facade.registry, other):
            registry.register("orders", "127.0.0.1", 8001)
        facade.believe(8001)
        async with WireClient(facade.port) as client:
            await client.set_up()
            there = facade.registry if len(facade.registry.connections) else other
            here = other if there is facade.registry else facade.registry
            await there.stop()
            assert await client.query("orders") == ["127.0.0.1:8001"]
            assert await client.ended_with() is grpc.StatusCode.UNAVAILABLE
            async with WireClient(facade.port) as again:
                await again.set_up()
                assert [len(one.connections) for one in (there, here)] == [0, 1]
            await there.start()


async def test_the_sidecar_is_all_that_the_app_sees() -> None:
    """While providers come and go its list is the same, and says nothing new."""
    async with stage(lists=Lists.SIDECAR, listen=("127.0.0.1", 15101)) as facade, WireClient(facade.port) as client:
        facade.registry.register("orders", "127.0.0.1", 8001)
        facade.believe(8001)
        await client.set_up()
        told: list[Any] = [await client.subscribe("orders"), await client.pushed()]
        facade.registry.deregister("orders", "127.0.0.1", 8001)
        facade.believe()
        told.append(await client.pushed())
        facade.registry.register("orders", "127.0.0.1", 8002)
        facade.believe(8002)
        told.append(await client.pushed())
        await facade.registry.apply(PushNow())
        told.append(await client.pushed())
        assert told == [["127.0.0.1:15101"]] * 5
        await facade.registry.stop()
        assert await client.query("orders") == ["127.0.0.1:15101"]


async def test_the_apps_own_service_is_not_replaced() -> None:
    """It looks itself up, and finds itself."""
    async with stage(lists=Lists.SIDECAR, listen=("127.0.0.1", 15101)) as facade, WireClient(facade.port) as client:
        await client.set_up()
        await client.ask(
            "InstanceRequest", serviceName="orders", type="registerInstance", instance={"ip": "10.0.0.1", "port": 9}
        )
        await asyncio.sleep(0.05)
        assert await client.subscribe("orders") == ["10.0.0.1:9"]
        await client.ask(
            "InstanceRequest", serviceName="orders", type="deregisterInstance", instance={"ip": "10.0.0.1", "port": 9}
        )

        async def gone() -> bool:
            return await client.query("orders") == []

        await until(gone)
