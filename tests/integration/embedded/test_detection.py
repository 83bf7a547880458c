"""Idle clients are asked whether they live, in wall time made short by the knob."""

from sidecar.embedded.faults import DetectClients, Detection, ResetConnections
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support.until import PATIENCE, until
from tests.support.wire_client import WireClient


async def test_an_idle_client_that_answers_stays() -> None:
    """Asked again and again, a client that answers keeps its connection."""
    registry = EmbeddedRegistry()
    await registry.apply(Detection(sweep_s=0.05, idle_s=0.2, answer_s=PATIENCE))
    async with registry, WireClient(registry.port) as client:
        await client.set_up()
        assert [(await client.told())[0] for _ in range(2)] == ["ClientDetectionRequest"] * 2
        assert len(registry.connections) == 1


async def test_an_idle_client_that_keeps_silent_is_evicted() -> None:
    """Without an answer the stream ends and the client's instances are gone."""
    async with EmbeddedRegistry() as registry:
        await registry.apply(Detection(sweep_s=0.05, idle_s=PATIENCE, answer_s=0.2))
        async with WireClient(registry.port, acks=False) as client:
            await client.set_up()
            instance = {"ip": "10.0.0.2", "port": 80}
            await client.ask("InstanceRequest", serviceName="orders", type="registerInstance", instance=instance)
            await registry.apply(DetectClients())
            assert (await client.told())[0] == "ClientDetectionRequest"
            assert (await client.told())[0] == ""
            await until(lambda: _is_empty(registry))


async def test_a_client_can_be_evicted_although_it_answered() -> None:
    """The false eviction of R-6: the answer came in time, the stream ends all the same."""
    async with EmbeddedRegistry() as registry:
        await registry.apply(Detection(evict_anyway=True))
        async with WireClient(registry.port) as client:
            await client.set_up()
            await registry.apply(DetectClients())
            assert (await client.told())[0] == "ClientDetectionRequest"
            assert (await client.told())[0] == ""


async def test_a_client_is_asked_to_reconnect_elsewhere() -> None:
    """ConnectReset carries the recommended server."""
    async with EmbeddedRegistry() as registry, WireClient(registry.port) as client:
        await client.set_up()
        await registry.apply(ResetConnections("10.9.9.9", "8848"))
        kind, body = await client.told()
        assert (kind, body["serverIp"], body["serverPort"]) == ("ConnectResetRequest", "10.9.9.9", "8848")


async def _is_empty(registry: EmbeddedRegistry) -> bool:
    return len(registry.connections) == 0 and not registry.instances("orders")
